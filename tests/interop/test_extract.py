"""What leaves: all events, what is absorbed up to an increment, an increment's train, valid and test as a static split."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from gnnrec.core.errors import GnnrecError
from gnnrec.data.stream.cuts import ByCount
from gnnrec.data.stream.removals import with_removals
from gnnrec.evaluation.settings import Relevant
from gnnrec.evaluation.world import worlds
from gnnrec.interop.extract import absorbed, split, upto, whole
from gnnrec.testing.worlds import daily, dataset, some_rows


def log_of(n=240, repeated=0):
    rows = some_rows(n)
    rows += rows[:repeated]
    user, item, value = zip(*rows, strict=True)
    return dataset(user, item, np.array(value), 1e9 + np.arange(len(rows), dtype=float))


@pytest.fixture(scope="module")
def log():
    return log_of()


@pytest.fixture(scope="module")
def stream(log):
    return ByCount(increments=3, base=0.4).build(log)


def pairs(frame):
    return set(frame.select("user", "item").rows())


def named(stream, events):
    return set(zip(stream.users[events.user], stream.items[events.item], strict=True))


def test_the_whole_log_has_every_event_with_its_own_ids_and_microseconds(log):
    found = whole(log).whole
    expected = list(zip(log.user, log.item, log.value, (log.time * 1e6).round().astype(int), strict=True))
    assert found.with_columns(pl.col("time").dt.epoch("us")).rows() == expected


def test_a_log_without_times_has_no_column_of_times():
    log = dataset("aab", "xyx", np.ones(3), None)
    assert whole(log).whole.columns == ["user", "item", "value"]
    assert "time" not in upto(log, ByCount(increments=1).build(log), 0).whole.columns


def test_up_to_an_increment_is_what_the_world_of_then_has_seen(log, stream):
    for t, world in enumerate(worlds(stream)):
        found = upto(log, stream, t).whole
        row, item = world.seen.neighbours(np.arange(world.num_users), of_users=True)
        assert pairs(found) == set(zip(stream.users[row], stream.items[item], strict=True))
        assert found.height == int(world.popularity.sum())


def test_what_was_taken_back_is_not_exported(log, stream):
    gone = stream.users[0]
    without = with_removals(stream, {2: [(gone, None)]})
    assert pairs(upto(log, without, 1).whole) == pairs(upto(log, stream, 1).whole)
    own = {pair for pair in pairs(upto(log, stream, 1).whole) if pair[0] == gone}
    assert own
    assert pairs(upto(log, without, 2).whole) == pairs(upto(log, stream, 2).whole) - own


def test_a_split_is_what_is_fitted_selected_and_scored_on(log, stream):
    for t in range(3):
        increment, world = stream.increments[t], worlds(stream)[t]
        parts = split(log, stream, t).parts
        assert pairs(parts["train"]) == named(stream, absorbed(stream, t, folded=False))
        assert pairs(parts["valid"]) == named(stream, increment.observed.valid)
        truth = Relevant.of(increment.upcoming, None, world.seen)
        asked = set(zip(stream.users[truth.user[truth.row]], stream.items[truth.item], strict=True))
        assert pairs(parts["test"]) == asked
        assert not pairs(parts["test"]) & (pairs(parts["train"]) | pairs(parts["valid"]))


def test_pairs_that_the_user_has_are_in_test_only_where_nothing_is_masked():
    log = log_of(repeated=60)
    stream = ByCount(increments=2, base=0.5).build(log)
    masked, all_of_it = (split(log, stream, 1, mask).parts["test"] for mask in ("absorbed", "none"))
    seen = pairs(upto(log, stream, 1).whole)
    assert pairs(masked) == pairs(all_of_it) - seen
    assert pairs(all_of_it) & seen
    assert split(log, stream, 1, "none").repeatable


def test_a_pair_counts_once_in_test_and_by_its_first_event():
    day = [("a", "x", 5.0), ("b", "y", 3.0)]
    later = [("b", "x", 2.0), ("b", "x", 4.0), ("a", "y", 1.0)]
    stream = daily(day, later, later)
    log = dataset(*zip(*[(u, i) for u, i, _ in day], strict=True), np.array([5.0, 3.0]), np.array([0.0, 1.0]))
    test = split(log, stream, 0).parts["test"]
    assert test.select("user", "item", "value").rows() == [("b", "x", 2.0), ("a", "y", 1.0)]


def test_only_relevant_pairs_are_valid_and_test(log):
    from dataclasses import replace

    picky = replace(log, positive_from=4.0)
    parts = split(picky, ByCount(increments=3, base=0.4).build(picky), 1).parts
    assert parts["train"]["value"].min() == 1
    assert all(parts[p]["value"].min() >= 4 for p in ("valid", "test"))


def test_repeated_events_in_train_are_said():
    log = log_of(200, repeated=40)
    stream = ByCount(increments=1, base=0.9).build(log)
    (note,) = split(log, stream, 0, "none").notes
    twice = upto(log, stream, 0).whole
    assert "events of a pair that is in it already" in note
    assert twice.height > len(pairs(twice))


@pytest.mark.parametrize(
    ("t", "why"),
    [(3, "nothing behind it to be scored on; 0 to 2 have"), (4, "no increment 4"), (-1, "no increment -1")],
)
def test_an_increment_without_a_next_one_has_no_split(log, stream, t, why):
    with pytest.raises(GnnrecError, match=why):
        split(log, stream, t)


def test_a_mask_that_is_none_is_refused(log, stream):
    with pytest.raises(GnnrecError, match=r"evaluation.mask=all is not known"):
        split(log, stream, 1, "all")
