"""The page of a live run: what serves, what was served over time, every decision."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from gnnrec.reporting import page, style
from gnnrec.reporting.drawing import svg

ACCEPTED = "accepted"
CROWDED = 6
"""More labels than this stand side by side no longer."""


def write(path: Path, title: str, answer: str, decisions: pl.DataFrame) -> None:
    """Write the page to `path`, whole or not at all.

    Args:
        path: the HTML file.
        title: of the page.
        answer: what there is to know first.
        decisions: a row each, the oldest first; see `gnnrec.live.status.table`.
    """
    sections = [
        ("served", "What was served", _figure(decisions)),
        ("decisions", "Decisions, the newest first", page.table(decisions.reverse())),
    ]
    page.save(path, page.page(title, answer, [s for s in sections if s[2] and decisions.height]))


def _figure(decisions: pl.DataFrame) -> str:
    known = decisions.drop_nulls("recall@20 served")
    if known.height < 2:
        return ""
    with style.styled():
        figure, (quality, seconds) = style.canvas(1, 2, 4.4, 2.9)
        at = range(known.height)
        quality.set_title("recall@20 of what was served, by what came")
        quality.plot(at, known["recall@20 served"], color=style.PALETTE[0], marker="o", ms=4, lw=1.8)
        quality.set_ylim(0, 1.08 * max(known["recall@20 served"].to_list()) or 1)
        seconds.set_title("seconds of an update")
        colours = [style.PALETTE[0] if x == ACCEPTED else style.FAINT for x in known["decision"]]
        seconds.bar(at, known["seconds"], color=colours)
        for axis in (quality, seconds):
            axis.set_xticks(
                [*at][:: max(1, known.height // 8)], known["versions"].to_list()[:: max(1, known.height // 8)]
            )
            axis.tick_params(axis="x", rotation=35 if known.height > CROWDED else 0)
            axis.set_xlabel("versions decided on")
    said = "Left: before each decision. Right: blue where a new champion came of it, grey where not."
    return svg.inline(figure, "served", said, wide=True)
