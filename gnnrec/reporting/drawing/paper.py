"""Figures as a paper prints them: vectors, as wide as a column or two, in letters that can be read there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from gnnrec.core.errors import GnnrecError
from gnnrec.reporting import style
from gnnrec.reporting.figures import DrawnFigure

COLUMN, PAGE = 3.4, 7.0
"""Inches of one column, and of two with what is between them."""
LEAST = 6.0
"""Points of the smallest letters."""
_SAME: Any = {"svg": {"Creator": None, "Date": None}, "pdf": {"Creator": None, "Producer": None, "CreationDate": None}}


def write(found: Sequence[DrawnFigure], folder: Path, kinds: Sequence[str]) -> list[Path]:
    """Write figures as vectors into a folder that is there, those of several panels two columns wide; return the files.

    The figures are resized by it: draw what else is to be drawn before.

    Args:
        found: gnnrec.reporting.figures.draw_all.
        folder: of the PNG files.
        kinds: "svg", "pdf".
    """
    paths = []
    for one in found if kinds else ():
        _fit(one.figure, PAGE if one.wide else COLUMN)
        for kind in dict.fromkeys(kinds):
            rc = {**style.RC, "svg.hashsalt": one.name, "pdf.fonttype": 42}
            try:
                with rc_context(rc):
                    one.figure.savefig(path := folder / f"{one.name}.{kind}", metadata=_SAME[kind])
            except OSError as error:
                raise GnnrecError(f"cannot write the figure {path}: {error.strerror}") from error
            paths.append(path)
    return paths


def _fit(figure: Figure, width: float) -> None:
    """Make a figure so wide, with all that is in it, but letters no smaller than `LEAST`."""
    inches = figure.get_size_inches()
    share = width / float(inches[0])
    figure.set_size_inches(width, float(inches[1]) * share)
    for axis in figure.axes:
        axis.tick_params(labelsize=max(LEAST, 9 * share), length=3 * share, pad=3 * share)
    for text in figure.findobj(Text):
        assert isinstance(text, Text), "asked for"
        text.set_fontsize(max(LEAST, float(text.get_fontsize()) * share))
    for line in figure.findobj(Line2D):
        assert isinstance(line, Line2D), "asked for"
        line.set(linewidth=line.get_linewidth() * share, markersize=line.get_markersize() * share)
