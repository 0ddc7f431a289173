"""Where models are selected by their squared error, everything on the page is told by it, and less is better."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from gnnrec.evaluation.results import summary
from gnnrec.reporting import figures, html, style, tables
from gnnrec.reporting.answer import answer, lowest_error, to_serve
from gnnrec.reporting.drawing import dots
from gnnrec.reporting.headings.content import PageContent
from gnnrec.reporting.verdicts import Verdicts
from gnnrec.reporting.worth.columns import with_worth
from gnnrec.reporting.worth.criterion import COLUMN, criterion, metric_of

Make = Callable[..., pl.DataFrame]
MODEL = pl.col("scorer") == "model"


def crossed(results: pl.DataFrame) -> pl.DataFrame:
    """Return results in which the row with the highest recall has the highest error."""
    odd = (pl.col("strategy") == "full_retrain") & (pl.col("metric") == "mse")
    return results.with_columns(value=pl.when(odd).then(pl.col("value") + 0.5).otherwise("value"))


@pytest.fixture(scope="module")
def table(results: pl.DataFrame) -> pl.DataFrame:
    rows = crossed(results)
    return with_worth(summary(rows), None, rows, 1000.0, selected="mse")


def test_what_rows_are_compared_by(results: pl.DataFrame, overview: pl.DataFrame) -> None:
    assert criterion(overview) == "recall@20_all"
    assert criterion(overview, "mse") == "mse"
    unrated = overview.with_columns(mse=pl.lit(None, pl.Float64))
    assert criterion(unrated, "mse") == "recall@20_all", "implicit feedback: there is no error"
    blends = overview.filter(~MODEL)
    assert criterion(blends, "mse") == "recall@20_all", "only models are compared by their error"
    assert criterion(overview.with_columns(pl.lit(None, pl.Float64).alias("recall@20_all"))) == "mse"
    told = with_worth(overview, None, results, 1000.0, selected="mse")
    assert set(told[COLUMN]) == {"mse"}
    assert metric_of(told) == "mse"
    assert metric_of(with_worth(overview, None, results, 1000.0)) == metric_of(overview) == "recall@20_all"


def test_the_answer_serves_the_lowest_error_and_not_the_highest_recall(table: pl.DataFrame) -> None:
    row = to_serve(table)
    assert row is not None
    assert (row["strategy"], row["scorer"]) == lowest_error(table) == ("warm_retrain", "model")
    assert to_serve(table.drop(COLUMN))["strategy"] == "full_retrain"  # type: ignore[index]
    text = answer(table)
    assert text.startswith("Serve warm_retrain (model): the squared error of what it predicts is ")
    assert "suggestions hold" not in text
    assert "Retraining from scratch errs by 0." in text


def test_regret_and_front_are_of_errors_and_there_is_no_price(table: pl.DataFrame) -> None:
    rows = {r["strategy"]: r for r in table.filter(MODEL).iter_rows(named=True)}
    dear, cheap = rows["full_retrain"], rows["warm_retrain"]
    assert dear["regret"] == pytest.approx(dear["mse"] - min(r["mse"] for r in rows.values()))
    assert not dear["front"]
    assert cheap["front"]
    assert table["retrain_price"].null_count() == table["retrain_pays"].null_count() == table.height
    assert any("MSE above full_retrain" in line for line in tables.footnotes(table))


def test_distances_stand_with_the_lowest_error_first(table: pl.DataFrame, results: pl.DataFrame) -> None:
    found = dots.from_full(table, Verdicts(None, "mse"))
    assert [f.gap for f in found] == sorted(f.gap for f in found)
    assert {str(f.row["scorer"]) for f in found} == {"model"}
    assert all(f.gap < 0 for f in found)  # all err by less than what was made worse
    full = table.filter(MODEL, strategy="full_retrain")["mse"][0]
    assert all(f.margin == pytest.approx(-0.01 * full) for f in found)
    with style.styled():
        figure = dots.distances(table, Verdicts(None, "mse"), style.Look.of(results))
    assert figure is not None
    assert figure.axes[0].get_xlabel() == "MSE, difference to full retraining; less is better"
    bands = [patch.get_width() for patch in figure.axes[0].patches]
    assert all(width > 0 for width in bands), "as good as: at most 1 % above"


def test_tiles_table_and_figures_are_of_errors(table: pl.DataFrame, results: pl.DataFrame, tmp_path: Path) -> None:
    rows = crossed(results)
    drawn = figures.draw_all(rows, table, None)[0]
    labels = {one.name: one.figure for one in drawn}
    assert labels["over_time"].get_supylabel() == "MSE, model"
    assert labels["cost_quality"].axes[0].yaxis_inverted()
    content = PageContent("t", answer(table), table, "", "", (), "", rows, None, figures=figures.inline(drawn))
    html.write(tmp_path / "r.html", content)
    text = (tmp_path / "r.html").read_text()
    tiles = re.findall(r'<p class="what">(.*?)</p><p class="value">(.*?)</p><p class="below">(.*?)</p>', text)
    assert tiles[0][:2] == ("Serve this", "warm_retrain (model)")
    assert re.fullmatch(r"MSE 0\.\d{4} ± 0\.\d{4}; [\d,]+ events scored", tiles[0][2])
    assert tiles[1][0] == "MSE against doing nothing"
    assert tiles[1][1].startswith("-0."), "less than doing nothing errs by"
    assert tiles[1][2] == "less is better; no interval, untested; over stale (model)"
    main = text[text.index("the best by MSE first") :]
    heads = re.findall(r'<th scope="col"[^>]*>(.*?)</th>', main[: main.index("</thead>")])
    assert heads[2] == "MSE"
    names = re.findall(r'<th scope="row"[^>]*>(.*?)</th><td[^>]*>(.*?)</td>', main[: main.index("</table>")])
    ordered = table.filter(MODEL).sort("mse")
    assert names == [(s, "model") for s in ordered["strategy"]]
