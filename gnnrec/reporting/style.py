"""How every figure looks: one colour per strategy throughout a report, safe for the colour-blind, no global state."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from gnnrec.core.errors import one_line
from gnnrec.evaluation.results import REFERENCE
from gnnrec.evaluation.significance import REFERENCES

DPI = 150
LENGTHY = 16
"""Letters of a name from which two stand beside each other in the legend of a narrow figure, not three."""
NARROW = 6.9
"""Inches below which there is no room for a legend beside the panels."""
INK, MUTED, FAINT, GRID = "#222222", "#6b6b6b", "#bdbdbd", "#e6e6e6"
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A4FBF", "#8C6D1F", "#5B8C00", "#A03050")
"""Okabe & Ito (2008) without black and yellow, then four of like lightness."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h")
DASHES = ((0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (3, 3)), (0, (8, 2)), (0, (2, 1, 1, 1)))
RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "text.parse_math": False,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@dataclass(frozen=True, slots=True)
class Look:
    """Which colour, marker and dash a name has; the same in every figure of a report.

    Attributes:
        strategies: those with a colour of their own, as many as there are colours.
        references: rows that train nothing.
        others: strategies for which there is none left: thin and grey, all alike.
    """

    strategies: tuple[str, ...]
    references: tuple[str, ...]
    others: tuple[str, ...] = ()

    @staticmethod
    def of(results: pl.DataFrame) -> Look:
        """Return the look of the rows of `results`, in order of appearance."""
        names = results.select("strategy", "scorer").unique(maintain_order=True)
        reference = pl.col("scorer") == REFERENCE
        trained = names.filter(~reference)["strategy"].unique(maintain_order=True).to_list()
        shown = trained if len(trained) <= len(PALETTE) else _foremost(results, trained)
        return Look(
            tuple(name for name in trained if name in shown),
            tuple(names.filter(reference)["strategy"].to_list()),
            tuple(name for name in trained if name not in shown),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """All rows in the order of a legend."""
        return *self.strategies, *self.others, *self.references

    def colour(self, strategy: str) -> str:
        """Return the colour of a strategy; grey for reference rows, a lighter one for `others`."""
        if strategy in self.others:
            return FAINT
        return PALETTE[self.strategies.index(strategy) % len(PALETTE)] if strategy in self.strategies else MUTED

    def marker(self, strategy: str) -> str:
        """Return the marker of a strategy, so that colour is never the only sign."""
        if strategy in self.others:
            return "."
        return MARKERS[self.strategies.index(strategy) % len(MARKERS)] if strategy in self.strategies else ""

    def line(self, strategy: str) -> dict[str, Any]:
        """Return the line style of a row: solid with markers for strategies, grey dashes for references."""
        if strategy in self.strategies:
            return {"color": self.colour(strategy), "lw": 1.8, "marker": self.marker(strategy), "ms": 4}
        if strategy in self.others:
            return {"color": FAINT, "lw": 0.9}
        dash = DASHES[self.references.index(strategy) % len(DASHES)]
        return {"color": MUTED, "lw": 1.1, "ls": dash}


def _foremost(results: pl.DataFrame, trained: list[str]) -> set[str]:
    """Return as many strategies as there are colours: what all are tested against, then the best by what came next."""
    kept = [name for name in REFERENCES if name in trained]
    rows = results.filter(pl.col("split") == "next", pl.col("segment") == "all", pl.col("strategy").is_in(trained))
    for metric, worse in (("recall@20", False), ("mse", True)):
        means = rows.filter(pl.col("metric") == metric).group_by("strategy", "scorer").agg(pl.col("value").mean())
        best = means.drop_nulls().sort("value", "strategy", descending=[not worse, False])["strategy"]
        kept += [name for name in best.unique(maintain_order=True) if name not in kept]
    return set([*kept, *(name for name in trained if name not in kept)][: len(PALETTE)])


def canvas(rows: int, columns: int, width: float, height: float, *, share_y: bool = False) -> tuple[Figure, list[Axes]]:
    """Return a figure of `rows` × `columns` panels of so many inches each, and its axes row by row."""
    figure = Figure(figsize=(width * columns, height * rows), layout=ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.06))
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=share_y)
    return figure, list(axes.flat)


def legend(figure: Figure, names: Iterable[str], look: Look, more: Iterable[Artist] = ()) -> None:
    """Put one legend outside: right of all panels, below where the figure is narrow; `more` stand behind the names."""
    names = list(names)
    handles: list[Artist] = [
        Line2D([], [], label=row_label(name), **look.line(name)) for name in names if name not in look.others
    ]
    if others := [name for name in names if name in look.others]:
        handles.append(Line2D([], [], label=f"{len(others)} others", **look.line(others[0])))
    handles += more
    if handles:
        given: dict[str, Any] = {"handles": handles, "handlelength": 2.4, "labelspacing": 0.7}
        if figure.get_size_inches()[0] < NARROW:
            longest = max(len(str(handle.get_label())) for handle in handles)
            figure.legend(loc="outside lower center", ncols=3 if longest < LENGTHY else 2, columnspacing=1.2, **given)
        else:
            figure.legend(loc="outside right center", **given)


def label(name: str, longest: int = 28) -> str:
    """Return a name fit for a figure: one line, not endless."""
    text = one_line(name)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def row_label(name: str, longest: int = 28) -> str:
    """Return a row's name fit for a figure; of a long one its middle is left out: rows of one strategy differ at their ends."""
    text = one_line(name)
    end = (longest - 1) // 2
    return text if len(text) <= longest else f"{text[: longest - 1 - end]}…{text[-end:]}"


def save(figure: Figure, path: Path) -> Path:
    """Write `figure` as PNG."""
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    return path


def styled() -> AbstractContextManager[None]:
    """Return the context in which figures are drawn; the user's own settings are neither read nor changed."""
    return rc_context(RC)
