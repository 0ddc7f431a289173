"""Popularity as it was, against sums over events."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gnnrec.counters import past as module
from gnnrec.counters.past import PastPopularity, past
from gnnrec.counters.popularity import Popularity
from gnnrec.data.types import Interactions

ITEMS = 8


def log_of(parts, seed=0, step=1.0):
    """Return parts of so many events one after the other in time, some at equal times."""
    rng, begin, made = np.random.default_rng(seed), 0.0, []
    for n in parts:
        time = begin + np.sort(rng.integers(0, max(n // 2, 1), n)) * step
        made.append(Interactions(np.zeros(n, np.int64), rng.integers(0, ITEMS, n), np.ones(n), time))
        begin = time[-1] + step
    return made


def counted(item, half_life):
    """Return Σ 2^(−age / h) of each item over these events, by loops."""
    found = np.zeros(ITEMS)
    for age, i in enumerate(reversed(item.tolist())):
        found[i] += 2 ** (-age / half_life)
    return found


@pytest.mark.parametrize("half_life", [2.0, 7.0, 500.0])
@pytest.mark.parametrize("since", [0, 60, 119])
def test_each_slice_has_the_counts_of_what_lies_before_it(half_life, since):
    log = log_of([50, 30, 70])
    events = Interactions.concat(log)
    begin = float(events.time[since])
    found = past(log, half_life, begin, ITEMS)
    first = int(np.searchsorted(events.time, begin))
    assert found.begin[0] == begin
    expected = min(int(np.ceil((150 - first) * 4 / half_life)), 150 - first)  # no slice without an event
    assert len(found.begin) == len(found.counts) == expected
    cuts = np.unique(np.linspace(first, 150, expected, endpoint=False).astype(int))
    for cut, row in zip(cuts, found.counts, strict=True):
        assert np.allclose(row, counted(events.item[:cut], half_life), rtol=1e-5)


def test_events_lie_in_the_slice_that_began_last():
    held = PastPopularity(np.array([3.0, 5.0, 5.0, 9.0]), np.zeros((4, 1), np.float32))
    assert held.slice_of(np.array([1.0, 3.0, 4.9, 5.0, 8.0, 9.0, 99.0])).tolist() == [0, 0, 0, 2, 2, 3, 3]


def test_what_was_held_back_counts_at_its_time_not_where_it_was_absorbed():
    whole = log_of([80])[0]
    at = np.arange(80) % 5 == 0
    late = [whole.take(~at), whole.take(at)]
    a, b = (past(x, 6.0, 0.0, ITEMS) for x in (log_of([80]), late))
    assert np.array_equal(a.begin, b.begin)
    # Equal times may be told apart by where they stand in the log.
    assert np.allclose(a.counts.sum(1), b.counts.sum(1), rtol=1e-5)


def test_the_last_slice_leads_to_what_popularity_holds_now():
    log, now = (
        [replace(x, time=n * 100.0 + np.arange(len(x))) for n, x in enumerate(log_of([50, 30, 70]))],
        Popularity([5.0]),
    )
    for part in log:
        now.absorb(part, ITEMS)
    found, events = past(log, 5.0, 0.0, ITEMS), Interactions.concat(log)
    rest = events.item[int(np.searchsorted(events.time, found.begin[-1])) :]
    then = found.counts[-1] * 2 ** (-len(rest) / 5.0)
    assert np.allclose(now.at(5.0), then + counted(rest, 5.0), rtol=1e-5)


def test_slices_are_bounded_in_number_and_in_cells(monkeypatch):
    log = log_of([400])
    monkeypatch.setattr(module, "MOST", 9)
    assert len(past(log, 2.0, 0.0, ITEMS).begin) == 9
    monkeypatch.setattr(module, "CELLS", 3 * ITEMS)
    assert len(past(log, 2.0, 0.0, ITEMS).begin) == 3
    monkeypatch.setattr(module, "CELLS", 1)
    assert len(past(log, 2.0, 0.0, ITEMS).begin) == 1


def test_an_update_does_not_read_the_whole_history(monkeypatch):
    log = log_of([40] * 30)
    since = float(log[-1].time[0])
    needed = list(module._needed(log, 1.0, since))
    assert [p is q for p, q in zip(needed, log[::-1], strict=False)] == [True] * 3  # the newest, and 50 half-lives
    assert np.allclose(past(log, 1.0, since, ITEMS).counts, past(log[-3:], 1.0, since, ITEMS).counts)


def test_nothing_absorbed_is_one_slice_of_nothing():
    found = past([], 3.0, 0.0, ITEMS)
    assert found.counts.shape == (1, ITEMS)
    assert not found.counts.any()
    assert found.slice_of(np.array([5.0])).tolist() == [0]


def test_times_all_alike_are_in_the_last_slice():
    """Where time tells nothing, the counts are nearly those of now."""
    log = log_of([200], step=0.0)
    found = past(log, 10.0, 0.0, ITEMS)
    assert set(found.slice_of(log[0].time)) == {len(found.begin) - 1}
