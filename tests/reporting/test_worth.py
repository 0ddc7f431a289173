"""What a row is worth beside full retraining and beside what costs no more: closed forms."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

from gnnrec.evaluation.results import SCHEMA, summary
from gnnrec.reporting import tables, terminal
from gnnrec.reporting.worth.columns import with_worth
from gnnrec.reporting.worth.price import RetrainPrice, retrain_price
from gnnrec.reporting.worth.spending import as_much_after, cumulative

Make = Callable[..., pl.DataFrame]


@pytest.mark.parametrize(
    ("given", "want"),
    [
        ((0.02, 10.0, 500.0, 0.01, 0.03), (1.0, 0.5, 1.5, "")),  # .02 · 500 events for 10 s
        ((0.02, 10.0, 500.0, -0.01, 0.05), (1.0, 0.0, 2.5, "")),  # nobody pays less than nothing
        ((0.02, 10.0, 500.0, None, None), (1.0, None, None, "")),
        ((-0.02, 10.0, 500.0, -0.03, -0.01), (None, None, None, "never")),
        ((0.0, 10.0, 500.0, -0.01, 0.01), (None, None, 0.5, "never")),
        ((0.02, -1.0, 500.0, 0.01, 0.03), (None, None, None, "any")),
        ((-0.02, 0.0, 500.0, -0.03, -0.01), (None, None, None, "")),
        ((0.02, 10.0, float("nan"), 0.01, 0.03), (None, None, None, "")),
        ((0.02, float("nan"), 500.0, 0.01, 0.03), (None, None, None, "")),
    ],
)
def test_the_price_is_what_a_second_brings(given: tuple, want: tuple) -> None:
    found = retrain_price(*given)
    assert (found.value, found.low, found.high, found.word) == pytest.approx(want)


def test_at_its_price_full_retraining_is_worth_as_much_as_it_costs() -> None:
    gain, saved, events = 0.013, 7.0, 820.0
    value = retrain_price(gain, saved, events).value
    assert value is not None
    assert gain * events - value * saved == pytest.approx(0)
    assert retrain_price(gain, saved, 2 * events) == RetrainPrice(pytest.approx(2 * value))


def costs(seconds: dict[str, list[float]], scorer: str = "model", seed: int = 0) -> pl.DataFrame:
    rows = [
        ("e", name, scorer, seed, t, t, "cost", "all", "seconds", value, 1)
        for name, values in seconds.items()
        for t, value in enumerate(values)
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def test_full_retraining_has_cost_as_much_with_the_first_increment_that_reaches_it() -> None:
    given = costs(
        {"full_retrain": [9, 4, 5, 6], "a": [9, 1, 1, 2], "b": [0, 3, 3, 3], "c": [0, 9, 9, 9], "d": [0, 1, 1]}
    )
    spent = cumulative(given)
    assert spent.filter(strategy="full_retrain")["spent"].to_list() == [4, 9, 15]  # t = 0 is the base's
    found = dict(as_much_after(spent).select("strategy", "as_much_after").iter_rows())
    assert found == {"full_retrain": None, "a": 1, "b": 2, "c": None}  # d lacks an increment
    other = as_much_after(cumulative(given.filter(pl.col("strategy") != "full_retrain")))
    assert other["as_much_after"].null_count() == other.height


def test_what_was_spent_is_a_mean_over_seeds() -> None:
    two = pl.concat([costs({"a": [0, 1, 3]}), costs({"a": [0, 3, 5]}, seed=1)])
    assert cumulative(two)["spent"].to_list() == [2, 6]


def test_a_seed_that_lacks_an_increment_is_in_no_sum_as_in_no_mean() -> None:
    two = pl.concat([costs({"a": [0, 1, 3, 5]}), costs({"a": [0, 9]}, seed=1)])
    found = cumulative(two)["spent"].to_list()
    assert found == [1, 4, 9]
    assert found[-1] == pytest.approx(3 * summary(two)["seconds_per_update"].item())


def test_sums_of_seconds_end_at_as_many_updates_as_there_were(results: pl.DataFrame, overview: pl.DataFrame) -> None:
    ends = cumulative(results).filter(increment=10)
    rows = ends.join(overview, on=["strategy", "scorer"])
    assert rows.height == overview["seconds_per_update"].count() == 12
    assert rows["spent"].to_list() == pytest.approx((10 * rows["seconds_per_update"]).to_list())


def outcome(low: float, high: float, said: str = "cannot tell", **more: object) -> pl.DataFrame:
    row: dict[str, object] = {"strategy": "replay", "scorer": "model", "reference": "full_retrain"}
    row |= {"reference_scorer": "model", "metric": "recall@20", "difference": (low + high) / 2}
    row |= {"low": low, "high": high, "wide_low": low, "wide_high": high, "as_good": said}
    return pl.DataFrame([row | {"increments_to_tell": 14, "seeds_to_tell": None, "users_to_tell": 3000} | more])


def of(frame: pl.DataFrame, strategy: str, scorer: str = "model") -> dict[str, object]:
    return frame.row(by_predicate=(pl.col("strategy") == strategy) & (pl.col("scorer") == scorer), named=True)


def test_every_row_is_set_against_full_retraining_of_its_own_scorer(
    results: pl.DataFrame, overview: pl.DataFrame
) -> None:
    frame = with_worth(overview, outcome(-0.02, -0.01), results, 1000.0)
    row, full = of(frame, "replay"), of(frame, "full_retrain")
    saved = full["seconds_per_update"] - row["seconds_per_update"]
    assert row["retrain_price"] == pytest.approx(1000 * (full["recall@20_all"] - row["recall@20_all"]) / saved)
    assert row["retrain_price_low"] == pytest.approx(1000 * 0.01 / saved)
    assert row["retrain_price_high"] == pytest.approx(1000 * 0.02 / saved)
    assert (row["as_good"], row["would_tell"]) == ("cannot tell", "about 14 increments or 3,000 users")
    assert of(frame, "fine_tune")["as_good"] == "untested"
    assert of(frame, "fine_tune")["retrain_price_low"] is None
    assert of(frame, "popularity", "reference")["as_good"] == "untested"
    assert of(frame, "popularity", "reference")["retrain_price"] is None  # it has no seconds
    assert [full[c] for c in ("as_good", "retrain_price", "as_much_after")] == [None] * 3


def test_the_front_is_of_what_none_is_both_cheaper_and_better(results: pl.DataFrame, overview: pl.DataFrame) -> None:
    frame = with_worth(overview, None, results, None)
    rows = frame.drop_nulls("seconds_per_update").rows(named=True)
    for row in rows:
        affordable = [r["recall@20_all"] for r in rows if r["seconds_per_update"] <= row["seconds_per_update"]]
        assert row["regret"] == pytest.approx(max(affordable) - row["recall@20_all"])
        assert row["front"] == (row["regret"] == 0)  # no two rows cost or find the same
    assert of(frame, "popularity", "reference")["front"] is None
    assert frame["retrain_price"].null_count() == frame.height  # without events there is no price


def test_without_full_retraining_or_with_equal_budgets_nothing_is_said_of_prices(pretend: Make) -> None:
    some = {"stale": (0.1, 0.008, 0.02), "fine_tune": (0.165, 0.001, 1.8)}
    alone = pretend(6, 1, some)
    frame = with_worth(summary(alone), None, alone, 100.0)
    for name in ("as_good", "retrain_price", "retrain_pays", "as_much_after"):
        assert frame[name].null_count() == frame.height
    equal = pretend(6, 1)
    frame = with_worth(summary(equal, budget="equal"), None, equal, 100.0)
    for name in ("retrain_price", "retrain_pays", "as_much_after"):
        assert frame[name].null_count() == frame.height
    assert frame["as_good"].count() == frame.height - 2


def test_the_table_says_front_never_and_what_would_tell(results: pl.DataFrame, overview: pl.DataFrame) -> None:
    assert tables.headings(tables.columns(overview))[-1] == "vs full"
    told = outcome(-0.02, 0.01).vstack(outcome(-0.01, 0.03, "yes").with_columns(strategy=pl.lit("frozen")))
    frame = with_worth(overview, told, results, 1000.0)
    frame = frame.with_columns(would_tell=pl.when(strategy="stale").then(None).otherwise("would_tell"))
    shown = tables.columns(frame)
    assert tables.headings(shown)[-3:] == ["as good as full", "regret", "full pays below"]
    cells = {(c[0], c[1]): c[-3:] for c in tables.cells(frame, shown)}
    brief = {(c[0], c[1]): c[-3:] for c in tables.cells(frame, shown, brief=True)}
    assert cells["replay", "model"][0] == "cannot tell: about 14 increments or 3,000 users"
    assert brief["replay", "model"][0] == "cannot tell"
    assert cells["frozen", "model"][0] == "yes"
    assert cells["stale", "model"][1] == "front"
    assert " (0 to " in cells["replay", "model"][2]
    assert "(" not in brief["replay", "model"][2]
    assert cells["full_retrain", "model"][::2] == ["n/a", "n/a"]
    assert "Front: " in "".join(tables.footnotes(frame))
    assert "Front: " not in "".join(tables.footnotes(frame, shown=shown[:2]))


@pytest.mark.parametrize("width", [60, 80, 120, 160])
def test_the_table_fits_the_terminal_with_them_too(results: pl.DataFrame, overview: pl.DataFrame, width: int) -> None:
    frame = with_worth(overview, outcome(-0.02, 0.01), results, 1000.0)
    body, notes = terminal.comparison(frame, width=width).split("\n\n", 1)
    assert max(map(len, body.splitlines())) <= width
    assert "recall@20 all" in body
    assert ("as good as full" in body) == ("what would tell" in notes.lower())
    assert ("as good as full" in body) == (width >= 80)
