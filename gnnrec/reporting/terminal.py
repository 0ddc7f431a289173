"""Tables for a terminal: fixed width, and as much of them as there is room for."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from gnnrec.evaluation.results import REFERENCE
from gnnrec.reporting import tables

GAP = "   "

_AT = ("evaluated_on", "scorer", "metric", "segment", "value")


def comparison(summary: pl.DataFrame, k: int = 20, width: int | None = None) -> str:
    """Return the table as text: a rule above the reference rows, what it rests on below.

    Args:
        summary: gnnrec.evaluation.results.summary.
        k: cut-off of the ranking metrics.
        width: of the terminal: no row is longer; deviations and columns are left out for it, and that is said. None:
            everything, for files and pipes.
    """
    every = tables.columns(summary, k)
    for shown, deviations, gap in _plans(summary, every):
        rows = [tables.headings(shown), *tables.cells(summary, shown, deviations, brief=True)]
        if width is None or _length(rows, gap) <= width:
            break
    if width is not None and (over := _length(rows, gap) - width) > 0:
        longest = max(8, max(len(row[0]) for row in rows) - over)
        rows = [[row[0] if len(row[0]) <= longest else row[0][: longest - 1] + "…", *row[1:]] for row in rows]
    left = [heading for heading, name, _ in every if name not in {n for _, n, _ in shown}]
    left += [] if deviations else ["deviations"]
    notes = [f"Left out at this width: {', '.join(left)}; the report has them."] if left else []
    return _drawn(rows, gap) + "\n".join(["", *tables.footnotes(summary, k, shown), *notes]) + "\n"


def _plans(summary: pl.DataFrame, every: tables.TableColumns) -> Iterator[tuple[tables.TableColumns, bool, str]]:
    """Yield columns, whether deviations are shown, and the gap, from everything to the least that is still an answer."""
    yield every, True, GAP
    shown = tuple(c for c in every if tables.measured(summary, c[1]))
    yield shown, True, GAP
    for gap in (GAP, GAP[1:]):
        yield shown, False, gap
    for name in (
        *("forgetting", "churn", "epochs", "ndcg", "recall_known", "retrain_price", "regret", "mse", "as_good"),
        *("vs_full", "seconds_per_update"),
    ):
        shown = tuple(c for c in shown if re.sub(r"@\d+", "", c[1]) != name)
        yield shown, False, GAP[1:]


def _drawn(rows: list[list[str]], gap: str) -> str:
    widths = [max(len(text) for text in column) for column in zip(*rows, strict=True)]
    rule = "-" * _length(rows, gap)
    models = sum(not row[1].startswith(REFERENCE) for row in rows[1:])
    lines = [_line(row, widths, gap) for row in rows]
    lines.insert(1, rule)
    if 0 < models < len(rows) - 1:
        lines.insert(2 + models, rule)
    return "\n".join(lines) + "\n"


def _length(rows: list[list[str]], gap: str) -> int:
    widths = [max(len(text) for text in column) for column in zip(*rows, strict=True)]
    return sum(widths) + len(gap) * (len(widths) - 1)


def plain(frame: pl.DataFrame) -> str:
    """Return a table as it is: texts first, numbers with four decimals, whole ones without."""
    rows = [[_cell(v) for v in line] for line in frame.iter_rows()]
    return _drawn([frame.columns, *rows], GAP)


def printed(rows: Sequence[Sequence[str]]) -> str:
    """Return cells as a table, the first row its headings."""
    return _drawn([list(row) for row in rows], GAP)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return tables.number(value, 4)
    return "n/a" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def width_of_terminal() -> int | None:
    """Return the number of columns of the terminal that is printed to; None where output goes elsewhere."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (OSError, ValueError):
        return None


def _line(texts: Iterable[str], widths: Iterable[int], gap: str = GAP) -> str:
    """Names to the left, numbers to the right."""
    aligned = [t.ljust(w) if i < 2 else t.rjust(w) for i, (t, w) in enumerate(zip(texts, widths, strict=True))]
    return gap.join(aligned).rstrip()


def increments(results: pl.DataFrame, k: int = 20) -> str:
    """Return what one run reached on each next increment, a line per increment and scorer."""
    heads = ["increment", "scorer", "MSE", f"recall@{k} known", f"recall@{k} all", f"ndcg@{k}"]
    wanted = (("mse", "all"), (f"recall@{k}", "known_user"), (f"recall@{k}", "all"), (f"ndcg@{k}", "all"))
    scored = results.filter(pl.col("split") == "next")
    value = {(t, s, m, g): v for t, s, m, g, v in scored.select(_AT).iter_rows()}
    at = scored.select("evaluated_on", "scorer").unique(maintain_order=True).sort("evaluated_on", maintain_order=True)
    rows = [[str(t), s, *(tables.number(value.get((t, s, m, g)), 4) for m, g in wanted)] for t, s in at.iter_rows()]
    widths = [max(len(text) for text in column) for column in zip(heads, *rows, strict=True)]
    return "\n".join(_line(row, widths) for row in [heads, *rows]) + "\n"
