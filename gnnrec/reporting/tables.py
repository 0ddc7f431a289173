"""The comparison as text, Markdown and HTML rows: one row per strategy and scorer, n/a where nothing can be said."""

from __future__ import annotations

import math
from collections.abc import Iterable

import polars as pl

from gnnrec.core.errors import one_line
from gnnrec.evaluation.results import REFERENCE

NA = "n/a"
GAP = "   "

_AT = ("evaluated_on", "scorer", "metric", "segment", "value")

Columns = tuple[tuple[str, str, int], ...]
"""(heading, column of the summary, decimals)."""


def columns(k: int = 20) -> Columns:
    """Return heading, column of the summary and decimals of the numbers in the table."""
    return (
        ("MSE", "mse", 4),
        (f"recall@{k} known", f"recall@{k}_known", 4),
        (f"recall@{k} all", f"recall@{k}_all", 4),
        (f"ndcg@{k}", f"ndcg@{k}", 4),
        ("forgetting", "forgetting", 4),
        ("s/update", "seconds_per_update", 2),
        ("vs full", "vs_full", 1),
    )


def headings(k: int = 20) -> list[str]:
    """Return the headings of the table in order."""
    return ["strategy", "scorer", *(heading for heading, _, _ in columns(k))]


def number(value: float | None, decimals: int) -> str:
    """Return `value` with so many decimals; n/a for null and NaN. A minus before zero is dropped."""
    if value is None or not math.isfinite(value):
        return NA
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text


def cell(mean: float | None, deviation: float | None, decimals: int) -> str:
    """Return "mean ± deviation", the mean alone where there is no deviation, n/a where there is no mean."""
    text, spread = number(mean, decimals), number(deviation, decimals)
    return text if NA in (text, spread) else f"{text} ± {spread}"


def ratio(value: float | None) -> str:
    """Return "12.3×", with more decimals below 1 and none from 100; beyond 10,000 (a row that does nothing) just that."""
    if value is None or not math.isfinite(value):
        return NA
    if value > 1e4:
        return ">10,000×"
    return f"{value:,.0f}×" if value >= 99.95 else f"{value:.{1 if value >= 0.95 else 2}f}×"


def cells(summary: pl.DataFrame, k: int = 20) -> list[list[str]]:
    """Return the text of every cell, row by row, reference rows last."""
    ordered = summary.sort(pl.col("scorer") == REFERENCE, maintain_order=True)
    return [_row(row, k) for row in ordered.iter_rows(named=True)]


def _row(row: dict[str, float | None], k: int) -> list[str]:
    texts = [one_line(str(row["strategy"])), one_line(str(row["scorer"]))]
    for _, name, decimals in columns(k):
        mean, deviation = row.get(name), row.get(f"{name}_deviation")
        texts.append(ratio(mean) if name == "vs_full" else cell(mean, deviation, decimals))
    return texts


def comparison(summary: pl.DataFrame, k: int = 20) -> str:
    """Return the table of a terminal: fixed width, a rule above the reference rows, what it rests on below."""
    rows, heads = cells(summary, k), headings(k)
    widths = [max(len(text) for text in column) for column in zip(heads, *rows, strict=True)]
    rule = "-" * (sum(widths) + len(GAP) * (len(widths) - 1))
    models = sum(row[1] != REFERENCE for row in rows)
    lines = [_line(heads, widths), rule, *(_line(row, widths) for row in rows[:models])]
    if 0 < models < len(rows):
        lines.append(rule)
    lines += [_line(row, widths) for row in rows[models:]]
    return "\n".join([*lines, "", *footnotes(summary, k)]) + "\n"


def _line(texts: Iterable[str], widths: Iterable[int]) -> str:
    """Names to the left, numbers to the right."""
    aligned = [t.ljust(w) if i < 2 else t.rjust(w) for i, (t, w) in enumerate(zip(texts, widths, strict=True))]
    return GAP.join(aligned).rstrip()


def increments(results: pl.DataFrame, k: int = 20) -> str:
    """Return what one run reached on each next increment, a line per increment and scorer."""
    heads = ["increment", "scorer", "MSE", f"recall@{k} known", f"recall@{k} all", f"ndcg@{k}"]
    wanted = (("mse", "all"), (f"recall@{k}", "known_user"), (f"recall@{k}", "all"), (f"ndcg@{k}", "all"))
    scored = results.filter(pl.col("split") == "next")
    value = {(t, s, m, g): v for t, s, m, g, v in scored.select(_AT).iter_rows()}
    at = scored.select("evaluated_on", "scorer").unique(maintain_order=True).sort("evaluated_on", maintain_order=True)
    rows = [[str(t), s, *(number(value.get((t, s, m, g)), 4) for m, g in wanted)] for t, s in at.iter_rows()]
    widths = [max(len(text) for text in column) for column in zip(heads, *rows, strict=True)]
    return "\n".join(_line(row, widths) for row in [heads, *rows]) + "\n"


def to_markdown(summary: pl.DataFrame, k: int = 20) -> str:
    """Return the table as GitHub Markdown; a pipe in a name is escaped."""
    heads = headings(k)
    lines = [heads, ["---" if i < 2 else "---:" for i in range(len(heads))], *cells(summary, k)]
    text = ["| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines]
    return "\n".join([*text, "", *(line + "  " for line in footnotes(summary, k))]) + "\n"


def footnotes(summary: pl.DataFrame, k: int = 20) -> list[str]:
    """Return what the numbers rest on: increments, seeds, users known and all, recall ceiling, what is n/a."""
    if not summary.height:
        return ["No results."]
    first = summary.row(0, named=True)
    seeds = sorted(set(summary.filter(pl.col("scorer") != REFERENCE)["seeds"].to_list()))
    lines = [
        f"Means over {_counted(first['increments'], 'next increment')}, "
        f"± deviation over seeds ({', '.join(map(str, seeds)) or 'none'} run); reference rows are computed once.",
        f"Users scored (summed over increments): known {_total(summary, 'users_known')}, "
        f"all {_total(summary, 'users_all')}. Recall ceiling (relevant events on known items): {_ceiling(summary)}.",
    ]
    if not summary["forgetting"].null_count() < summary.height:
        lines.append("Forgetting is n/a: there are no test slices to come back to, or only one.")
    return lines


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _total(summary: pl.DataFrame, name: str) -> str:
    values = [round(v) for v in summary[name].drop_nulls().to_list()]
    if not values:
        return NA
    low, high = min(values), max(values)
    return f"{high:,}" if low == high else f"{low:,} to {high:,}"


def _ceiling(summary: pl.DataFrame) -> str:
    value = summary["ceiling"].drop_nulls().to_list()
    return f"{max(value):.1%}" if value else NA
