"""The answer is four plain sentences at most, and claims what the numbers carry and no more."""

from __future__ import annotations

import re
from collections.abc import Callable

import polars as pl
import pytest

from gnnrec.evaluation.results import summary
from gnnrec.reporting.answer import NOTHING, answer, best_row, lowest_error, to_serve
from gnnrec.reporting.worth.columns import with_worth

Make = Callable[..., pl.DataFrame]
HIGH, LOW, IN = (0.002, 0.009), (-0.009, -0.002), (-0.009, 0.002)
WHOLE = "Retraining from scratch"
WHOLE_BLEND = (pl.col("strategy") == "full_retrain") & (pl.col("scorer") == "blend")


def outcome(
    narrow: tuple[float, float],
    wide: tuple[float | None, float | None] | None = None,
    pair: tuple[str, str] = ("warm_retrain", "full_retrain"),
    **more: object,
) -> pl.DataFrame:
    row: dict[str, object] = {"strategy": pair[0], "scorer": "blend", "reference": pair[1], "reference_scorer": "blend"}
    low, high = wide or narrow
    row |= {"metric": "recall@20", "difference": sum(narrow) / 2, "low": narrow[0], "high": narrow[1]}
    row |= {"wide_low": low, "wide_high": high, "as_good": "cannot tell", "increments_to_tell": None}
    return pl.DataFrame([row | {"seeds_to_tell": None, "users_to_tell": None} | more])


def told(results: pl.DataFrame, tests: pl.DataFrame | None = None, events: float | None = 1000.0) -> str:
    return answer(with_worth(summary(results), tests, results, events), tests)


def without(results: pl.DataFrame, *strategies: str) -> pl.DataFrame:
    return results.filter(pl.col("strategy").is_in(strategies).not_())


def sentences(text: str) -> int:
    return len(re.findall(r"[.?!](?=\s+[A-Z]|$)", text))


def errors_only(results: pl.DataFrame) -> pl.DataFrame:
    bias = results.filter(strategy="popularity", metric="recall@20", segment="all", split="next")
    bias = bias.with_columns(strategy=pl.lit("bias"), metric=pl.lit("mse"), value=pl.lit(0.9))
    kept = (pl.col("split") != "next") | (pl.col("metric") == "mse")
    return pl.concat([results.filter(kept, pl.col("split") != "test"), bias])


KINDS = {
    "all": lambda make: make(),
    "one row": lambda make: make(6, 1, {"fine_tune": (0.165, 0.001, 1.8)}).filter(pl.col("scorer") == "model"),
    "one row that trains nothing": lambda make: make(6, 1).filter(strategy="popularity"),
    "full retraining alone": lambda make: make(6, 2, {"full_retrain": (0.18, 0.0, 42.0)}),
    "no full retraining": lambda make: without(make(), "full_retrain"),
    "no counters": lambda make: make().filter(pl.col("scorer") != "reference"),
    "no costs": lambda make: make().filter(pl.col("split") != "cost"),
    "two increments, one seed": lambda make: make(2, 1),
    "few users": lambda make: make().with_columns(n=pl.lit(20)),
    "MSE only": lambda make: errors_only(make()),
    "MSE only, no counters": lambda make: errors_only(make()).filter(pl.col("scorer") != "reference"),
    "retraining is cheaper": lambda make: make(6, 2, {"full_retrain": (0.1, 0.0, 1.0), "fine_tune": (0.165, 0.0, 4.0)}),
    "an oracle": lambda make: make().with_columns(strategy=pl.col("strategy").replace("itemknn", "oracle")),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tests", [None, outcome(IN), outcome(LOW, IN), outcome((0.0, 0.0)), outcome(IN, (None, None))])
def test_four_sentences_and_lines_at_most_for_every_kind_of_table(
    pretend: Make, kind: str, tests: pl.DataFrame | None
) -> None:
    text = told(KINDS[kind](pretend), tests)
    lines = text.splitlines()
    assert 1 <= len(lines) <= 4
    assert [sentences(line) for line in lines] == [1] * len(lines)
    assert lines[0].startswith("Serve ")
    assert "oracle" not in text
    assert "None" not in text
    assert "nan" not in text


def test_what_to_serve_retraining_its_price_and_what_is_open(results: pl.DataFrame) -> None:
    lines = told(results).splitlines()
    assert lines[0] == (
        "Serve full_retrain (blend): its first 20 suggestions hold 22.6% of what a user takes next, 6.85 points more than "
        "decayed_popularity (untested), the best that trains nothing."
    )
    assert lines[1].startswith(
        "That is retraining from scratch: beside warm_retrain (blend), the best of what is cheaper, it"
    )
    assert lines[1].endswith(
        "finds 0.59 points more (untested) and takes 60.43 s an update against 29.02 s, 2.08 times as long."
    )
    assert re.match(
        f"Each second that {WHOLE.lower()} takes longer brings about 0.18[0-9] more right suggestions \\(untested\\): it pays",
        lines[2],
    )
    assert lines[3].startswith("Not told: whether full_retrain (blend) is any better than decayed_popularity; ")
    assert best_row(summary(results)) == ("full_retrain", "blend")


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        (outcome(LOW), "0.59 points more (0.20 to 0.90) and"),
        (outcome(LOW, (-0.02, -0.001)), "0.59 points more (0.10 to 2.00) and"),
        (outcome(LOW, IN), "0.59 points more (-0.20 to 0.90, shown for these increments and seeds alone) and"),
        (outcome(LOW, (None, None)), "0.59 points more (0.20 to 0.90, shown for these increments and seeds alone) and"),
        (outcome(IN), "0.59 points more (-0.20 to 0.90, not shown) and"),
        (outcome(HIGH, pair=("full_retrain", "warm_retrain")), "0.59 points more (0.20 to 0.90) and"),
        (outcome((0.0, 0.0)), "exactly as much for every user and"),
    ],
)
def test_the_interval_is_the_widest_that_there_is(results: pl.DataFrame, tests: pl.DataFrame, said: str) -> None:
    text = told(results, tests)
    assert said in text
    beyond = "whether the difference to retraining is there beyond these increments and seeds"
    assert (beyond in text) == (tests["wide_low"][0] is None or tests["wide_high"][0] == 0.002 != tests["high"][0])


def test_a_pair_that_was_not_tested_is_untested_whatever_the_deviations(overview: pl.DataFrame, pretend: Make) -> None:
    wide = overview.with_columns(pl.lit(0.5).alias("recall@20_all_deviation"))
    for table in (wide, summary(pretend(4, 1))):
        text = answer(table, outcome(LOW, pair=("stale", "fine_tune")))
        assert "(untested)" in text
        assert "shown" not in text
    assert "what other seeds give (one ran)" in answer(summary(pretend(4, 1)))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"as_good": "no"}, "; warm_retrain (blend) is shown not to be as good within 1 %."),
        ({"increments_to_tell": 14, "seeds_to_tell": 9}, "within 1 % (about 14 increments or 9 seeds would tell)"),
        ({"users_to_tell": 12345}, "within 1 % (about 12,345 users would tell)"),
        ({}, "whether warm_retrain (blend) is as good as retraining within 1 %"),
        ({"wide_low": None, "wide_high": None}, "within 1 % (no fewer than 5 increments would tell)"),
    ],
)
def test_non_inferiority_is_told_or_what_would_tell(results: pl.DataFrame, more: dict, said: str) -> None:
    assert said in told(results, outcome(IN, **more))


def test_what_is_shown_to_be_as_good_as_retraining_and_cheaper_is_served(results: pl.DataFrame) -> None:
    text = told(results, outcome(IN, as_good="yes"))
    assert text.startswith("Serve warm_retrain (blend): ")
    assert f"{WHOLE} finds 0.59 points more (-0.20 to 0.90, not shown)" in text
    assert "that warm_retrain (blend) is at least as good, within 1 %, is shown." in text
    two = pl.concat([outcome(IN, as_good="yes"), outcome(IN, pair=("replay", "full_retrain"), as_good="yes")])
    assert told(results, two).startswith("Serve replay (blend): ")  # the cheaper of both


def test_as_good_as_retraining_under_a_worse_scorer_is_not_served(results: pl.DataFrame) -> None:
    tests = outcome(IN, pair=("fine_tune", "full_retrain"), as_good="yes")
    tests = tests.with_columns(scorer=pl.lit("model"), reference_scorer=pl.lit("model"))
    table = with_worth(summary(results), tests, results, 1000.0)
    assert table.filter(strategy="fine_tune", scorer="model")["as_good"].item() == "yes"
    assert answer(table, tests).startswith("Serve full_retrain (blend): ")
    assert to_serve(table, tests) == table.row(by_predicate=WHOLE_BLEND, named=True)


def test_what_trains_nothing_and_is_shown_to_be_as_good_as_retraining_is_served(results: pl.DataFrame) -> None:
    near = pl.when(strategy="itemknn", split="next").then(0.2255).otherwise("value").alias("value")
    pair = outcome((-0.0015, 0.0005), pair=("itemknn", "full_retrain"), as_good="yes")
    tests = pl.concat([pair.with_columns(scorer=pl.lit("reference")), outcome(IN, as_good="yes")])
    text = told(results.with_columns(near), tests)
    assert text.startswith("Serve itemknn: ")  # it costs less than warm_retrain
    assert "that itemknn is at least as good, within 1 %, is shown." in text
    assert "whether itemknn is any worse than full_retrain (blend)" in text
    assert told(results, outcome(IN, as_good="yes")).startswith("Serve warm_retrain (blend): ")


def test_under_a_budget_of_equal_steps_nothing_is_called_cheaper(results: pl.DataFrame, pretend: Make) -> None:
    text = answer(with_worth(summary(results, budget="equal"), None, results, 1000.0))
    assert "It is retraining from scratch, and what is cheaper is n/a: seconds do not compare here." in text
    assert text == told(results.filter(pl.col("split") != "cost"))
    alone = told(pretend(6, 2, {"full_retrain": (0.18, 0.0, 42.0)}))
    assert re.search(r"and no trained row is cheaper \(\d+\.\d\d s an update\)\.", alone)


def test_times_are_those_of_the_seconds_that_are_said(pretend: Make) -> None:
    some = {"full_retrain": (0.1, 0.008, 3000.0), "stale": (0.165, 0.001, 0.002)}
    text = told(pretend(6, 2, some).filter(pl.col("scorer") != "blend"))
    full, own, times = re.search(r"takes ([\d,.]+) s an update against ([\d.]+) s, ([\d,]+) times", text).groups()  # type: ignore[union-attr]
    ratio = float(full.replace(",", "")) / float(own)
    assert float(times.replace(",", "")) == pytest.approx(ratio, rel=0.01)
    assert ratio > 1e6


def test_retraining_that_costs_more_and_finds_less_pays_at_no_price(pretend: Make) -> None:
    some = {"full_retrain": (0.1, 0.008, 9.0), "fine_tune": (0.165, 0.001, 1.0)}
    never = "it costs more and brings no more right suggestions"
    assert f"{WHOLE} pays at no price: by the means, {never}." in told(pretend(6, 2, some))
    pair = ("fine_tune", "full_retrain")
    assert f"by the means, {never} (at most " in told(pretend(6, 2, some), outcome((-0.09, 0.01), pair=pair))
    assert f"{WHOLE} pays at no price: {never}." in told(pretend(6, 2, some), outcome((0.05, 0.09), pair=pair))
    cheap = {"full_retrain": (0.1, 0.008, 1.0), "fine_tune": (0.165, 0.001, 4.0)}
    assert "n/a: it costs no more, and finds less." in told(pretend(6, 2, cheap))


def test_a_counter_that_no_model_beats_is_served(results: pl.DataFrame) -> None:
    ahead = pl.when(strategy="itemknn", split="next").then(0.3).otherwise("value").alias("value")
    text = told(results.with_columns(ahead))
    assert text.startswith("Serve itemknn: its first 20 suggestions hold 30.0% of")
    assert "more than full_retrain (blend) (untested), the best that is trained." in text.splitlines()[0]
    assert "what trains nothing has no seconds per update" in text


def test_a_blend_that_switches_the_model_off_is_said(overview: pl.DataFrame) -> None:
    blend = pl.col("scorer") == "blend"
    off = overview.with_columns(pl.when(blend).then(pl.lit(1.0)).alias("model_off"))
    assert answer(off).startswith(
        "The model adds nothing here: serve popularity and co-occurrence (decayed_popularity alone"
    )
    assert len(answer(off).splitlines()) <= 4
    some = overview.with_columns(pl.when(blend).then(pl.lit(0.4)).alias("model_off"))
    assert "adds nothing" not in answer(some)
    model_best = off.with_columns(pl.when(~blend).then(pl.lit(0.9)).otherwise("recall@20_all").alias("recall@20_all"))
    assert "adds nothing" not in answer(model_best)  # the blend is off, and the model alone is better


def test_of_an_error_less_is_better(results: pl.DataFrame) -> None:
    only = errors_only(results)
    text = told(only)
    assert re.match(r"Serve \w+ \(model\): the squared error of what it predicts is 0\.\d{4} on average, ", text)
    assert "less than bias (untested), the best that trains nothing." in text
    assert "any better than bias" in text
    assert lowest_error(summary(only)) is not None
    assert "n/a: it is told by recall, and rows are compared by their squared error." in text
    assert told(only.filter(pl.col("strategy") == "bias")).startswith("Serve bias: the squared error")


def test_without_full_retraining_the_distance_is_na(results: pl.DataFrame) -> None:
    text = told(without(results, "full_retrain"))
    assert "How far it is from retraining from scratch is n/a: full_retrain has no result here." in text
    assert "second" not in text


def test_few_users_and_few_increments_are_said(pretend: Make) -> None:
    text = told(pretend(3, 2).with_columns(n=pl.lit(20)))
    assert "what other increments give (2 ran, 5 are the least)" in text
    assert "much at all, with about 20 users an increment" in text


def test_nothing_to_say_about_nothing(overview: pl.DataFrame) -> None:
    assert answer(overview.clear()) == NOTHING
    assert best_row(overview.clear()) is None
    nothing = overview.with_columns(pl.lit(None, pl.Float64).alias(name) for name in ("mse", "recall@20_all"))
    assert answer(nothing) == NOTHING
