"""How far each row is from full retraining: differences with intervals, seconds beside them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gnnrec.evaluation.noninferiority import MARGIN
from gnnrec.evaluation.results import REFERENCE
from gnnrec.evaluation.significance import ERROR
from gnnrec.reporting import tables
from gnnrec.reporting.style import GRID, INK, MUTED, Look, canvas, label, row_label
from gnnrec.reporting.verdicts import SummaryRow, Verdicts
from gnnrec.reporting.worth.columns import full_of
from gnnrec.reporting.worth.criterion import called


@dataclass(frozen=True, slots=True)
class FromFull:
    """How far a row is from full retraining.

    Attributes:
        row: of the summary.
        gap: row − full retraining.
        low, high: its interval; NaN where it was not tested.
        margin: how far below still counts as at least as good; below 0: how far above, of an error.
    """

    row: SummaryRow
    gap: float
    low: float
    high: float
    margin: float


def from_full(summary: pl.DataFrame, verdicts: Verdicts) -> list[FromFull]:
    """Return the distance of every other row to full retraining under its scorer, the best first.

    Of errors those of blends are left out: they are their models'.
    """
    falls = verdicts.metric == ERROR
    rows, found = summary.filter(pl.lit(not falls) | (pl.col("scorer") != "blend")).rows(named=True), list[FromFull]()
    for row in rows:
        full = full_of(rows, row, verdicts.metric)
        if full is None or row["strategy"] in (full["strategy"], "oracle") or row[verdicts.metric] is None:
            continue
        low, high = (math.nan if end is None else end for end in verdicts.interval(row, full))
        value = full[verdicts.metric]
        found.append(FromFull(row, row[verdicts.metric] - value, low, high, MARGIN * (-value if falls else value)))
    return sorted(found, key=lambda f: f.gap if falls else -f.gap)


def distances(summary: pl.DataFrame, verdicts: Verdicts, look: Look) -> Figure | None:
    """Draw the differences; the band is what counts as at least as good, for each row. None without full retraining, or
    beside nobody.

    The axis reaches as far as trained rows do; what lies beyond is an arrow and its number.
    """
    found = from_full(summary, verdicts)
    if not found:
        return None
    figure, (axis,) = canvas(1, 1, 4.6, 0.9 + 0.27 * len(found))
    margins = [one.margin for one in found]
    axis.barh(range(len(found)), [-m for m in margins], 1.0, color=GRID, alpha=0.8, lw=0, zorder=0)
    axis.axvline(0, color=INK, lw=1, zorder=1)
    low, high = _reach(found, max(margins, key=abs))
    scorers = summary.filter(pl.col("scorer") != REFERENCE)["scorer"].unique(maintain_order=True).to_list()
    for n, one in enumerate(found):
        _dot(axis, n, one, (low, high), look, filled=one.row["scorer"] in scorers[:1])
    axis.set_xlim(low, high)
    axis.set_yticks(range(len(found)), [_named(f.row) for f in found])
    axis.set_ylim(len(found) - 0.4, -0.6)
    less = "" if max(margins) > 0 else "; less is better"
    axis.set_xlabel(f"{called(verdicts.metric)}, difference to full retraining{less}")
    axis.locator_params(axis="x", nbins=5)
    axis.grid(visible=False, axis="y")
    return figure


def _reach(found: list[FromFull], margin: float) -> tuple[float, float]:
    """Return the ends of the axis: all that trained rows may be, of all rows where none is trained."""
    rows = [f for f in found if f.row["scorer"] != REFERENCE] or found
    ends = [x for f in rows for x in (f.gap, f.low, f.high) if math.isfinite(x)]
    ends += [-1.5 * margin, 0.5 * margin]
    low, high = min(ends), max(ends)
    return low - 0.06 * (high - low), high + 0.06 * (high - low)


def _dot(axis: Axes, n: int, one: FromFull, ends: tuple[float, float], look: Look, *, filled: bool) -> None:
    name, (low, high) = str(one.row["strategy"]), ends
    colour = look.colour(name)
    if math.isfinite(one.low) and low <= one.gap <= high:
        axis.plot([max(one.low, low), min(one.high, high)], [n, n], color=colour, lw=1.6, zorder=2)
    if low <= one.gap <= high:
        axis.plot(one.gap, n, look.marker(name) or "d", color=colour, mfc=colour if filled else "white", ms=6, zorder=3)
    else:
        left = one.gap < low
        at = (low if left else high, n)
        axis.plot(*at, "<" if left else ">", color=colour, ms=6, zorder=3, clip_on=False)
        axis.annotate(
            tables.number(one.gap, 4),
            at,
            (8 if left else -8, 0),
            textcoords="offset points",
            va="center",
            ha="left" if left else "right",
            fontsize=8,
        )
    seconds = tables.number(one.row["seconds_per_update"], 2)
    told = "" if seconds == tables.NA else f"{seconds} s"
    axis.annotate(told, (1.02, n), xycoords=("axes fraction", "data"), va="center", fontsize=8, color=MUTED)


def _named(row: SummaryRow) -> str:
    name = row_label(str(row["strategy"]), 22)
    return name if row["scorer"] == REFERENCE else f"{name} · {label(str(row['scorer']), 8)}"
