"""What strategies are expected to be worth, by what is known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from gnnrec.evaluation.world import World
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.strategies.selection.gains import FEATURES, Gain, Gains, context
from gnnrec.testing.worlds import interactions

WORLD = World(0, 3, 4, BipartiteGraph.empty(), np.array([4.0, 2, 2, 0]), np.zeros(3, bool))
"""Three users, four items, eight events."""


def test_what_is_known_of_an_increment_by_hand():
    x = context(interactions([(0, 0), (1, 4), (3, 4), (3, 1)]), WORLD, gap=-0.3)
    p, q = np.array([0.5, 0.25, 0.25, 0, 0]), np.array([0.25, 0.25, 0, 0, 0.5])
    middle = (p + q) / 2
    shift = sum(0.5 * np.sum(r[r > 0] * np.log2(r[r > 0] / middle[r > 0])) for r in (p, q))
    assert x == pytest.approx([1, 0.5, 0.5, shift, np.log2(1.5), -0.3])
    assert len(x) == len(FEATURES)


def test_an_empty_increment_and_one_before_anything():
    assert context(interactions([]), WORLD, None).tolist() == [1, 0, 0, 0, 0, 0]
    nothing = World(-1, 0, 0, BipartiteGraph.empty(), np.zeros(0), np.zeros(0, bool))
    assert context(interactions([(0, 0)]), nothing, None).tolist() == [1, 1, 1, 1, 1, 0]


def noted(rows, memory=1.0, ridge=1.0, optimism=0.0):
    """Return gains of a strategy named a, rows being (update, context, gain)."""
    gains = Gains(memory, ridge, optimism)
    for update, x, value in rows:
        gains.add("a", Gain(update, tuple(x), value))
    return gains


def test_without_features_it_is_the_mean_of_gains_by_age():
    gains = noted([(0, [1.0], 0.4), (2, [1.0], 0.1)], memory=0.5)
    assert gains.expected("a", 3, np.array([1.0])) == pytest.approx((0.4 * 0.125 + 0.1 * 0.5) / 0.625)
    assert gains.expected("b", 3, np.array([1.0])) is None


def test_it_is_ridge_regression_with_a_free_mean():
    rng = np.random.default_rng(0)
    x = np.column_stack([np.ones(7), rng.random((7, 2))])
    y, w = rng.random(7), 0.8 ** (9.0 - np.arange(7))
    gains, at = noted(zip(range(7), x, y, strict=True), memory=0.8, ridge=0.3), np.array([1.0, 0.2, 0.9])
    # The same as least squares with two more events, one for each feature that is drawn to zero.
    stacked = np.vstack([np.sqrt(w)[:, None] * x, np.sqrt(0.3) * np.eye(3)[1:]])
    theta = np.linalg.lstsq(stacked, np.append(np.sqrt(w) * y, [0, 0]), rcond=None)[0]
    assert gains.expected("a", 9, at) == pytest.approx(float(at @ theta))


def test_optimism_is_for_what_is_little_known():
    rows = [(0, [1.0], 0.1), (0, [1.0], 0.3), (0, [1.0], 0.1), (0, [1.0], 0.3)]
    gains = noted(rows, optimism=2.0)
    assert gains.expected("a", 0, np.array([1.0])) == pytest.approx(0.2 + 2 * 0.1 * np.sqrt(1 / 4))
    fewer = noted(rows[:2], optimism=2.0)
    assert fewer.expected("a", 0, np.array([1.0])) > gains.expected("a", 0, np.array([1.0]))


def test_two_strategies_for_two_kinds_of_increments_are_told_apart():
    rng, gains = np.random.default_rng(1), Gains(memory=1.0, ridge=0.1, optimism=0.0)
    for t in range(40):
        share = rng.random()
        for name, worth in (("plastic", share - 0.5), ("stable", 0.5 - share)):
            gains.add(name, Gain(t, (1.0, share), worth + 0.01 * rng.standard_normal()))

    def best(share):
        return max(("plastic", "stable"), key=lambda n: gains.expected(n, 40, np.array([1.0, share])))

    assert [best(share) for share in (0.1, 0.3, 0.7, 0.9)] == ["stable", "stable", "plastic", "plastic"]


def test_gains_survive_their_state():
    gains = noted([(0, [1.0, 0.5], 0.4), (2, [1.0, 0.25], 0.1)])
    again = Gains(1.0, 1.0, 0.0)
    again.restore(gains.state())
    assert again.past == gains.past


def test_what_was_tried_long_ago_is_still_known():
    gains = noted([(0, [1.0, 0.5], 0.4)], memory=0.1)
    assert gains.expected("a", 10_000, np.array([1.0, 0.5])) == pytest.approx(0.4)


def test_shares_that_are_all_but_equal_have_no_shift():
    world = World(0, 1, 3, BipartiteGraph.empty(), np.array([7.0, 7, 7]), np.zeros(1, bool))
    assert context(interactions([(0, 0), (0, 1), (0, 2)]), world, None)[3] == pytest.approx(0, abs=1e-12)
