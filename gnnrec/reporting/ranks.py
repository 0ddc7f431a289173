"""Strategies over several data sets: mean ranks, and how far apart they have to be (Demšar, JMLR 2006).

Letters: b blocks (data sets), k strategies.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.stats import friedmanchisquare, rankdata, studentized_range

from gnnrec.core.errors import GnnrecError
from gnnrec.reporting.style import DPI, INK, MUTED, PALETTE, RC


@dataclass(frozen=True, slots=True)
class Ranks:
    """How strategies rank over blocks.

    Attributes:
        names: of the strategies, the best first.
        mean: [k] mean ranks, 1 the best; equal values share the mean of their ranks.
        blocks: b.
        p: of Friedman's test that all rank alike; None with fewer than three strategies or two blocks.
        distance: how far two mean ranks must be apart to be shown to differ, by Nemenyi's test at 5 %.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    blocks: int
    p: float | None
    distance: float

    @property
    def cliques(self) -> list[tuple[int, int]]:
        """The longest runs of strategies, first to last place, none of which is shown to differ from another of the run."""
        ends = [max(j for j in range(len(self.mean)) if self.mean[j] - m <= self.distance) for m in self.mean]
        return [(i, j) for i, j in enumerate(ends) if j > i and (i == 0 or ends[i - 1] < j)]


def ranks(values: pl.DataFrame) -> Ranks:
    """Return the ranks of strategies, more being better.

    Args:
        values: columns block, strategy, value; every strategy once in every block.

    Raises:
        GnnrecError: a strategy lacks a block, or has it twice, or there are fewer than two strategies.
    """
    table = values.pivot(on="strategy", index="block", values="value", aggregate_function="len").drop("block")
    if table.width < 2 or table.null_count().sum_horizontal().item() or (table.to_numpy() != 1).any():
        raise GnnrecError("mean ranks need two strategies or more, and every one of them once in every block")
    names = table.columns
    found = values.pivot(on="strategy", index="block", values="value").select(names).to_numpy().astype(float)
    b, k = found.shape
    mean = rankdata(-found, axis=1).mean(axis=0)
    order = np.argsort(mean, kind="stable")
    p = float(friedmanchisquare(*found.T).pvalue) if k > 2 and b > 1 else None
    distance = float(studentized_range.ppf(0.95, k, np.inf) / np.sqrt(2) * np.sqrt(k * (k + 1) / (6 * b)))
    return Ranks(tuple(names[i] for i in order), tuple(float(mean[i]) for i in order), b, p, distance)


def draw(found: Ranks, path: Path) -> None:
    """Write the figure: a point per strategy at its mean rank, bars over those not shown to differ."""
    count, cliques = len(found.names), found.cliques
    with rc_context(RC):
        figure = Figure(figsize=(7.5, 1.2 + 0.24 * count), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2, width_ratios=(5, max(1.8, 0.25 * len(cliques))), sharey=True)
        place = np.arange(count)
        left.hlines(place, min(found.mean) - 0.3, found.mean, color=MUTED, linewidth=0.6)
        left.plot(found.mean, place, "o", color=PALETTE[0], markersize=4)
        left.set_yticks(place, found.names)
        left.set_ylim(count - 0.5, -0.5)
        left.set_xlabel(f"mean rank over {found.blocks} data sets (1: best)")
        left.set_title(f"Differ if {found.distance:.2f} ranks apart (Nemenyi, 5 %)")
        for n, (first, last) in enumerate(cliques):
            right.vlines(n, first - 0.2, last + 0.2, color=INK, linewidth=3)
        right.set_xlim(-0.7, max(len(cliques) - 0.3, 0.7))
        right.set_title("not shown to differ")
        right.tick_params(left=False, labelleft=False, bottom=False, labelbottom=False)
        right.grid(False)
        for side in ("left", "bottom"):
            right.spines[side].set_visible(False)
        figure.savefig(path, dpi=DPI)
