"""Figures of the page: distances to full retraining, small multiples, sums of seconds."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from matplotlib.text import Text

from gnnrec.core.errors import GnnrecError
from gnnrec.evaluation.results import summary
from gnnrec.reporting import figures, style
from gnnrec.reporting.drawing import dots, multiples, paper, spent, svg
from gnnrec.reporting.verdicts import Verdicts
from gnnrec.reporting.worth.spending import cumulative

Make = Callable[..., pl.DataFrame]
METRIC = "recall@20_all"


def test_distances_are_to_full_retraining_of_the_same_scorer(overview: pl.DataFrame) -> None:
    found = dots.from_full(overview, Verdicts(None, METRIC))
    value = {(r["strategy"], r["scorer"]): r[METRIC] for r in overview.rows(named=True)}
    assert len(found) == overview.height - 2
    for one in found:
        key = (one.row["strategy"], one.row["scorer"])
        scorer = "blend" if key[1] == "reference" else key[1]  # the better one
        assert one.gap == pytest.approx(value[key] - value["full_retrain", scorer])
        assert one.margin == pytest.approx(0.01 * value["full_retrain", scorer])
    assert [f.gap for f in found] == sorted((f.gap for f in found), reverse=True)


def test_the_band_of_each_row_is_of_its_own_retraining(overview: pl.DataFrame, results: pl.DataFrame) -> None:
    with style.styled():
        figure = dots.distances(overview, Verdicts(None, METRIC), style.Look.of(results))
    assert figure is not None
    bars = sorted((patch.get_y() + 0.5, patch.get_width()) for patch in figure.axes[0].patches)  # type: ignore[attr-defined]
    margins = [f.margin for f in dots.from_full(overview, Verdicts(None, METRIC))]
    assert [width for _, width in bars] == pytest.approx([-m for m in margins])
    assert len(set(margins)) == 2


def test_the_axis_reaches_as_far_as_trained_rows_and_what_lies_beyond_is_said(results: pl.DataFrame) -> None:
    near = results.filter(pl.col("strategy") != "stale")
    with style.styled():
        figure = dots.distances(summary(near), Verdicts(None, METRIC), style.Look.of(near))
        assert figure is not None
        figure.draw_without_rendering()
    axis = figure.axes[0]
    low, high = axis.get_xlim()
    found = dots.from_full(summary(near), Verdicts(None, METRIC))
    beyond = [f for f in found if not low <= f.gap <= high]
    assert beyond
    assert all(f.row["scorer"] == "reference" for f in beyond)
    texts = [t.get_text() for t in axis.texts]
    assert all(f"{f.gap:.4f}" in texts for f in beyond)


def test_without_full_retraining_there_are_no_distances(overview: pl.DataFrame, results: pl.DataFrame) -> None:
    alone = overview.filter(pl.col("strategy") != "full_retrain")
    assert dots.distances(alone, Verdicts(None, METRIC), style.Look.of(results)) is None


def test_a_moving_mean_only_above_twenty() -> None:
    assert multiples.smooth(np.arange(20.0)).tolist() == list(range(20))
    values = np.arange(30.0)
    values[3] = np.nan
    found = multiples.smooth(values)
    assert found[10] == pytest.approx(10)
    assert found[0] == pytest.approx(1)  # of 0, 1, 2
    assert found[3] == pytest.approx(np.mean([1, 2, 4, 5]))


def test_a_panel_each_and_what_is_not_averaged_is_hatched(results: pl.DataFrame) -> None:
    with style.styled():
        figure = multiples.over_time(results, "recall@20", style.Look.of(results))
    assert figure is not None
    shown = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_title(loc="left") for axis in shown][:2] == ["stale", "frozen"]
    assert len(shown) == 6
    assert all(any(patch.get_hatch() for patch in axis.patches) for axis in shown)


def test_sums_of_seconds_are_drawn_of_one_scorer(results: pl.DataFrame) -> None:
    given = cumulative(results)
    with style.styled():
        figure = spent.spending(given, style.Look.of(results))
        assert figure is not None
    drawn = [line for line in figure.axes[0].lines if len(line.get_xdata())]  # type: ignore[arg-type]
    want = given.filter(scorer="model", strategy="stale")["spent"].to_list()
    assert len(drawn) == 6
    assert list(drawn[0].get_ydata()) == pytest.approx(want)  # type: ignore[arg-type]
    assert spent.spending(given.clear(), style.Look.of(results)) is None


def embedded(results: pl.DataFrame, name: str) -> str:
    with style.styled():
        figure = multiples.over_time(results, "recall@20", style.Look.of(results))
    assert figure is not None
    return svg.inline(figure, name, "said")


def test_two_figures_of_a_page_share_no_name_and_one_is_the_same_bytes_again(results: pl.DataFrame) -> None:
    one, other = (embedded(results, name) for name in ("one", "other"))
    names = [set(re.findall(r'\sid="([^"]*)"', html)) for html in (one, other)]
    assert len(names[0]) == len(names[1]) > 0
    assert not names[0] & names[1]
    assert embedded(results, "one") == one
    assert "<metadata" not in one
    assert "DejaVu" not in one


def test_a_name_that_reads_like_a_reference_is_a_name() -> None:
    with style.styled():
        figure, (axis,) = style.canvas(1, 1, 2, 2)
        axis.set_title('url(#x) href="#y" <b>')
        text = svg.inline(figure, "one", "said")
    assert "url(#x)" in text
    assert "<b>" not in text


@pytest.fixture
def drawn(results: pl.DataFrame, overview: pl.DataFrame) -> list[figures.DrawnFigure]:
    every, _ = figures.draw_all(results, overview, None)
    return [one for one in every if one.name in ("from_full", "cost_quality", "staleness")]


def test_for_a_paper_figures_are_a_column_or_two_wide(drawn: list[figures.DrawnFigure], tmp_path: Path) -> None:
    paths = paper.write(drawn, tmp_path, ["svg", "pdf", "svg"])
    assert {p.name for p in paths} == {f"{one.name}.{kind}" for one in drawn for kind in ("svg", "pdf")}
    assert len(paths) == 6
    for one in drawn:
        head = (tmp_path / f"{one.name}.svg").read_text()[:1500]
        width = float(re.search(r'<svg [^>]*width="([\d.]+)pt"', head)[1])  # type: ignore[index]
        assert width / 72 == pytest.approx(7.0 if one.wide else 3.4)
        assert (tmp_path / f"{one.name}.pdf").read_bytes().startswith(b"%PDF")
        letters = [float(t.get_fontsize()) for t in one.figure.findobj(Text) if t.get_text()]  # type: ignore[attr-defined]
        assert min(letters) >= 6
    assert {one.wide for one in drawn} == {True, False}
    assert paper.write(drawn, tmp_path / "none", []) == []
    with pytest.raises(GnnrecError, match="cannot write the figure"):
        paper.write(drawn, tmp_path / "none", ["pdf"])


def test_legends_of_a_column_are_whole(drawn: list[figures.DrawnFigure], tmp_path: Path) -> None:
    paper.write(drawn, tmp_path, ["pdf"])
    for one in drawn:
        for legend in one.figure.legends:
            box = legend.get_window_extent()
            assert one.figure.bbox.x0 <= box.x0 < box.x1 <= one.figure.bbox.x1, one.name
