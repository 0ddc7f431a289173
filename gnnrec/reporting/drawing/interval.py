"""What was served, by how many increments an update took up."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gnnrec.evaluation.results import REFERENCE
from gnnrec.evaluation.significance import ERROR, FULL
from gnnrec.reporting.answer import best_counter
from gnnrec.reporting.style import INK, MUTED, Look, canvas, legend, row_label
from gnnrec.reporting.tables import short
from gnnrec.reporting.verdicts import SummaryRow
from gnnrec.reporting.worth.criterion import called

STALE = "stale"
"""The row that nothing is let into."""


def by_interval(policies: pl.DataFrame, summary: pl.DataFrame, metric: str, look: Look) -> Figure | None:
    """Draw quality against the increments that an update takes up, a line per strategy, of one scorer; None without policies.

    The band is the interval of the difference to one row (`gnnrec.reporting.worth.waiting`). The number at a point is the price
    of a second from which on waiting so long pays. Lines across: full retraining, doing nothing, the best that trains nothing.

    Args:
        policies: of gnnrec.reporting.worth.waiting.
        summary: of the comparison.
        metric: its column that rows are compared by.
        look: of the rows.
    """
    scorers = policies["scorer"].unique(maintain_order=True).to_list()
    scorer = scorers[0 if metric == ERROR else -1] if scorers else ""  # a blend expects what its model does
    shown = policies.filter(pl.col("interval").is_not_null(), scorer=scorer).sort("interval", maintain_order=True)
    # A row that no update changes is one line across, whatever its policies.
    shown = shown.filter(pl.col("quality").n_unique().over("group") > 1)
    if not shown.height:
        return None
    figure, (axis,) = canvas(1, 1, 4.6, 3.6)
    for group in shown.partition_by("group", maintain_order=True):
        _line(axis, group, look)
    for at in shown.partition_by("interval"):
        _break_even(axis, at.sort("quality", descending=True))
    across = [_across(axis, row, metric, look) for row in _beside(summary, scorer, metric, set(shown["strategy"]))]
    _scale(axis, max(shown["interval"]))
    less = " (less is better)" if metric == ERROR else ""
    axis.set(xlabel="increments that an update takes up", ylabel=f"{called(metric)} of what was served{less}")
    axis.set_title(_counted(summary, scorer), fontsize=8, fontweight="normal", color=MUTED)
    legend(figure, shown["group"].unique(maintain_order=True), look, across)
    return figure


def _line(axis: Axes, group: pl.DataFrame, look: Look) -> None:
    name = str(group["group"][0])
    axis.plot(group["interval"], group["quality"], **look.line(name))
    banded = group.drop_nulls(["low", "high"])
    low, high = (banded["level"] + banded[end] for end in ("low", "high"))
    if banded.height > 1:
        axis.fill_between(banded["interval"], low, high, color=look.colour(name), alpha=0.16, lw=0)


def _break_even(axis: Axes, rows: pl.DataFrame) -> None:
    """Write prices at points of one interval, from the highest down: above it, right of those between, below the lowest."""
    for n, row in enumerate(rows.iter_rows(named=True)):
        away, ha, va = ((0, 6), "center", "bottom") if n == 0 else ((7, 0), "left", "center")
        if 0 < n == rows.height - 1:
            away, ha, va = (0, -6), "center", "top"
        if said := _price(row):
            at, behind = (row["interval"], row["quality"]), {"fc": "white", "alpha": 0.7, "lw": 0, "pad": 0.6}
            text = axis.annotate(
                said, at, away, textcoords="offset points", ha=ha, va=va, fontsize=8, color=INK, zorder=4
            )
            text.set_bbox(behind)


def _price(row: SummaryRow) -> str:
    if row["pays"] is not None:
        return "0" if row["pays"] == "any" else ""
    return "" if row["price"] is None else short(row["price"])


def _beside(summary: pl.DataFrame, scorer: str, metric: str, drawn: set[str]) -> Iterator[SummaryRow]:
    """Yield the rows that the lines are to be seen beside: full retraining, doing nothing, the best that trains nothing."""
    for name in (FULL, STALE):
        if name not in drawn:
            yield from summary.filter(pl.col(metric).is_not_null(), strategy=name, scorer=scorer).rows(named=True)
    if (counter := best_counter(summary, metric)) is not None:
        yield counter


def _across(axis: Axes, row: SummaryRow, metric: str, look: Look) -> Line2D:
    name = str(row["strategy"])
    line = {**look.line(name), "marker": "", "lw": 1.1}
    line = line if row["scorer"] == REFERENCE else {**line, "ls": (0, (5, 2))}
    return axis.axhline(row[metric], label=row_label(name), zorder=1, **line)


def _scale(axis: Axes, longest: float) -> None:
    ticks = [2**n for n in range(16) if 2**n <= 1.05 * longest]
    axis.set_xscale("log", base=2)
    axis.set_xticks(ticks, [str(t) for t in ticks])
    axis.minorticks_off()
    axis.margins(x=0.1, y=0.14)


def _counted(summary: pl.DataFrame, scorer: str) -> str:
    users = max(summary.filter(pl.col("scorer") != REFERENCE)["users_all"].drop_nulls().to_list(), default=0)
    told = f"{users:,.0f} users scored over " if users else ""
    return f"{scorer}, {told}{summary['increments'][0]} increments"
