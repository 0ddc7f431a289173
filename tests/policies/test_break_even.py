"""The interval that costs least: closed form, exact search, and what cannot be known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gnnrec.policies.break_even import best_interval, break_even_price, cost_of, loss_by_age, worth


@pytest.mark.parametrize("seed", range(50))
def test_the_best_interval_is_the_cheapest_of_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    loss, rows, seconds, price = rng.uniform([0.001, 50, 0.1, 0.1], [0.1, 5000, 60, 30])
    found = best_interval(loss, rows, seconds, price)
    costs = [cost_of(n, loss, rows, seconds, price) for n in range(1, 3000)]
    assert found == 1 + int(np.argmin(costs))


def test_the_best_interval_is_the_square_root_of_what_an_update_costs() -> None:
    # 2 P S / (L E) = 2 · 5 · 40 / (.01 · 400) = 100, so that n is next to 10
    assert best_interval(loss=0.01, rows=400, seconds=40, price=5) == 10
    assert best_interval(loss=0.01, rows=400, seconds=4000, price=5) == 100


def test_of_two_that_cost_the_same_the_smaller_is_taken() -> None:
    # n (n + 1) = 2 P S / (L E) = 6: two and three cost the same
    assert cost_of(2, 1.0, 1.0, 3.0, 1.0) == pytest.approx(cost_of(3, 1.0, 1.0, 3.0, 1.0))
    assert best_interval(loss=1.0, rows=1, seconds=3, price=1) == 2


def test_an_update_that_costs_nothing_is_made_always() -> None:
    assert best_interval(loss=0.01, rows=100, seconds=0.0, price=10) == 1
    assert best_interval(loss=0.01, rows=100, seconds=5, price=0.0) == 1


@pytest.mark.parametrize(
    ("loss", "rows", "seconds"), [(0.0, 100, 1), (-0.1, 100, 1), (math.nan, 100, 1), (0.1, 0, 1), (0.1, 100, math.nan)]
)
def test_what_is_not_known_has_no_best_interval(loss: float, rows: float, seconds: float) -> None:
    assert best_interval(loss, rows, seconds, price=10) is None


def test_the_price_from_which_on_waiting_pays() -> None:
    price = break_even_price(lost=30, saved=12)
    assert price == pytest.approx(2.5)
    assert worth(30, 12, price) == pytest.approx(0)
    assert worth(30, 12, 2 * price) > 0 > worth(30, 12, price / 2)
    assert break_even_price(lost=-3, saved=12) == 0  # pays at any price
    assert math.isnan(break_even_price(lost=30, saved=0))
    assert math.isnan(break_even_price(lost=math.nan, saved=12))


def test_the_price_between_two_intervals_is_where_both_cost_the_same() -> None:
    loss, rows, seconds = 0.02, 500, 8.0
    lost = loss * rows * 12 / 2  # of twelve increments, six are served a version late
    price = break_even_price(lost, saved=(12 - 6) * seconds)
    assert cost_of(1, loss, rows, seconds, price) == pytest.approx(cost_of(2, loss, rows, seconds, price))


def test_decay_is_what_a_line_loses_whatever_each_model_began_with() -> None:
    found = loss_by_age([[0.30, 0.28, 0.26], [0.20, 0.18], [0.50, 0.48, 0.46, 0.44], [0.1]])
    assert found.loss == pytest.approx(0.02)
    assert (found.low, found.high) == (pytest.approx(0.02), pytest.approx(0.02))
    assert found.oldest == 3
    assert found.waited == 6  # what served directly behind an update says nothing about waiting


def test_decay_is_the_dummy_variable_regression() -> None:
    rng = np.random.default_rng(0)
    served = [list(0.3 - 0.01 * np.arange(n) + rng.normal(0, 0.02, n)) for n in (3, 4, 2, 5)]
    age = np.concatenate([np.arange(len(x)) for x in served])
    dummies = np.concatenate([np.eye(4)[[k] * len(x)] for k, x in enumerate(served)])
    slope = np.linalg.lstsq(np.column_stack([age, dummies]), np.concatenate(served), rcond=None)[0][0]
    assert loss_by_age(served).loss == pytest.approx(-slope)


def test_decay_leaves_the_truth_out_as_often_as_its_level_says() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(1000):
        found = loss_by_age([list(0.3 - 0.01 * np.arange(4) + rng.normal(0, 0.02, 4)) for _ in range(3)])
        held += found.low <= 0.01 <= found.high
    assert 0.93 <= held / 1000 <= 0.97


def test_decay_of_what_never_waited_is_not_known() -> None:
    assert math.isnan(loss_by_age([[0.3], [0.2], [0.25]]).loss)
    assert loss_by_age([[0.3, math.nan], [math.nan, 0.2]]).waited == 0
    assert math.isnan(loss_by_age([[0.3, 0.2]]).high)
