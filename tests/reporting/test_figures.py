"""Figures are written, opened again and not blank; one without data is skipped and named."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from matplotlib.image import imread

from gnnrec.core.errors import GnnrecError
from gnnrec.evaluation.results import summary
from gnnrec.reporting import curves, figures, panels, style

Make = Callable[..., pl.DataFrame]

NAMES = {
    "from_full",
    "over_time",
    "spent",
    "next_recall_all",
    "next_recall_known",
    "next_ndcg",
    "next_mse",
    "cost_quality",
    "r_matrix_model",
    "r_matrix_blend",
    "staleness",
    "predictions",
}


def write_all(*given: pl.DataFrame | None, folder: Path) -> tuple[list[Path], list[str]]:
    drawn, notes = figures.draw_all(*given)
    return figures.write(drawn, folder), notes


def test_every_figure_is_written_and_not_blank(
    results: pl.DataFrame, overview: pl.DataFrame, predictions: pl.DataFrame, tmp_path: Path
) -> None:
    paths, notes = write_all(results, overview, predictions, folder=tmp_path / "new" / "figures")
    assert {p.stem for p in paths} == NAMES
    assert notes == []
    for path in paths:
        pixels = imread(path)
        assert min(pixels.shape[:2]) > 300, path.stem
        assert len(np.unique(pixels.reshape(-1, pixels.shape[2])[::97], axis=0)) > 10, path.stem
        assert figures.caption(path) != path.stem


def test_what_has_no_data_is_skipped_and_named(pretend: Make, tmp_path: Path) -> None:
    bare = pretend(2, 1, test=False).filter(pl.col("split") != "cost", pl.col("metric") != "mse")
    paths, notes = write_all(bare, summary(bare), None, folder=tmp_path)
    assert {p.stem for p in paths} == {"next_recall_all", "next_recall_known", "next_ndcg", "over_time", "from_full"}
    assert len(notes) == len(NAMES) - 5
    assert "figure predictions skipped: there are no data for it" in notes


def test_small_tables_hostile_names_and_a_single_row(pretend: Make, tmp_path: Path) -> None:
    tiny = pretend(1, 1, {"$x_{$ <b>\n" + "long" * 30: (0.1, 0.0, 0.0)}).filter(pl.col("scorer") != "blend")
    paths, _ = write_all(tiny, summary(tiny), None, folder=tmp_path)
    assert {p.stem for p in paths} >= {"next_recall_all", "r_matrix_model"}
    empty, notes = write_all(tiny.clear(), summary(tiny.clear()), None, folder=tmp_path)
    assert empty == []
    assert notes


def test_many_levels_are_binned_and_only_before_is_enough() -> None:
    rng = np.random.default_rng(0)
    true = rng.uniform(-10, 10, 500)
    frame = pl.DataFrame({"strategy": "a", "when": "before", "true": true, "predicted": true + rng.normal(size=500)})
    binned, centres = panels._binned(frame)
    assert len(centres) == 8
    assert binned["at"].n_unique() == 8
    with style.styled():
        assert panels.predicted_against_true(frame, style.Look(("a",), ())) is not None
        assert panels.predicted_against_true(frame.clear(), style.Look((), ())) is None


def test_a_strategy_has_one_colour_in_every_figure(results: pl.DataFrame) -> None:
    look = style.Look.of(results)
    colours = [look.colour(name) for name in look.strategies]
    assert len(set(colours)) == 6
    assert look.colour("popularity") == style.MUTED
    assert look.strategies[0] == "stale"


def test_many_strategies_share_grey_and_one_line_of_the_legend(results: pl.DataFrame) -> None:
    one = results.filter(pl.col("strategy") == "fine_tune")
    many = [one.with_columns(pl.lit(f"s{n:02}").alias("strategy"), pl.col("value") * (1 + n / 100)) for n in range(20)]
    rows = pl.concat([results.filter(pl.col("strategy").is_in(["fine_tune", "popularity"])), *many])
    look = style.Look.of(rows)
    assert look.strategies == (
        "fine_tune",
        *(f"s{n:02}" for n in range(11, 20)),
    )  # what all are set against, and the best
    assert len({look.colour(name) for name in look.strategies}) == 10
    assert {look.colour(name) for name in look.others} == {style.FAINT}
    assert len(look.others) == 11
    with style.styled():
        figure = curves.metric_by_increment(rows, "recall@20", "all", "recall", look)
        assert figure is not None
        texts = [text.get_text() for text in figure.legends[0].get_texts()]
        figure.draw_without_rendering()
    assert texts == [*look.strategies, "popularity", "11 others"]
    box, canvas = figure.legends[0].get_window_extent(), figure.bbox
    assert canvas.y0 <= box.y0 < box.y1 <= canvas.y1


def test_a_folder_that_cannot_be_made_is_one_line(
    results: pl.DataFrame, overview: pl.DataFrame, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GnnrecError, match="cannot write figures"):
        write_all(results, overview, None, folder=tmp_path / "file" / "x")


def test_recorded_predictions_become_before_and_after() -> None:
    rows = [("a", "model", t, 1.0 * t, 2.0) for t in (0, 1, 2)] + [
        ("a", "blend", 0, 9.0, 9.0),
        ("bias", "reference", 0, 9.0, 9.0),
    ]
    frame = pl.DataFrame(rows, schema=["strategy", "scorer", "trained_to", "true", "predicted"], orient="row")
    assert panels.before_and_after(frame).rows() == [("a", "before", 0.0, 2.0), ("a", "after", 2.0, 2.0)]
    assert panels.before_and_after(frame.clear()).height == 0


@pytest.mark.parametrize("span", [1.05, 4.0, 40.0, 1e5])
def test_seconds_are_plain_numbers_that_do_not_cover_each_other(span: float, results: pl.DataFrame) -> None:
    rows = summary(results).with_columns(
        (0.4 * pl.lit(span) ** (pl.int_range(pl.len()) / (pl.len() - 1))).alias("seconds_per_update"),
        pl.lit(None, pl.Float64).alias("seconds_per_update_deviation"),
    )
    with style.styled():
        figure = panels.cost_against_quality(rows, style.Look.of(results))
        assert figure is not None
        figure.draw_without_rendering()
    axis = figure.axes[0]
    inside = [
        t for t in axis.get_xticklabels(which="both") if axis.get_xlim()[0] <= t.get_position()[0] <= axis.get_xlim()[1]
    ]
    shown = [t for t in inside if t.get_text()]
    assert 2 <= len(shown) <= 12
    assert all(float(t.get_text()) > 0 for t in shown)
    boxes = sorted((t.get_window_extent() for t in shown), key=lambda box: float(box.x0))
    assert all(one.x1 < other.x0 for one, other in pairwise(boxes))


def test_rows_and_columns_of_r_are_whole_increments(results: pl.DataFrame) -> None:
    with style.styled():
        figure = panels.heat_maps(results, "model", "recall@20")
        assert figure is not None
        figure.draw_without_rendering()
    axis = figure.axes[0]
    ticks = [*axis.get_xticks(), *axis.get_yticks()]
    assert all(float(t).is_integer() for t in ticks)
    assert axis.yaxis.label.get_window_extent().x0 >= 0
