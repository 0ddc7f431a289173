"""Intervals that cover in worlds where the truth is known, draws that agree with loops, memory that does not grow."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnrec.core.errors import GnnrecError
from gnnrec.core.seeds import generator
from gnnrec.evaluation import bootstrap as bs
from gnnrec.evaluation.pairs import UserPairs
from gnnrec.evaluation.simultaneous import corrected, one_sided

A, B, ZERO = ("a", "model"), ("b", "model"), ("zero", "reference")


def world(
    rng: np.random.Generator, users: int, t: int, seeds: int, spread: tuple[float, float, float, float]
) -> UserPairs:
    """Differences a − zero of mean 0, with effects of users, increments, seeds, and noise of so much spread."""
    active = rng.random((users, t)) < 0.5
    active[rng.integers(users)] = True
    increment, user = np.nonzero(active.T)
    by_user, by_increment, by_seed = (
        s * rng.normal(size=n) for s, n in zip(spread[:3], (users, t, seeds), strict=True)
    )
    values = by_user[user] + by_increment[increment] + by_seed[:, None]
    values = (values + spread[3] * rng.normal(size=(seeds, len(user)))).astype(np.float32)
    return UserPairs(user, increment, {A: values, ZERO: np.zeros_like(values)})


def covered(worlds: int, t: int, seeds: int, spread: tuple[float, float, float, float], resamples: int = 400) -> float:
    rng, hits = np.random.default_rng(0), 0
    for i in range(worlds):
        draws = bs.draw(world(rng, 60, t, seeds, spread), [(A, ZERO)], resamples, i)
        low, high, _, _ = corrected(draws.observed, draws.wide)
        hits += bool(low[0] <= 0 <= high[0])
    return hits / worlds


def test_the_wide_interval_covers_where_users_differ() -> None:
    """Users drawn apart in every increment and seed cover .25 to .43 of these worlds instead of .95."""
    assert covered(60, 6, 3, (1.0, 0.0, 0.0, 0.5), 200) > 0.88


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spread", "least", "most"),
    [
        ((1.0, 0.0, 0.0, 0.5), 0.93, 1.0),  # users alone
        ((0.0, 1.0, 0.0, 0.5), 0.86, 0.97),  # increments alone
        ((0.0, 0.0, 1.0, 0.5), 0.74, 0.92),  # three to five seeds alone: too few levels for any resampling
        ((1.0, 0.3, 0.3, 1.0), 0.92, 0.99),
        ((0.3, 0.3, 0.3, 0.3), 0.86, 0.97),
        ((0.0, 0.0, 0.0, 1.0), 0.96, 1.0),  # noise alone is counted three times (Owen 2007)
    ],
)
@pytest.mark.parametrize(("t", "seeds"), [(5, 3), (10, 5)])
def test_coverage_at_95_percent(spread, least, most, t, seeds) -> None:
    assert least <= covered(300, t, seeds, spread) <= most


def test_draws_agree_with_loops_over_users_increments_and_seeds() -> None:
    """One weight per user for all increments and seeds, t−1 increments and s−1 seeds drawn."""
    pairs, b = world(np.random.default_rng(3), 7, 5, 3, (1.0, 1.0, 1.0, 1.0)), 40
    found = bs.draw(pairs, [(A, ZERO)], b, seed=9)
    rng, crossed = generator(9, "bootstrap"), generator(9, "crossed")
    chances = crossed.random((b, 8))
    for i in range(b):
        weight = np.bincount(rng.integers(7, size=7, dtype=np.int32), minlength=7)
        cell = np.full((5, 3), np.nan)
        for t in range(5):
            of = pairs.increment == t
            if (w := weight[pairs.user[of]]).sum():
                cell[t] = (pairs.value[A][:, of] * w).sum(axis=1) / w.sum()
        assert found.narrow[i, 0] == pytest.approx(np.nanmean(cell), abs=1e-6)
        increments, seeds = (chances[i, :4] * 5).astype(int), (chances[i, 5:7] * 3).astype(int)
        with np.errstate(invalid="ignore"):
            want = np.nanmean(cell[np.ix_(increments, seeds)]) if np.isfinite(cell[increments]).any() else np.nan
        assert found.wide[i, 0] == pytest.approx(want, abs=1e-6, nan_ok=True)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 12), st.integers(1, 7), st.integers(1, 3), st.floats(0, 0.6))
def test_the_observed_difference_is_a_loop_over_what_both_rows_have(seed, users, t, seeds, missing) -> None:
    rng = np.random.default_rng(seed)
    pairs = world(rng, users, t, seeds, (1.0, 1.0, 1.0, 1.0))
    other = rng.normal(size=pairs.value[A].shape).astype(np.float32)
    other[rng.random(other.shape) < missing] = np.nan
    both = UserPairs(pairs.user, pairs.increment, {A: pairs.value[A], B: other})
    if not np.isfinite(other).any():
        return
    found = bs.draw(both, [(A, B)], 3)
    means = []
    for s in range(seeds):
        cells = [(pairs.value[A] - other)[s, pairs.increment == k] for k in range(t)]
        cells = [np.nanmean(c) for c in cells if np.isfinite(c).any()]
        means += [np.mean(cells)] if cells else []
    assert found.observed[0] == pytest.approx(np.mean(means), abs=1e-5)
    assert np.isnan(found.wide).all() == (np.isfinite(found.cells).any(axis=2).sum() < bs.FEWEST)


def test_any_block_size_gives_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = world(np.random.default_rng(1), 30, 6, 2, (1.0, 1.0, 1.0, 1.0))
    once = bs.draw(pairs, [(A, ZERO)], 50)
    monkeypatch.setattr(bs, "_BLOCK", 100)
    again = bs.draw(pairs, [(A, ZERO)], 50)
    assert np.allclose(once.narrow, again.narrow, atol=1e-6)
    assert np.allclose(once.wide, again.wide, atol=1e-6)


def test_bootstrap_error_is_the_standard_error_of_the_mean() -> None:
    values = np.random.default_rng(1).normal(size=(1, 400)).astype(np.float32)
    pairs = UserPairs(np.arange(400), np.zeros(400, np.int64), {A: values, ZERO: np.zeros_like(values)})
    drawn = bs.draw(pairs, [(A, ZERO)], 4000).narrow
    assert drawn.std() == pytest.approx(values.std() / 20, rel=0.06)


def test_no_claim_beyond_fewer_than_five_increments_and_a_lone_seed_stays() -> None:
    few = bs.draw(world(np.random.default_rng(0), 20, 4, 3, (1.0, 1.0, 1.0, 1.0)), [(A, ZERO)], 30)
    assert np.isnan(few.wide).all()
    assert all(np.isnan(x).all() for x in corrected(few.observed, few.wide))
    lone = bs.draw(world(np.random.default_rng(0), 20, 5, 1, (1.0, 0.0, 1.0, 1.0)), [(A, ZERO)], 30)
    assert np.isfinite(lone.wide).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(19, 400))
def test_p_is_below_5_percent_exactly_where_the_interval_leaves_out_0(seed, couples, b) -> None:
    rng = np.random.default_rng(seed)
    observed = rng.normal(size=couples) * 3
    drawn = observed + rng.normal(size=(b, couples)) * rng.random(couples)
    low, high, p, _ = corrected(observed, drawn)
    assert ((p <= 0.05) == ((low > 0) | (high < 0))).all()
    error = drawn.std(axis=0, ddof=1)
    largest = [max(abs(drawn[i, c] - observed[c]) / error[c] for c in range(couples)) for i in range(b)]
    for c in range(couples):
        above = sum(m >= abs(observed[c]) / error[c] for m in largest)
        assert p[c] == pytest.approx((1 + above) / (b + 1))


def test_more_couples_widen_all_intervals_and_too_few_resamples_are_refused() -> None:
    drawn = np.random.default_rng(0).normal(size=(4000, 20))
    alone, together = (corrected(np.zeros(c), drawn[:, :c])[3][0] for c in (1, 20))
    assert alone == pytest.approx(1.96, rel=0.06)
    assert together == pytest.approx(3.02, rel=0.06)  # 1 − .05/20 of a normal
    below, above = one_sided(np.zeros(1), drawn[:, :1])
    assert (below[0], above[0]) == pytest.approx((1.645, 1.645), rel=0.06)
    with pytest.raises(GnnrecError, match="resamples=10 are too few"):
        corrected(np.zeros(1), drawn[:10, :1])


def test_memory_grows_with_rows_and_not_with_couples(monkeypatch: pytest.MonkeyPatch) -> None:
    """40 rows and 114 couples of 3 seeds and 60,000 pairs: as differences they would take 82 MB more."""
    monkeypatch.setattr(bs, "_BLOCK", 400_000)
    rng, n = np.random.default_rng(0), 60_000
    rows = [(f"r{i}", "model") for i in range(40)]
    value = {row: rng.random((3, n)).astype(np.float32) for row in rows}
    pairs = UserPairs(np.tile(np.arange(6000), 10), np.repeat(np.arange(10), 6000), value)
    couples = (
        [(row, base) for base in rows[:3] for row in rows[3:]]
        + [(rows[0], b) for b in rows[1:3]]
        + [(rows[1], rows[2])]
    )
    tracemalloc.start()
    bs.draw(pairs, couples, 60)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    block = 4 * (2 * bs._BLOCK + 3 * 40 * 6000)  # weights, those of an increment's users, its columns: float32
    assert peak < block + 4e6, peak
