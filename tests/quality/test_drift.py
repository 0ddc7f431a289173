"""Alarms at the rate that is asked for in equal populations, whatever the sizes; a tenth of the events moved is found."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from gnnrec.quality import drift
from gnnrec.quality.statistics import Counting, Joined, Statistics, gini, top_share

SIZES = [(n, m) for n in (300, 1000, 5000, 50_000) for m in (300, 1000, 5000, 50_000)]
RUNS = 1000


def zipf(items=1000):
    share = 1 / np.arange(1, items + 1) ** 0.8
    return share / share.sum()


def frame(counts):
    return pl.DataFrame({"key": [f"i{k:04}" for k in np.flatnonzero(counts)], "count": counts[counts > 0]})


def p_of(reference, new):
    found = drift.compare(*drift.popularity(frame(reference), frame(new)))
    return 1.0 if found is None else found.p_value


@pytest.mark.slow
def test_false_alarms_stay_near_the_nominal_rate_over_all_sizes():
    rng, rates = np.random.default_rng(0), []
    for n, m in SIZES:
        alarms = [p_of(rng.multinomial(n, zipf()), rng.multinomial(m, zipf())) < 0.01 for _ in range(RUNS)]
        rates.append(np.mean(alarms))
    # 1,000 runs at 1 % scatter by 0.3 points; the mean over sizes is the sharper test.
    assert max(rates) <= 0.02
    assert 0.005 <= np.mean(rates) <= 0.02


@pytest.mark.slow
def test_a_tenth_of_the_events_moved_is_found():
    rng = np.random.default_rng(1)
    for n, to in ((1000, slice(20, 25)), (5000, slice(200, 220)), (50_000, slice(200, 220))):
        moved = zipf() * 0.9
        moved[to] += 0.1 / (to.stop - to.start)
        found = [p_of(rng.multinomial(n, zipf()), rng.multinomial(n, moved)) < 0.01 for _ in range(200)]
        assert np.mean(found) >= 0.9, n


def test_equal_counts_do_not_differ_and_js_is_that_of_scipy():
    a, b = np.array([50.0, 30, 20]), np.array([20.0, 30, 50])
    same, other = drift.compare(a, a), drift.compare(a, b)
    assert same is not None
    assert other is not None
    assert (same.psi, same.js) == (0, 0)
    assert same.p_value == 1
    assert other.js == pytest.approx(jensenshannon(a, b, base=2) ** 2)
    assert other.p_value < 0.01


def test_nothing_is_said_where_nothing_can_be():
    assert drift.compare(np.zeros(3), np.ones(3)) is None
    assert drift.compare(np.array([4.0, 0]), np.array([9.0, 0])) is None


def test_rare_bins_are_merged():
    found = drift.compare(np.array([1000.0, 1000, 1, 1]), np.array([1000.0, 1000, 2, 1]))
    assert found is not None
    assert found.bins == 2


def rows(seed, n):
    rng = np.random.default_rng(seed)
    time = pl.Series(rng.integers(10**15, 10**15 + 10**12, n)).cast(pl.Datetime("us", "UTC"))
    ids = {c: pl.Series([f"{c}{k}" for k in rng.integers(0, 9, n)], dtype=pl.String) for c in ("user", "item")}
    return pl.DataFrame({**ids, "value": rng.integers(1, 6, n).astype(float), "time": time})


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 60), st.integers(0, 60))
def test_statistics_of_both_are_the_sum_of_the_statistics(seed, n, m):
    a, b = rows(seed, n), rows(seed + 1, m)
    assert Statistics.of(pl.concat([a, b])) == Statistics.of(a) + Statistics.of(b)


def test_statistics_are_what_numpy_says():
    found, data = Statistics.of(rows(3, 500)), rows(3, 500)
    assert found.rows == 500
    assert found.mean == pytest.approx(data["value"].mean())
    assert found.deviation == pytest.approx(data["value"].std(ddof=0))
    assert found.by_hour_of_day().sum() == 500


def test_gini_and_top_share_of_known_cases():
    assert gini(np.ones(10)) == pytest.approx(0)
    assert gini(np.array([0.0] * 99 + [5])) == pytest.approx(0.99)
    assert top_share(np.array([1.0] * 99 + [99])) == pytest.approx(0.5)
    assert gini(np.array([])) is None


def test_parts_of_two_islands_however_the_edges_come():
    user, item = pl.Series([0, 1, 2, 4]), pl.Series([0, 0, 1, 1])
    whole, pieces = Joined(), Joined()
    whole.add(user, item)
    for n in (3, 2, 1, 0):
        pieces.add(user.slice(n, 1), item.slice(n, 1))
    assert whole.parts == pieces.parts == 2 + 1  # user 3 has no edge
    whole.add(pl.Series([0]), pl.Series([1]))
    assert whole.parts == 1 + 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.lists(st.integers(0, 60), max_size=4))
def test_events_counted_in_pieces_are_the_events_counted_at_once(seed, n, cuts):
    """Parts are checked against a search from node to node."""
    data = rows(seed, n).with_columns(pl.col("user", "item").cast(pl.String))
    ids = {name: pl.Series(["nobody", *data[name].unique().sort(descending=True)]) for name in ("user", "item")}
    coded = data.with_columns(data[name].replace_strict(k, range(len(k))).cast(pl.UInt32) for name, k in ids.items())
    counting = Counting(ids)
    edges = sorted({0, n, *(c for c in cuts if c < n)})
    for start, end in pairwise(edges):
        counting.add(coded[start:end])
    assert counting.statistics() == Statistics.of(data)
    reached: dict[str, set[str]] = {}
    for u, i in data.select("user", "item").iter_rows():
        reached.setdefault(f"u{u}", set()).add(f"i{i}")
        reached.setdefault(f"i{i}", set()).add(f"u{u}")
    parts = 0
    while reached:
        parts, todo = parts + 1, [next(iter(reached))]
        while todo:
            todo += reached.pop(todo.pop(), ())
    assert counting.components == parts
