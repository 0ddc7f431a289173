"""Popularity as it was, against sums over events."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gnnrec.counters import past as module
from gnnrec.counters.past import PastPopularity, past_popularity
from gnnrec.counters.popularity import Popularity
from gnnrec.data.types import Interactions

ITEMS = 8


def log_of(parts, seed=0, ties=2):
    """Return parts of so many events one after the other in time, with some at equal times."""
    rng, begin, made = np.random.default_rng(seed), 0.0, []
    for n in parts:
        time = begin + np.sort(rng.integers(0, max(n // ties, 1), n)) * 1.0
        made.append(Interactions(np.zeros(n, np.int64), rng.integers(0, ITEMS, n), np.ones(n), time))
        begin = time[-1] + 1 if n else begin
    return made


def counted(item, half_life):
    """Return Σ 2^(−age / h) of each item over these events, by loops."""
    found = np.zeros(ITEMS)
    for age, i in enumerate(reversed(item.tolist())):
        found[i] += 2 ** (-age / half_life)
    return found


@pytest.mark.parametrize("half_life", [0.3, 2.0, 7.0, 1e5])
@pytest.mark.parametrize("since", [0, 60, 110])
@pytest.mark.parametrize("parts", [[50, 0, 30, 70], [150]])
def test_each_slice_has_the_counts_of_what_lies_before_it(half_life, since, parts):
    log = log_of(parts)
    events = Interactions.concat(log)
    asked = events.time[since:]
    found = past_popularity(log, half_life, asked, ITEMS)
    assert np.array_equal(found.begin, np.unique(asked))  # fewer than may be: one to a time
    for begin, row in zip(found.begin, found.counts, strict=True):
        assert np.allclose(row, counted(events.item[events.time < begin], half_life), rtol=1e-5, atol=1e-7)


def test_no_event_is_among_its_own_counts(monkeypatch):
    monkeypatch.setattr(module, "MOST", 20)
    log = log_of([300], ties=5)
    found = past_popularity(log, 9.0, log[0].time, ITEMS)
    assert len(found.begin) == 20
    assert np.all(found.begin[found.slice_of(log[0].time)] <= log[0].time)


def test_slices_share_the_events_asked_for_alike_whatever_lies_between(monkeypatch):
    """One old event among those of an update, as in a replay, takes one slice and no more."""
    monkeypatch.setattr(module, "MOST", 25)
    log = [replace(x, time=n * 1e4 + np.arange(len(x))) for n, x in enumerate(log_of([5000, 100]))]
    asked = np.concatenate([log[0].time[:1], log[1].time])
    found = past_popularity(log, 9.0, asked, ITEMS)
    per = np.bincount(found.slice_of(asked))
    assert len(per) == 25
    assert per.min() >= 4
    assert per.max() <= 5


def test_events_lie_in_the_slice_that_began_last():
    held = PastPopularity(np.array([3.0, 5.0, 9.0]), np.zeros((3, 1), np.float32))
    assert held.slice_of(np.array([1.0, 3.0, 4.9, 5.0, 8.0, 9.0, 99.0])).tolist() == [0, 0, 0, 1, 1, 2, 2]


def test_what_was_held_back_counts_at_its_time_not_where_it_was_absorbed():
    whole = replace(log_of([80])[0], time=np.arange(80.0))
    at = np.arange(80) % 5 == 0
    a, b = (past_popularity(x, 6.0, whole.time, ITEMS) for x in ([whole], [whole.take(~at), whole.take(at)]))
    assert np.array_equal(a.counts, b.counts)


def test_the_last_slice_leads_to_what_popularity_holds_now():
    now = Popularity([5.0])
    log = [replace(x, time=n * 100.0 + np.arange(len(x))) for n, x in enumerate(log_of([50, 30, 70]))]
    for part in log:
        now.absorb(part, ITEMS)
    events = Interactions.concat(log)
    found = past_popularity(log, 5.0, events.time, ITEMS)
    rest = events.item[int(np.searchsorted(events.time, found.begin[-1])) :]
    then = found.counts[-1] * 2 ** (-len(rest) / 5.0)
    assert np.allclose(now.at(5.0), then + counted(rest, 5.0), rtol=1e-5)


def test_slices_are_bounded_in_number_and_in_cells(monkeypatch):
    log = log_of([800])
    monkeypatch.setattr(module, "MOST", 90)
    assert len(past_popularity(log, 2.0, log[0].time, ITEMS).begin) == 90
    monkeypatch.setattr(module, "CELLS", 30 * ITEMS)
    assert len(past_popularity(log, 2.0, log[0].time, ITEMS).begin) == 30
    monkeypatch.setattr(module, "CELLS", 3 * ITEMS)
    assert past_popularity(log, 2.0, log[0].time, ITEMS) is None  # too few to tell one time from another


def test_an_update_reads_no_more_of_the_history_than_counts():
    log = log_of([40] * 30)
    needed = module._needed(log, 1.0, float(log[-1].time[0]))
    assert [p is q for p, q in zip(needed, log[-3:], strict=True)] == [True] * 3  # the newest, and 50 half-lives
    found, whole = (past_popularity(x, 1.0, log[-1].time, ITEMS).counts for x in (log[-3:], log))
    assert np.allclose(found, whole)
    # Held-back events lie at times among those of the part before: that is needed too, however many they are.
    whole = replace(log_of([2000])[0], time=np.arange(2000.0))
    held = np.arange(2000) % 10 == 0
    assert len(module._needed([whole.take(~held), whole.take(held)], 1.0, 1999.5)) == 2


@pytest.mark.parametrize("times", [np.zeros(0), np.zeros(200), np.repeat(np.arange(15.0), 9)])
def test_where_times_tell_too_little_there_is_no_past(times):
    """No time at all, blocks without a time inside: zeros, or another block's counts, would be no better than today's."""
    assert past_popularity(log_of([200]), 10.0, times, ITEMS) is None


def test_a_few_events_of_different_times_have_one():
    found = past_popularity([], 3.0, np.array([5.0, 6.0]), ITEMS)
    assert found.counts.shape == (2, ITEMS)
    assert not found.counts.any()
