"""Figures that set rows side by side: R heat maps, cost against quality, predicted against true values."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import NDArray

from gnnrec.evaluation import r_matrix
from gnnrec.evaluation import results as table
from gnnrec.evaluation.results import REFERENCE
from gnnrec.evaluation.significance import ERROR
from gnnrec.reporting.style import INK, MUTED, Look, canvas, label, legend, row_label
from gnnrec.reporting.worth.criterion import called

Floats = NDArray[np.float64]

MAP = "cividis"
LARGEST_ANNOTATED = 8
_DARK, _LIGHT = "#111111", "#fefefe"
"""On the colours of a heat map, which a dark page keeps."""


def heat_maps(results: pl.DataFrame, scorer: str, metric: str) -> Figure | None:
    """Draw R [t, k] of every strategy under `scorer`, mean over seeds, on one colour scale; None without R."""
    maps = _mean_matrices(results, scorer, metric)
    if not maps:
        return None
    values = np.concatenate([r[np.isfinite(r)] for r in maps.values()])
    norm = Normalize(values.min(), values.max())
    columns = min(3, len(maps))
    figure, axes = canvas(math.ceil(len(maps) / columns), columns, 3.4, 3.3)
    for axis, (strategy, r) in zip(axes, maps.items(), strict=False):
        image = axis.imshow(r, cmap=MAP, norm=norm, aspect="equal")
        axis.set_title(row_label(strategy))
        axis.set(xlabel="test slice k", ylabel="trained to t")
        axis.grid(visible=False)
        for ticks in (axis.xaxis, axis.yaxis):
            ticks.set_major_locator(MaxNLocator(integer=True))
        if len(r) <= LARGEST_ANNOTATED:
            _annotate(axis, r, norm)
    for axis in axes[len(maps) :]:
        axis.set_visible(False)
    figure.suptitle(f"R[t, k]: {metric} · {label(scorer)}", x=0.01, ha="left", fontsize=11, fontweight="bold")
    figure.colorbar(image, ax=axes, label=metric, shrink=0.75, pad=0.02)
    return figure


def _mean_matrices(results: pl.DataFrame, scorer: str, metric: str) -> dict[str, Floats]:
    tests = results.filter((pl.col("split") == "test") & (pl.col("segment") == "all") & (pl.col("metric") == metric))
    found: dict[str, list[Floats]] = {}
    rows = tests.filter(pl.col("scorer") == scorer).select("strategy", "seed").unique(maintain_order=True)
    for strategy, seed in rows.iter_rows():
        r = r_matrix.matrix(tests, strategy, scorer, seed, metric)
        if r is not None:
            found.setdefault(strategy, []).append(r)
    return {strategy: np.mean(matrices, axis=0) for strategy, matrices in found.items()}


def _annotate(axis: Axes, r: Floats, norm: Normalize) -> None:
    for t, k in zip(*np.nonzero(np.isfinite(r)), strict=True):
        text = f"{r[t, k]:.3f}".replace("0.", ".", 1) if 0 <= r[t, k] < 1 else f"{r[t, k]:.2f}"
        axis.text(k, t, text, ha="center", va="center", fontsize=6.5, color=_DARK if norm(r[t, k]) > 0.55 else _LIGHT)


def cost_against_quality(summary: pl.DataFrame, look: Look, quality: str = "recall@20_all") -> Figure | None:
    """Draw quality on the next increment against seconds per update (log), with deviations and the Pareto front.

    Rows on the front are ringed and named. The best reference row is a line across: it has no update to pay for. None where
    no row has both numbers.

    Args:
        summary: a row per strategy and scorer.
        look: of the rows.
        quality: column of the summary: of recall more is better, of `ERROR` less, and its axis runs down.
    """
    rows = summary.filter(
        pl.col("seconds_per_update") > 0, pl.col(quality).is_not_null(), pl.col("scorer") != REFERENCE
    )
    if not rows.height:
        return None
    figure, (axis,) = canvas(1, 1, 4.6, 4.3)
    axis.set_xscale("log")
    scorers = rows["scorer"].unique(maintain_order=True).to_list()
    for row in rows.iter_rows(named=True):
        _point(axis, row, quality, look, filled=row["scorer"] == scorers[0])
    _front(axis, rows, quality)
    _best_reference(axis, summary, quality)
    axis.margins(x=0.12, y=0.14)
    _seconds(axis)
    said = "MSE (less is better)" if quality == ERROR else f"{called(quality)}, all users"
    axis.set(xlabel="seconds per update", ylabel=f"{said}, next increment")
    axis.yaxis.set_inverted(quality == ERROR)
    kinds = [
        axis.plot([], [], "o", color=MUTED, mfc=MUTED if i == 0 else "white", label=label(s))[0]
        for i, s in enumerate(scorers[:2])
    ]
    front = axis.plot([], [], color=MUTED, lw=1, label="front")[0]
    legend(figure, rows["strategy"].unique(maintain_order=True), look, [*kinds, front])
    return figure


def _seconds(axis: Axes) -> None:
    """Label the logarithmic axis with plain numbers, few enough to be read whatever it spans."""
    low, high = axis.get_xlim()
    if high < 100 * low:
        axis.xaxis.set_major_locator(MaxNLocator(6) if high < 10 * low else LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter("")


def _point(axis: Axes, row: dict[str, float], quality: str, look: Look, *, filled: bool) -> None:
    colour, quiet = look.colour(str(row["strategy"])), str(row["strategy"]) in look.others
    axis.errorbar(
        row["seconds_per_update"],
        row[quality],
        xerr=None if quiet else _reach(row["seconds_per_update"], row["seconds_per_update_deviation"]),
        yerr=None if quiet else row[f"{quality}_deviation"],
        fmt=look.marker(str(row["strategy"])),
        color=colour,
        mfc=colour if filled else "white",
        ms=7,
        elinewidth=1,
        zorder=2 if quiet else 3,
    )


def _reach(value: float, deviation: float | None) -> list[list[float]] | None:
    """Error bars that stay right of zero on a log axis."""
    return None if deviation is None else [[min(deviation, 0.9 * value)], [deviation]]


def _front(axis: Axes, rows: pl.DataFrame, quality: str) -> None:
    cost, value = rows["seconds_per_update"].to_numpy(), rows[quality].to_numpy()
    on = table.pareto(cost, -value if quality == ERROR else value)
    order = np.argsort(cost[on])
    axis.step(cost[on][order], value[on][order], where="post", color=MUTED, lw=1, zorder=1)
    axis.scatter(cost[on], value[on], s=150, facecolor="none", edgecolor=MUTED, linewidth=0.9, zorder=2)
    names = rows.filter(pl.Series(on))["strategy"].to_list()
    for n, i in enumerate(order):  # by turns below and above: neighbours on the front are often near each other
        at, above = (cost[on][i], value[on][i]), n % 2 == 1
        va, away = ("bottom", (0, 7)) if above else ("top", (0, -8))
        axis.annotate(
            row_label(names[i], 16), at, away, textcoords="offset points", ha="center", va=va, fontsize=8, color=INK
        )


def _best_reference(axis: Axes, summary: pl.DataFrame, quality: str) -> None:
    rows = summary.filter(
        pl.col("scorer") == REFERENCE, pl.col(quality).is_not_null(), pl.col("strategy") != "oracle"
    ).sort(quality, descending=quality != ERROR)
    if rows.height:
        value, name = rows[quality][0], row_label(rows["strategy"][0])
        axis.axhline(value, color=MUTED, lw=1, ls=(0, (5, 2)), zorder=1)
        axis.annotate(name, (0.01, value), xycoords=("axes fraction", "data"), va="bottom", fontsize=8, color=MUTED)


def before_and_after(predictions: pl.DataFrame) -> pl.DataFrame:
    """Return strategy, when, true, predicted from recorded predictions (with `trained_to`, `scorer`), seeds pooled.

    Before: the base model on increment 1. After: the last model scored on the increment after it. The events differ, as
    each model is only asked about what comes next. Reference rows are left out; of several scorers the first counts.
    """
    rows = predictions.filter(pl.col("scorer") != REFERENCE)
    rows = rows.filter(pl.col("scorer") == pl.col("scorer").first().over("strategy"))
    ends = {0: "before", rows["trained_to"].max(): "after"}
    when = pl.col("trained_to").replace_strict(ends, default=None, return_dtype=pl.String)
    return rows.select("strategy", when.alias("when"), "true", "predicted").drop_nulls("when")


def predicted_against_true(predictions: pl.DataFrame, look: Look) -> Figure | None:
    """Draw the spread of predictions per true value, before and after the updates, one panel per strategy.

    Boxes: quartiles; whiskers: 5th and 95th percentile; the grey line is prediction = truth. Values with more than 12
    levels are binned into 8 of equal width. Strategies without a colour are left out. None without predictions.
    """
    frame = predictions.drop_nulls(["true", "predicted"]).filter(pl.col("predicted").is_finite())
    if not frame.height:
        return None
    frame, centres = _binned(frame)
    names = [name for name in frame["strategy"].unique(maintain_order=True).to_list() if name not in look.others]
    if not names:
        return None
    columns = min(3, len(names))
    figure, axes = canvas(math.ceil(len(names) / columns), columns, 3.5, 3.1, share_y=True)
    for axis, name in zip(axes, names, strict=False):
        _boxes(axis, frame.filter(pl.col("strategy") == name), centres, look.colour(name))
        axis.set_title(row_label(name))
        axis.set_xlabel("true value")
    for axis in axes[len(names) :]:
        axis.set_visible(False)
    for axis in axes[::columns]:
        axis.set_ylabel("predicted value")
    shades = [
        Patch(fc=MUTED, alpha=0.25, ec=MUTED, label="before the updates"),
        Patch(fc=MUTED, alpha=0.8, label="after"),
    ]
    figure.legend(handles=shades, loc="outside lower center", ncols=2)
    return figure


def _binned(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[float]]:
    """Return the frame with a column `at`, the place of its true value, and all places."""
    levels = frame["true"].unique().sort()
    if levels.len() <= 12:
        return frame.with_columns(at=pl.col("true")), levels.to_list()
    low, high = float(levels[0]), float(levels[-1])
    width = (high - low) / 8
    bin_of = ((pl.col("true") - low) / width).floor().clip(0, 7)
    return frame.with_columns(at=low + width * (bin_of + 0.5)), [low + width * (i + 0.5) for i in range(8)]


def _boxes(axis: Axes, frame: pl.DataFrame, centres: list[float], colour: str) -> None:
    step = min(np.diff(centres), default=1.0)
    ends = [centres[0] - step / 2, centres[-1] + step / 2]
    axis.plot(ends, ends, color=MUTED, lw=1, zorder=1)
    errors = []
    for when, side, alpha in (("before", -1, 0.25), ("after", 1, 0.8)):
        part = frame.filter(pl.col("when") == when)
        boxes = [
            _box(values["predicted"].to_numpy()) for _, values in part.sort("at").group_by("at", maintain_order=True)
        ]
        places = part["at"].unique().sort().to_numpy() + side * 0.19 * step
        drawn = axis.bxp(boxes, places, widths=0.32 * step, showfliers=False, patch_artist=True, manage_ticks=False)
        for box in drawn["boxes"]:
            box.set(facecolor=colour, alpha=alpha, edgecolor=colour)
        for line in (*drawn["medians"], *drawn["whiskers"], *drawn["caps"]):
            line.set(color=INK, lw=0.9)
        if part.height:
            errors.append(f"{float(((part['predicted'] - part['true']) ** 2).mean()):.3f}")  # type: ignore[arg-type]
    axis.text(0.03, 0.96, "MSE " + " → ".join(errors), transform=axis.transAxes, va="top", fontsize=8, color=INK)
    axis.set_xticks(centres, [f"{c:g}" for c in np.round(centres, 2)], fontsize=8)


def _box(values: Floats) -> dict[str, float]:
    low, q1, median, q3, high = np.percentile(values, [5, 25, 50, 75, 95])
    return {"whislo": low, "q1": q1, "med": median, "q3": q3, "whishi": high}
