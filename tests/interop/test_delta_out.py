"""A store's versions as commits of a plain Delta table, which becomes a store of equal versions again."""

from __future__ import annotations

import json
import shlex

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake
from support.stores import DAY, START, add, events, grown, rows, write

from gnnrec.cli.main import main
from gnnrec.core.errors import GnnrecError
from gnnrec.interop.delta import write_delta
from gnnrec.store import delta_log
from gnnrec.store.erase import erase
from gnnrec.store.ingest import Policy
from gnnrec.store.table import Store


@pytest.fixture
def store(tmp_path):
    return grown(tmp_path)


def ingested(path, options, target):
    """Return a store made of a Delta table as the export says."""
    assert main(["data", "ingest", str(target), str(path), *shlex.split(" ".join(options))]) == 0
    return Store(target)


def test_versions_are_commits_and_hash_alike_when_they_are_read_back(store, tmp_path, capsys):
    done = write_delta(store, tmp_path / "out")
    assert (done.written, done.held, done.empty) == ((0, 1, 2), (), ())
    again = ingested(done.path, done.options, tmp_path / "again")
    assert again.contents == store.contents
    assert events(again) == events(store)


def test_any_reader_of_delta_sees_the_events_of_each_version(store, tmp_path):
    write_delta(store, tmp_path / "out")
    for number, height in enumerate(v.counts.kept for v in store.versions):
        table = pl.read_delta(str(tmp_path / "out"), version=number)
        assert table.columns == ["user", "item", "value", "time"]
        assert table.height == sum(v.counts.kept for v in store.versions[: number + 1])
        assert height > 0
    assert DeltaTable(str(tmp_path / "out")).version() == 2


def test_what_is_there_is_not_written_again_and_later_versions_follow(store, tmp_path):
    write_delta(store, tmp_path / "out")
    assert write_delta(store, tmp_path / "out").written == ()
    add(store, write(tmp_path / "more.csv", rows(40, 9, START + 9 * DAY, users=90)))
    done = write_delta(store, tmp_path / "out")
    assert (done.written, done.held) == ((3,), (0, 1, 2))


def test_weights_repeats_and_late_versions_come_back_too(tmp_path, capsys):
    store = Store(tmp_path / "store")
    header = "user,item,action,time"
    options = {"columns": {"rating": "action"}, "weights": {"view": 1, "buy": 5}, "repeats": "all"}
    for k, start in enumerate((START + 5 * DAY, START)):
        lines = [f"u{n % 7},i{n % 3},{'buy' if n % 4 else 'view'},{start + n}" for n in range(60)]
        add(store, write(tmp_path / f"{k}.csv", lines, header), policy=Policy(out_of_order="accept"), **options)
    done = write_delta(store, tmp_path / "out")
    assert {"data.repeats=all", "--out-of-order accept", "data.feedback=implicit"} <= set(done.options)
    again = ingested(done.path, done.options, tmp_path / "again")
    assert again.contents == store.contents
    assert [v.feedback for v in again.versions] == ["implicit", "implicit"]


def test_a_store_without_times_has_no_column_of_times(tmp_path, capsys):
    store = Store(tmp_path / "store")
    add(store, write(tmp_path / "a.csv", [f"u{n % 9},i{n % 7}" for n in range(40)], "user,item"))
    done = write_delta(store, tmp_path / "out")
    assert pl.read_delta(str(done.path)).columns == ["user", "item", "value"]
    assert ingested(done.path, done.options, tmp_path / "again").contents == store.contents


def test_a_version_that_lost_all_rows_has_no_commit(tmp_path):
    store = Store(tmp_path / "store")
    add(store, write(tmp_path / "a.csv", rows(30)))
    add(store, write(tmp_path / "b.csv", [f"gone,i{n},3,{START + 2 * DAY + n}" for n in range(9)]))
    erase(store, "gone")
    done = write_delta(store, tmp_path / "out")
    assert (done.written, done.empty) == ((0,), (1,))


def test_a_table_from_before_an_erasure_is_refused(store, tmp_path):
    write_delta(store, tmp_path / "out")
    erase(store, store.rows().collect()["user"][0])
    with pytest.raises(GnnrecError, match="erased from, or another store"):
        write_delta(store, tmp_path / "out")


def test_no_id_stands_in_the_log(store, tmp_path):
    write_delta(store, tmp_path / "out")
    for number in range(3):
        text = delta_log.entry(tmp_path / "out", number).read_text()
        assert "u1" not in json.dumps([line for line in text.splitlines() if '"add"' in line])


def test_another_table_is_left_alone(store, tmp_path):
    write_deltalake(str(tmp_path / "theirs"), pl.DataFrame({"a": [1]}))
    with pytest.raises(GnnrecError, match="commit 0 is not of `gnnrec data export`"):
        write_delta(store, tmp_path / "theirs")
    with pytest.raises(GnnrecError, match="is the store itself"):
        write_delta(store, store.path)
    with pytest.raises(GnnrecError, match="in the path"):
        write_delta(store, tmp_path / "a#b")
    with pytest.raises(GnnrecError, match="no version of gnnrec's"):
        write_delta(Store(tmp_path / "theirs"), tmp_path / "out")
