"""Files become versions: nothing is lost, the same file changes nothing, order and format do not matter."""

from __future__ import annotations

import gzip
import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.stores import DAY, START, add, events, rows, write

from gnnrec.core.errors import GnnrecError
from gnnrec.store.ingest import Policy
from gnnrec.store.log import StoreLog
from gnnrec.store.table import Store


def test_every_row_is_accounted_for_and_set_aside_with_its_text(tmp_path):
    bad = ["u1,,3,1300000000", "u1,i1,abc,1300000000", "u1,i1", "u2,i2,3,never"]
    done = add(Store(tmp_path / "s"), write(tmp_path / "a.csv", [*rows(50), *bad]))
    counts = done.version.counts
    assert counts.read == 54
    assert sum(counts.set_aside.values()) == 4
    aside = [
        json.loads(line)
        for line in (tmp_path / "s/_gnnrec/quarantine").glob("*.jsonl").__next__().read_text().splitlines()
    ]
    assert [(r["file"], r["row"], r["raw"]) for r in aside] == [("a.csv", 52 + k, text) for k, text in enumerate(bad)]
    assert {r["reason"] for r in aside} == {"missing_item", "bad_rating", "too_few_fields", "bad_time"}


def test_the_same_file_again_makes_no_version_and_names_the_one_that_holds_it(tmp_path):
    store, file = Store(tmp_path / "s"), write(tmp_path / "a.csv", rows(50))
    add(store, file)
    again = add(store, (tmp_path / "b.csv").write_bytes(file.read_bytes()) and tmp_path / "b.csv")
    assert again.version is None
    assert again.seen == {"b.csv": 0}
    assert store.head == 0


def test_versions_together_hold_what_one_file_would(tmp_path):
    lines = rows(300, users=8, items=8)
    whole, parts = Store(tmp_path / "whole"), Store(tmp_path / "parts")
    add(whole, write(tmp_path / "all.csv", lines))
    for k in range(3):
        add(parts, write(tmp_path / f"{k}.csv", lines[100 * k : 100 * (k + 1)]))
    assert events(parts) == events(whole)
    one, many = (StoreLog(str(s.path)).load() for s in (whole, parts))
    assert one.counts.kept == many.counts.kept
    assert one.counts.rows_read == many.counts.rows_read


def test_a_row_of_an_earlier_version_is_known_and_its_pair_at_another_time_a_repeat(tmp_path):
    store = Store(tmp_path / "s")
    add(store, write(tmp_path / "a.csv", ["u,i,3,1300000000", "v,i,3,1300000001"]))
    fresh = ["u,i,3,1300000000", "v,i,3,1300000005", "w,i,3,1300000006"]
    counts = add(store, write(tmp_path / "b.csv", fresh)).version.counts
    assert (dict(counts.known), counts.repeat, counts.kept) == ({0: 1}, 1, 1)


def test_all_repeats_are_kept_where_that_is_asked_and_the_last_one_cannot_be(tmp_path):
    store = Store(tmp_path / "s")
    add(store, write(tmp_path / "a.csv", ["u,i,3,1300000000"]), repeats="all")
    assert add(store, write(tmp_path / "b.csv", ["u,i,3,1300000009"]), repeats="all").version.counts.kept == 1
    with pytest.raises(GnnrecError, match="repeats=last"):
        add(store, write(tmp_path / "c.csv", ["u,i,3,1300000010"]), repeats="last")


def test_late_rows_are_kept_and_marked_and_go_into_train(tmp_path):
    store = Store(tmp_path / "s")
    add(store, write(tmp_path / "a.csv", rows(100)))
    late = [f"x{k},i1,3,{START - 5 - k}" for k in range(5)]
    done = add(store, write(tmp_path / "b.csv", [*rows(100, 1, START + DAY, users=300), *late]))
    assert done.version.counts.late == 5
    from gnnrec.data.stream.cuts import ByColumn

    older = write(tmp_path / "c.csv", [f"y{k},i1,3,{START - 90 - k}" for k in range(60)])
    add(store, older, policy=Policy(out_of_order="accept", blocked="accept"))
    data = StoreLog(str(store.path)).load(keep=("version", "late"))
    stream = ByColumn("version", None, late_column="late").build(data)
    one, two = stream.increments[1:]
    train = {stream.users[u] for u in one.observed.train.user}
    assert {f"x{k}" for k in range(5)} <= train
    assert not {f"x{k}" for k in range(5)} & {stream.users[u] for u in stream.increments[0].upcoming.user}
    assert (len(two.observed.train), len(two.observed.valid), len(two.test), len(one.upcoming)) == (60, 0, 0, 0)


def test_late_and_out_of_order_files_are_refused_where_that_is_asked(tmp_path):
    store = Store(tmp_path / "s")
    add(store, write(tmp_path / "a.csv", rows(50)))
    older = write(tmp_path / "b.csv", rows(50, 1, START - 3 * DAY, users=400))
    with pytest.raises(GnnrecError, match="out of order"):
        add(store, older)
    assert store.head == 0
    with pytest.raises(GnnrecError, match="earlier than the newest"):
        add(store, older, policy=Policy("refuse", "accept"))
    assert add(store, older, policy=Policy("accept", "accept")).version.counts.late > 0


def test_a_refused_file_leaves_the_store_as_it_was(tmp_path):
    store = Store(tmp_path / "s")
    add(store, write(tmp_path / "a.csv", rows(50)))
    with pytest.raises(GnnrecError):
        add(store, write(tmp_path / "b.csv", ["u,,3,1"]), on_bad="refuse")
    assert (store.head, len(store.versions)) == (0, 1)


def test_a_header_without_rows_is_an_empty_version(tmp_path):
    store = Store(tmp_path / "s")
    add(store, write(tmp_path / "a.csv", rows(50)))
    counts = add(store, write(tmp_path / "b.csv", [])).version.counts
    assert (counts.read, counts.kept) == (0, 0)
    assert len(store.versions) == 2


def test_a_second_writer_is_refused(tmp_path):
    store = Store(tmp_path / "s")
    with store.writing(begin=True), pytest.raises(GnnrecError, match="another process"):
        add(Store(tmp_path / "s"), write(tmp_path / "a.csv", rows(5)))


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())
def test_the_content_hash_depends_on_events_alone(tmp_path_factory, random, end, packed, doubled):
    folder = tmp_path_factory.mktemp("hash")
    lines = rows(40)
    add(Store(folder / "a"), write(folder / "a.csv", lines), repeats="all")
    other = [*lines, *(lines[:5] if doubled else [])]
    random.shuffle(other)
    text = end.join(["user,item,rating,time", *other]).encode()
    (folder / "b.csv").write_bytes(gzip.compress(text) if packed else text)
    add(Store(folder / "b"), folder / "b.csv", repeats="all")
    one, two = (Store(folder / name).versions[0] for name in "ab")
    assert one.content == two.content
    assert one.counts.kept == two.counts.kept


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_every_format_gives_the_same_content(tmp_path, kind):
    frame = pl.DataFrame(
        [line.split(",") for line in rows(60)], schema=["user", "item", "rating", "time"], orient="row"
    )
    frame = frame.with_columns(pl.col("rating").cast(pl.Float64), pl.col("time").cast(pl.Int64))
    path = tmp_path / f"a.{kind}"
    {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}[kind](path)
    add(Store(tmp_path / "s"), path)
    add(Store(tmp_path / "r"), write(tmp_path / "r.csv", rows(60)))
    assert Store(tmp_path / "s").versions[0].content == Store(tmp_path / "r").versions[0].content


def test_an_older_version_is_read_as_it_was(tmp_path):
    store = Store(tmp_path / "s")
    add(store, write(tmp_path / "a.csv", rows(50)))
    before = events(store)
    add(store, write(tmp_path / "b.csv", rows(50, 1, START + DAY)))
    data = StoreLog(str(store.path), version=0).load()
    assert len(data) == sum(before.values())
    with pytest.raises(GnnrecError, match="no version 7"):
        StoreLog(str(store.path), version=7).load()
