"""Cutting a log: borders, ties, splits, numbers, and no look ahead."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from data_logs import make_log
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gnnrec.core.errors import GnnrecError
from gnnrec.core.seeds import node_key
from gnnrec.data.clean.timestamps import parse_instant
from gnnrec.data.stream.cuts import ByColumn, ByCount, ByTime
from gnnrec.data.types import Interactions, Observed

DAY = 86_400.0
quick = settings(max_examples=60, deadline=None)


@st.composite
def logs(draw):
    n = draw(st.integers(1, 60))
    users = draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))
    items = draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))
    gaps = draw(st.lists(st.sampled_from([0, 0, 1, DAY, 9 * DAY]), min_size=n, max_size=n))
    return make_log(users, items, 1.4e9 + np.cumsum(gaps), np.arange(n))


splitters = st.one_of(
    st.builds(
        ByCount,
        increments=st.integers(1, 6),
        size=st.none() | st.integers(1, 9),
        base=st.sampled_from([0.3, 0.5, 1, 0.99]),
        valid_share=st.sampled_from([0, 0.1, 0.4]),
        test_share=st.sampled_from([0, 0.1, 0.5]),
    ),
    st.builds(ByTime, width=st.sampled_from(["1d", "7d", "1mo", "3h"]), base=st.sampled_from([0.3, 1, None])),
)


def built(splitter, log):
    """Return the stream, of a log that is long enough for the base and the increments asked for."""
    try:
        return splitter.build(log)
    except GnnrecError as error:
        assume("leaves none to follow" not in str(error) and "would leave most empty" not in str(error))
        raise


def parts_of(stream) -> list[Interactions]:
    return [p for i in stream.increments for p in (i.observed.train, i.observed.valid, i.test)]


def column(parts, name) -> np.ndarray:
    return np.concatenate([getattr(p, name) for p in parts])


@quick
@given(log=logs(), splitter=splitters)
def test_parts_partition_the_log_and_never_split_a_tie(log, splitter) -> None:
    stream = built(splitter, log)
    parts = parts_of(stream)
    assert list(column(parts, "value")) == list(log.value)
    assert list(stream.users[column(parts, "user")]) == list(log.user)
    assert list(stream.items[column(parts, "item")]) == list(log.item)
    filled = [p for p in parts if len(p)]
    for before, after in pairwise(filled):
        assert before.time[-1] < after.time[0]
    for now, then in pairwise(stream.increments):
        whole = Interactions.concat([then.observed.train, then.observed.valid, then.test])
        assert list(now.upcoming.value) == list(whole.value)
    assert not len(stream.increments[-1].upcoming)


@quick
@given(log=logs(), splitter=splitters | st.builds(ByCount, base=st.just(1), split=st.just("next_half"),
       increments=st.integers(1, 5), graph=st.sampled_from(["strict", "fold_in"])))  # fmt: skip
def test_numbers_are_a_prefix_in_order_of_absorption(log, splitter) -> None:
    stream = built(splitter, log)
    for name, size in (("user", "num_users"), ("item", "num_items")):
        seen: list[int] = []
        for increment in stream.increments:
            new = increment.observed
            for part in (new.arrived, new.folded):
                seen += [x for x in dict.fromkeys(getattr(part, name).tolist()) if x not in seen]
            assert seen == list(range(getattr(new, size)))
            assert len(new.user_key) == new.num_users
    assert len(set(stream.users)) == len(stream.users) == len(log.user_ids)
    last = stream.increments[-1].observed
    assert list(last.user_key) == [node_key(u) for u in stream.users[: last.num_users]]


def bytes_of(seen: Observed) -> list[object]:
    out: list[object] = []
    for field in fields(Observed):
        part = getattr(seen, field.name)
        if isinstance(part, Interactions):
            out += [getattr(part, f.name).tobytes() for f in fields(Interactions)]
        else:
            out.append(part.tobytes() if isinstance(part, np.ndarray) else part)
    return out


@quick
@given(log=logs(), splitter=splitters, seed=st.integers(0, 99), t=st.integers(0, 5))
def test_scrambling_what_is_not_observed_changes_nothing(log, splitter, seed, t) -> None:
    stream = built(splitter, log)
    t = min(t, len(stream.increments) - 1)
    seen = {v for i in stream.increments[: t + 1] for p in (i.observed.train, i.observed.valid) for v in p.value}
    rng = np.random.default_rng(seed)
    noise = ~np.isin(log.value, list(seen))
    users = np.where(noise, rng.integers(100, 109, len(log)), log.user.astype(int))
    items = np.where(noise, rng.integers(0, 109, len(log)), log.item.astype(int))
    values = np.where(noise, -1.0, log.value)
    other = built(splitter, make_log(users, items, log.time, values))
    for k in range(t + 1):
        assert bytes_of(stream.increments[k].observed) == bytes_of(other.increments[k].observed)


def sizes(stream) -> list[tuple[int, ...]]:
    return [(len(i.observed.train), len(i.observed.valid), len(i.test), len(i.upcoming)) for i in stream.increments]


def test_base_slices_are_capped_at_those_of_an_average_increment() -> None:
    log = make_log(range(200), range(200), range(200))
    assert sizes(ByCount(increments=5).build(log)) == [(96, 2, 2, 20), *[(16, 2, 2, 20)] * 4, (16, 2, 2, 0)]
    assert sizes(ByCount(increments=1).build(log)) == [(80, 10, 10, 100), (80, 10, 10, 0)]


def test_test_share_zero_is_the_production_stream() -> None:
    stream = ByCount(increments=2, test_share=0).build(make_log(range(40), range(40), range(40)))
    assert not stream.has_test
    assert sizes(stream) == [(19, 1, 0, 10), (9, 1, 0, 10), (9, 1, 0, 0)]
    assert ByCount(increments=2).build(make_log(range(40), range(40), range(40))).has_test


def test_a_tie_goes_to_the_earlier_side() -> None:
    log = make_log(range(10), range(10), [0, 0, 0, 0, 5, 5, 5, 5, 5, 9])
    stream = ByCount(increments=2, base=5, valid_share=0, test_share=0).build(log)
    assert sizes(stream) == [(9, 0, 0, 0), (0, 0, 0, 1), (1, 0, 0, 0)]


def test_all_times_equal_leave_only_a_base() -> None:
    assert sizes(ByCount(increments=2).build(make_log("abcd", "abcd", [7] * 4))) == [
        (4, 0, 0, 0),
        (0, 0, 0, 0),
        (0, 0, 0, 0),
    ]


def test_next_half_strict_and_fold_in() -> None:
    log = make_log("abcdefghijkl", range(12), range(12))
    args = {"increments": 2, "base": 4, "split": "next_half"}
    strict = ByCount(**args).build(log)
    folded = ByCount(**args, graph="fold_in").build(log)
    assert not strict.has_test
    assert sizes(strict) == sizes(folded) == [(4, 2, 0, 2), (4, 2, 0, 2)]
    for stream, arrived, absorbed, known in ((strict, (4, 4), (0, 0), (4, 8)), (folded, (4, 2), (2, 2), (6, 10))):
        seen = [i.observed for i in stream.increments]
        assert tuple(len(o.arrived) for o in seen) == arrived
        assert tuple(len(o.folded) for o in seen) == absorbed
        assert tuple(o.num_users for o in seen) == known
        assert "".join(stream.users) == "abcdefghijkl"


def test_by_column_reads_the_split_and_keeps_the_order_of_the_file() -> None:
    log = make_log(
        "abcdefgh",
        "abcdefgh",
        None,
        range(8),
        period=[10, 9, 9, 9, 10, 10, 9, 10],
        split=["test", "valid", "train", "test", "train", "train", "train", "valid"],
    )
    splitter = ByColumn(split="column")
    assert splitter.columns == ("period", "split")
    stream = splitter.build(log)
    first, second = stream.increments
    assert [list(p.value) for p in (first.observed.train, first.observed.valid, first.test)] == [[2, 6], [1], [3]]
    assert [list(p.value) for p in (second.observed.train, second.observed.valid, second.test)] == [[4, 5], [7], [0]]
    assert sorted(first.upcoming.value) == [0, 4, 5, 7]
    assert "".join(stream.users) == "cgbefhda"
    assert list(second.observed.train.time) == [1, 1]
    assert stream.has_test
    assert sizes(ByColumn(base=10).build(log)) == [(6, 1, 1, 0)]


def test_by_time_draws_calendar_borders() -> None:
    start = parse_instant("2020-01-15", "")
    log = make_log(range(100), range(100), start + DAY * np.arange(100))
    args = {"valid_share": 0, "test_share": 0}
    assert [s[0] for s in sizes(ByTime("1mo", base=None, **args).build(log))] == [17, 29, 31, 23]
    assert [s[0] for s in sizes(ByTime("1mo", offset="9d", base=None, **args).build(log))] == [26, 29, 31, 14]
    assert [s[0] for s in sizes(ByTime("1w", base=0.5, **args).build(log))] == [54, 7, 7, 7, 7, 7, 7, 4]
    assert [s[0] for s in sizes(ByTime("30d", base="2020-02-01", **args).build(log))] == [17, 30, 30, 23]
    assert [s[0] for s in sizes(ByTime("1mo", base="2020-01-31", **args).build(log))] == [16, 29, 31, 24]


def test_half_open_days_with_an_offset() -> None:
    three = parse_instant("2017-10-06T03:00", "")
    log = make_log(range(4), range(4), [three - 1, three, three + DAY - 1, three + DAY])
    args = {"valid_share": 0, "test_share": 0}
    assert [s[0] for s in sizes(ByTime("1d", base="2017-10-06T03:00", **args).build(log))] == [1, 2, 1]
    assert [s[0] for s in sizes(ByTime("1d", offset="3h", base=None, **args).build(log))] == [1, 2, 1]


def test_empty_increments_stay() -> None:
    log = make_log("ab", "ab", [1.4e9, 1.4e9 + 3 * DAY])
    assert sizes(ByTime("1d", base=None).build(log)) == [(1, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 1), (1, 0, 0, 0)]


def test_fingerprint_sees_every_row_and_border_and_never_changes() -> None:
    log = make_log("aabb", "xyxz", [1, 2, 3, 4], [1, 2, 3, 4])
    known = ByCount(2).build(log).fingerprint
    assert known == "ac8a6e4ee973af738726f9daf07bc5af88652ddfa71bf65c6e2b864a820d242d"
    others = [
        ByCount(1).build(log),
        ByCount(2).build(make_log("aabb", "xyxw", [1, 2, 3, 4], [1, 2, 3, 4])),
        ByCount(2).build(make_log("aabb", "xyxz", [1, 2, 3, 5], [1, 2, 3, 4])),
        ByCount(2).build(make_log("aabb", "xyxz", [1, 2, 3, 4], [1, 2, 3, 5])),
    ]
    assert len({known, *(o.fingerprint for o in others)}) == 5


def test_without_time_the_order_of_the_file_counts_and_is_said() -> None:
    log = make_log(range(10), range(10))
    stream = ByCount(2).build(log)
    assert any("order of the file" in note for note in stream.notes)
    assert list(np.diff(column(parts_of(stream), "time")) >= 0) == [True] * 9


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ByCount(split="withn"), "did you mean 'within'"),
        (lambda: ByCount(split="column"), "by_column"),
        (lambda: ByCount(graph="fold"), "did you mean 'fold_in'"),
        (lambda: ByCount(increments=0), "1 or more"),
        (lambda: ByCount(size=0), "1 or more"),
        (lambda: ByCount(valid_share=0.5, test_share=0.5), "nothing to train on"),
        (lambda: ByCount(test_share=1.0), r"outside \[0, 1\)"),
        (lambda: ByTime(width="7 days"), "no width"),
        (lambda: ByTime(width="0d"), "longer"),
        (lambda: ByColumn(split="column", split_column=None), "split_column"),
    ],
)
def test_bad_settings_are_refused(make, message) -> None:
    with pytest.raises(GnnrecError, match=message):
        make()


@pytest.mark.parametrize(
    ("splitter", "message"),
    [
        (ByCount(base=1.0 + 1, increments=2), None),
        (ByCount(base=2), "increments=10 for the 2 events after the base would leave most empty; choose at most 2"),
        (ByCount(base=1.0), "1.0 is a share that leaves no event after the base"),
        (ByCount(base=0.99), "takes 4 of 4 events and leaves none to follow"),
        (ByCount(base=4), "takes 4 of 4 events"),
        (ByTime(base=1.0), "1.0 is a share"),
        (ByCount(base=1.5), "neither a share"),
        (ByCount(base=0), "neither a share"),
        (ByCount(base=99), "1 to 4"),
        (ByCount(base="1960-01-01"), "no event in the base"),
        (ByCount(base="soon"), "no date"),
        (ByTime(width="1s", base=None), "too narrow"),
        (ByColumn("perio"), "was not loaded"),
        (ByColumn(base=7), "no value of 'period'"),
        (ByColumn(split="column"), "allowed: train, valid, test"),
    ],
)
def test_what_does_not_fit_the_log_is_refused(splitter, message) -> None:
    log = make_log("abcd", "abcd", [1, 2, 3, 1e9], period=[0, 0, 1, 1], split=["train", "dev", "train", "test"])
    if message is None:
        assert len(splitter.build(log).increments) == 3
        return
    with pytest.raises(GnnrecError, match=message):
        splitter.build(log)


def test_by_time_needs_time() -> None:
    with pytest.raises(GnnrecError, match="needs a time column"):
        ByTime().build(make_log("ab", "ab"))
    with pytest.raises(GnnrecError, match="has no time"):
        ByCount(base="2020-01-01").build(make_log("ab", "ab"))


def test_no_events_are_refused() -> None:
    with pytest.raises(GnnrecError, match="no events"):
        ByCount().build(replace(make_log("", "", []), name="x"))


def test_files_may_be_blocks_by_their_names(tmp_path) -> None:
    from gnnrec.data.datasets import File

    for day, users in (("b", "xyz"), ("a", "xy"), ("c", "x")):
        rows = "".join(f"{user},{day}{n},{1.4e9 + n + 100 * ord(day):.0f}\n" for n, user in enumerate(users))
        (tmp_path / f"{day}.csv").write_text("user,item,time\n" + rows)
    splitter = ByColumn(column="@file", valid_share=0, test_share=0)
    log = File(path=str(tmp_path / "*.csv")).load(keep=splitter.columns)
    stream = splitter.build(log)
    assert stream.labels == ("a.csv", "b.csv", "c.csv")
    assert [len(i.observed.train) for i in stream.increments] == [2, 3, 1]
    (tmp_path / "own.csv").write_text("user,item,@file\nx,1,two\nx,2,one\n")
    own = File(path=tmp_path / "own.csv").load(keep=("@file",))
    assert set(own.extra["@file"]) == {"two", "one"}
