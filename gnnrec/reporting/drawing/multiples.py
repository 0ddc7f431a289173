"""Small multiples along increments: one strategy each, the others grey behind it."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from gnnrec.evaluation import results as table
from gnnrec.evaluation.results import REFERENCE
from gnnrec.evaluation.significance import ERROR
from gnnrec.reporting.curves import scorers_of
from gnnrec.reporting.style import FAINT, GRID, MUTED, Look, canvas, label, row_label
from gnnrec.reporting.worth.criterion import called

Floats = NDArray[np.float64]

LONG, WINDOW = 20, 5
"""Above so many increments a mean over so many is drawn, not each of them."""


def over_time(
    results: pl.DataFrame, metric: str, look: Look, first: int = 1, scorer: str | None = None
) -> Figure | None:
    """Draw `metric` of each next increment, a panel per strategy that has a colour; hatched: drawn, not averaged.

    Above `LONG` increments the line is a moving mean over `WINDOW`, the increments themselves are thin behind it.

    Args:
        results: the table of results.
        metric: such as recall@20.
        look: of the rows.
        first: smallest t in means.
        scorer: of the panels; None: the last that trained rows have (the blend, where there is one), of errors the first.
    """
    frame = table.per_increment(results, metric, "all")
    # A blend expects what its model does: of errors the model's own are shown.
    shown = scorer or next(iter(scorers_of(frame)[:: 1 if metric == ERROR else -1]), REFERENCE)
    rows = frame.filter(scorer=shown)
    names = [n for n in (*look.strategies, *look.references) if n in set(rows["strategy"].to_list())][:12]
    if not names:
        return None
    columns = min(3, len(names))
    figure, axes = canvas(math.ceil(len(names) / columns), columns, 2.6, 1.9, share_y=True)
    for axis, name in zip(axes, names, strict=False):
        for (other,), part in rows.group_by("strategy", maintain_order=True):
            if other != name:
                axis.plot(part["evaluated_on"], smooth(part["mean"].to_numpy()), color=FAINT, lw=0.8, zorder=1)
        _own(axis, rows.filter(strategy=name), look.colour(name))
        axis.set_title(row_label(name, 24))
        axis.margins(x=0.03)
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axis.yaxis.set_major_locator(MaxNLocator(4))
        _hatch(axis, int(rows["evaluated_on"].min()), first)  # type: ignore[arg-type]
    for axis in axes[len(names) :]:
        axis.set_visible(False)
    figure.supxlabel("increment scored before it was seen", fontsize=9)
    figure.supylabel(f"{called(metric)}, {label(shown)}", fontsize=9)
    return figure


def _own(axis: Axes, rows: pl.DataFrame, colour: str) -> None:
    x, mean = rows["evaluated_on"].to_numpy(), rows["mean"].to_numpy()
    spread = rows["deviation"].fill_null(0.0).to_numpy()
    line = smooth(mean)
    if len(mean) > LONG:
        axis.plot(x, mean, color=colour, lw=0.5, alpha=0.5, zorder=2)
    elif spread.any():
        axis.fill_between(x, mean - spread, mean + spread, color=colour, alpha=0.18, lw=0)
    axis.plot(x, line, color=colour, lw=1.8, zorder=3)
    axis.plot(x[-1], line[-1], "o", color=colour, ms=4, zorder=4)
    axis.annotate(f"{line[-1]:.3f}", (x[-1], line[-1]), (5, 0), textcoords="offset points", va="center", fontsize=8)


def _hatch(axis: Axes, begin: int, first: int) -> None:
    """Hatch next[t], t < first: what means leave out."""
    low, high = axis.get_xlim()
    high += 0.17 * (high - low)  # for the number of the last value
    axis.set_xlim(low, high)
    if begin <= first:
        axis.axvspan(low, first + 0.5, facecolor=GRID, edgecolor=MUTED, hatch="////", alpha=0.35, lw=0, zorder=0)
        axis.set_xlim(low, max(high, first + 0.5))


def smooth(values: Floats) -> Floats:
    """Return a centred moving mean of `WINDOW`, shorter at the ends, where there are more than `LONG` values."""
    if len(values) <= LONG:
        return values
    weights = np.ones(WINDOW)
    held = np.isfinite(values)
    total = np.convolve(np.where(held, values, 0.0), weights, "same")
    return np.asarray(total / np.maximum(np.convolve(held.astype(float), weights, "same"), 1))
