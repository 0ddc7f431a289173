"""The answer claims what the numbers carry and no more, in four lines at most."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

from gnnrec.evaluation.results import summary
from gnnrec.reporting.answer import answer, best_row, lowest_error

Make = Callable[..., pl.DataFrame]
HIGH, LOW, IN = (0.002, 0.009), (-0.009, -0.002), (-0.009, 0.002)


def outcome(
    narrow: tuple[float, float],
    wide: tuple[float | None, float | None] | None = None,
    pair: tuple[str, str] = ("warm_retrain", "full_retrain"),
    **more: object,
) -> pl.DataFrame:
    row = {"strategy": pair[0], "scorer": "blend", "reference": pair[1], "reference_scorer": "blend"}
    low, high = wide or narrow
    row |= {"metric": "recall@20", "difference": sum(narrow) / 2, "low": narrow[0], "high": narrow[1]}
    row |= {
        "wide_low": low,
        "wide_high": high,
        "as_good": "cannot tell",
        "increments_to_tell": None,
        "seeds_to_tell": None,
    }
    return pl.DataFrame([row | more])


def test_four_lines_name_best_full_retraining_counter_and_mse(overview: pl.DataFrame) -> None:
    lines = answer(overview).splitlines()
    assert len(lines) == 4
    assert lines[0] == "Best recall@20: full_retrain (blend), 0.2261 ± 0.0021 (9,450 users scored)."
    assert lines[1].startswith(
        "Closest cheaper row: warm_retrain (blend), untested against full_retrain (blend) (-0.0059); "
    )
    assert lines[1].endswith("at least as good within 1 %: untested; 29.02 s an update, 2.1× faster.")
    assert lines[2].startswith("Best counter: decayed_popularity, 0.1575")
    assert lines[3].startswith("Lowest MSE: ")
    assert best_row(overview) == ("full_retrain", "blend")


@pytest.mark.parametrize(
    ("tested", "said"),
    [
        (outcome(LOW), "worse than full_retrain (blend) by 0.0055 (-0.0090 to -0.0020);"),
        (
            outcome(LOW, IN),
            "worse than full_retrain (blend) by 0.0055 (-0.0090 to -0.0020) on these increments and seeds;",
        ),
        (outcome(LOW, (None, None)), "(-0.0090 to -0.0020) on these increments and seeds;"),
        (outcome(LOW, (-0.02, -0.001)), "by 0.0055 (-0.0200 to -0.0010);"),
        (outcome(IN), "not shown to differ from full_retrain (blend) (-0.0090 to 0.0020);"),
        (
            outcome(HIGH, pair=("full_retrain", "warm_retrain")),
            "worse than full_retrain (blend) by 0.0055 (-0.0090 to -0.0020);",
        ),
        (outcome((0.0, 0.0)), "equal to full_retrain (blend) for every user;"),
    ],
)
def test_the_verdict_is_the_interval_that_carries_it(overview: pl.DataFrame, tested: pl.DataFrame, said: str) -> None:
    assert said in answer(overview, tested)


def test_a_pair_that_was_not_tested_is_untested_whatever_the_deviations(overview: pl.DataFrame, pretend: Make) -> None:
    wide = overview.with_columns(pl.lit(0.5).alias("recall@20_all_deviation"))
    for table in (wide, summary(pretend(4, 1))):
        text = answer(table, outcome(LOW, pair=("stale", "fine_tune")))
        assert "untested against full_retrain" in text
        assert "differ" not in text
    assert "one seed" in answer(summary(pretend(4, 1)))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"as_good": "yes"}, "within 1 %: yes;"),
        ({"as_good": "no"}, "within 1 %: no;"),
        (
            {"increments_to_tell": 14, "seeds_to_tell": 9},
            "within 1 %: cannot tell (about 14 increments or 9 seeds would);",
        ),
        ({"seeds_to_tell": 9}, "within 1 %: cannot tell (about 9 seeds would);"),
        ({}, "within 1 %: cannot tell;"),
        ({"wide_low": None, "wide_high": None}, "within 1 %: cannot tell (below 5 increments);"),
    ],
)
def test_non_inferiority_is_one_word_and_what_would_tell(overview: pl.DataFrame, more: dict, said: str) -> None:
    assert said in answer(overview, outcome(IN, **more))


@pytest.mark.parametrize(
    ("tested", "said"),
    [
        (outcome(LOW), "better than {} by 0.0055 (-0.0090 to -0.0020)."),
        (outcome(HIGH), "worse than {} by 0.0055 (0.0020 to 0.0090)."),
        (outcome(IN), "not shown to differ from {} (-0.0090 to 0.0020)."),
    ],
)
def test_of_an_error_less_is_better(overview: pl.DataFrame, tested: pl.DataFrame, said: str) -> None:
    bias = overview.filter(strategy="decayed_popularity").with_columns(strategy=pl.lit("bias"), mse=pl.lit(0.01))
    table = pl.concat([overview, bias])
    untold = answer(table).splitlines()[3]
    trained = untold.removeprefix("Lowest MSE: ").split(" (model), ")[0]
    assert "; without a model: bias, 0.0100; the model is untested against bias (+" in untold
    names = {"strategy": trained, "scorer": "model", "reference": "bias", "reference_scorer": "reference"}
    pair = tested.with_columns(pl.lit("mse").alias("metric"), *(pl.lit(v).alias(k) for k, v in names.items()))
    assert answer(table, pair).splitlines()[3].endswith(f"the model is {said.format('bias')}")
    assert lowest_error(table) == ("bias", "reference")
    assert lowest_error(overview) == (trained, "model")


def test_a_blend_that_switches_the_model_off_is_said(overview: pl.DataFrame) -> None:
    blend = pl.col("scorer") == "blend"
    off = overview.with_columns(pl.when(blend).then(pl.lit(1.0)).alias("model_off"))
    text = answer(off)
    assert "The model adds nothing here: serve popularity and co-occurrence (decayed_popularity, 0.1575" in text
    assert len(text.splitlines()) == 4
    some = overview.with_columns(pl.when(blend).then(pl.lit(0.4)).alias("model_off"))
    assert "Its blend leaves the model out in 40% of the increments." in answer(some)
    assert "adds nothing" not in answer(some)
    model_best = off.with_columns(pl.when(~blend).then(pl.lit(0.9)).otherwise("recall@20_all").alias("recall@20_all"))
    assert "adds nothing" not in answer(model_best)  # the blend is off, and the model alone is better


def test_without_full_retraining_the_distance_is_na(pretend: Make) -> None:
    some = {"stale": (0.1, 0.008, 0.02), "fine_tune": (0.165, 0.001, 1.8)}
    text = answer(summary(pretend(4, 2, some)))
    assert "Full retraining has no result here" in text
    assert "untested against stale (blend)" in text


def test_a_slower_row_is_called_slower(pretend: Make) -> None:
    some = {"full_retrain": (0.1, 0.008, 1.0), "fine_tune": (0.165, 0.001, 4.0)}
    assert "× slower" in answer(summary(pretend(4, 2, some)))


def test_nothing_to_say_about_nothing(overview: pl.DataFrame) -> None:
    assert "nothing can be compared" in answer(overview.clear())
    assert best_row(overview.clear()) is None
    assert "MSE is n/a" in answer(overview.with_columns(mse=pl.lit(None, dtype=pl.Float64)))
