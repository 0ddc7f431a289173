"""The answer claims what the numbers carry and no more."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from gnnrec.evaluation.results import summary
from gnnrec.reporting.answer import answer

Make = Callable[..., pl.DataFrame]


def outcome(
    low: float, high: float, p: float, wide: tuple[float, float] | None = None, turn: bool = False
) -> pl.DataFrame:
    pair = {"strategy": "warm_retrain", "scorer": "blend", "reference": "full_retrain", "reference_scorer": "blend"}
    if turn:
        pair = {**pair, "strategy": "full_retrain", "reference": "warm_retrain"}
    a, b = wide or (low, high)
    return pl.DataFrame(
        [pair | {"metric": "recall@20", "low": low, "high": high, "wide_low": a, "wide_high": b, "p": p}]
    )


def test_best_distance_and_cost_are_named(overview: pl.DataFrame) -> None:
    text = answer(overview)
    assert text.startswith("full_retrain (blend) has the highest recall@20 on the next increment, 0.2261 ± 0.0021.")
    assert "warm_retrain (blend) is 0.0059 below full retraining" in text
    assert "takes 29.02 s, full retraining takes 2.1× as long" in text
    assert "decayed_popularity, is below it" in text
    assert "lowest MSE" in text


def test_a_difference_is_claimed_only_when_interval_and_test_agree(overview: pl.DataFrame) -> None:
    assert "a measurable difference (95 %" in answer(overview, outcome(-0.009, -0.002, 0.0001))
    assert "no measurable difference (95 %" in answer(overview, outcome(-0.009, 0.002, 0.0001))
    assert "no measurable difference (95 %" in answer(overview, outcome(-0.009, -0.002, 0.2))
    assert "no measurable difference (95 %" in answer(overview, outcome(-0.009, -0.002, float("nan")))
    narrow = answer(overview, outcome(-0.009, -0.002, 0.01, wide=(-0.02, 0.01)))
    assert "not beyond these increments and seeds" in narrow
    assert "difference -0.0090 to -0.0020" in answer(overview, outcome(0.002, 0.009, 0.01, turn=True))


def test_within_the_deviation_nothing_is_claimed(overview: pl.DataFrame) -> None:
    wide = overview.with_columns(pl.lit(0.5).alias("recall@20_all_deviation"))
    assert "no measurable difference (within the deviation over seeds)" in answer(wide)


def test_one_seed_without_a_test_cannot_be_told(pretend: Make) -> None:
    assert "cannot be said whether they differ" in answer(summary(pretend(4, 1)))


def test_without_full_retraining_the_distance_is_na(pretend: Make) -> None:
    some = {"stale": (0.1, 0.008, 0.02), "fine_tune": (0.165, 0.001, 1.8)}
    text = answer(summary(pretend(4, 2, some)))
    assert "Full retraining has no result here" in text
    assert "Next under the same scorer is stale (blend)" in text


def test_nothing_to_say_about_nothing(overview: pl.DataFrame) -> None:
    assert "nothing can be compared" in answer(overview.clear())
    assert "MSE is n/a" in answer(overview.with_columns(mse=pl.lit(None, dtype=pl.Float64)))
