"""What updates have cost together, increment by increment."""

from __future__ import annotations

import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gnnrec.reporting.style import FAINT, Look, canvas, legend


def spending(spent: pl.DataFrame, look: Look) -> Figure | None:
    """Draw seconds of all updates up to each increment, of the first scorer; None where none was timed.

    Args:
        spent: of gnnrec.reporting.worth.spending.cumulative.
        look: of the rows.
    """
    rows = spent.filter(pl.col("scorer") == pl.col("scorer").first(), pl.col("spent") > 0)
    if not rows.height:
        return None
    names = rows["strategy"].unique(maintain_order=True).to_list()
    figure, (axis,) = canvas(1, 1, 4.6, 3.1 + 0.12 * max(0, len(names) - 4))  # the legend stands below
    for (name,), part in rows.group_by("strategy", maintain_order=True):
        style = look.line(str(name)) if str(name) not in look.others else {"color": FAINT, "lw": 0.9}
        axis.plot(part["increment"], part["spent"], **style)
    axis.set_yscale("log")
    axis.set(xlabel="increments taken up", ylabel=f"seconds, {rows['scorer'][0]}")
    axis.yaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(figure, names, look)
    return figure
