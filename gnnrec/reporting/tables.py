"""The comparison as text, Markdown and HTML rows: one row per strategy and scorer, n/a where nothing can be said."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import polars as pl

from gnnrec.core.errors import one_line
from gnnrec.evaluation.results import REFERENCE

NA = "n/a"
OFF = "†"
"""Marks a blend that left the model out in some increment."""
FEW = 100
"""Fewer users an increment than this are said."""

TableColumns = tuple[tuple[str, str, int], ...]
"""(heading, column of the summary, decimals)."""


def columns(summary: pl.DataFrame, k: int = 20) -> TableColumns:
    """Return heading, column of the summary and decimals of the numbers in the table; epochs and churn only where counted."""
    every = (
        ("MSE", "mse", 4),
        (f"recall@{k} known", f"recall@{k}_known", 4),
        (f"recall@{k} all", f"recall@{k}_all", 4),
        (f"ndcg@{k}", f"ndcg@{k}", 4),
        ("forgetting", "forgetting", 4),
        ("epochs", "epochs", 1),
        ("churn", "churn", 2),
        ("s/update", "seconds_per_update", 2),
        ("vs full", "vs_full", 1),
    )
    return tuple(c for c in every if c[1] not in ("epochs", "churn") or measured(summary, c[1]))


def headings(shown: TableColumns) -> list[str]:
    """Return the headings of the table in order."""
    return ["strategy", "scorer", *(heading for heading, _, _ in shown)]


def measured(summary: pl.DataFrame, name: str) -> bool:
    """Return whether any row has this quantity."""
    return name in summary.columns and summary[name].count() > 0


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


def cells(summary: pl.DataFrame, shown: TableColumns, deviations: bool = True) -> list[list[str]]:
    """Return the text of every cell, row by row, reference rows last; a scorer is marked where its blend is switched off."""
    ordered = summary.sort(pl.col("scorer") == REFERENCE, maintain_order=True)
    return [_row(row, shown, deviations) for row in ordered.iter_rows(named=True)]


def _row(row: dict[str, float | None], shown: TableColumns, deviations: bool) -> list[str]:
    mark = f" {OFF}" if row.get("model_off") else ""
    texts = [one_line(str(row["strategy"])), one_line(str(row["scorer"])) + mark]
    for _, name, decimals in shown:
        mean, deviation = row.get(name), row.get(f"{name}_deviation") if deviations else None
        texts.append(ratio(mean) if name == "vs_full" else cell(mean, deviation, decimals))
    return texts


DIFFERENCE = (
    *("strategy", "scorer", "against", "difference", "95 % interval", "p", "over increments and seeds", "p"),
    *("as good", "detectable", "users"),
)
"""Headings of the differences of one metric."""


def difference(row: Mapping[str, Any]) -> list[str]:
    """Return the cells under `DIFFERENCE` of a row of gnnrec.evaluation.significance."""

    def value(name: str) -> str:
        return number(row[name], 4)

    def span(low: str, high: str) -> str:
        return NA if row[low] is None else f"{value(low)} to {value(high)}"

    named = [str(row["strategy"]), str(row["scorer"]), f"{row['reference']} / {row['reference_scorer']}"]
    here = [value("difference"), span("low", "high"), value("p")]
    beyond = [span("wide_low", "wide_high"), value("wide_p")]
    return [*named, *here, *beyond, str(row["as_good"] or ""), value("detectable"), f"{row['users']:,}"]


def plain_cells(frame: pl.DataFrame) -> list[list[str]]:
    """Return the cells of a table as it is: texts, and numbers with four decimals."""
    return [[v if isinstance(v, str) else number(v, 4) for v in line] for line in frame.iter_rows()]


def footnotes(summary: pl.DataFrame, k: int = 20) -> list[str]:
    """Return what the numbers rest on: increments, seeds, users known and all, recall ceiling, what is n/a."""
    if not summary.height:
        return ["No results."]
    first = summary.row(0, named=True)
    seeds = sorted(set(summary.filter(pl.col("scorer") != REFERENCE)["seeds"].to_list()))
    lines = [
        f"Means over {_counted(first['increments'], 'next increment')}, "
        f"± deviation over {', '.join(map(str, seeds)) or 'no'} seed{'' if seeds == [1] else 's'}; "
        "reference rows are computed once.",
        f"Users scored (summed over increments): known {_total(summary, 'users_known')}, "
        f"all {_total(summary, 'users_all')}. Recall ceiling (relevant events on candidates): {_ceiling(summary)}.",
    ]
    if not summary["forgetting"].null_count() < summary.height:
        lines.append("Forgetting is n/a: there are no test slices to come back to, or only one.")
    return lines + _few(summary) + _switched_off(summary)


def _few(summary: pl.DataFrame) -> list[str]:
    """Warn where the means rest on few users: a recall of so few is mostly chance."""
    users, increments = summary["users_all"].max(), summary["increments"][0]
    if users is None or not increments or (each := float(users) / increments) >= FEW:  # type: ignore[arg-type]
        return []
    return [f"Few users: about {each:.0f} an increment; a difference whose interval holds 0 says nothing."]


def _switched_off(summary: pl.DataFrame) -> list[str]:
    if not measured(summary, "model_off"):
        return []
    rows = summary.filter(pl.col("model_off") > 0).iter_rows(named=True)
    shares = ", ".join(f"{one_line(row['strategy'])} {row['model_off']:.0%}" for row in rows)
    return [f"{OFF} Share of increments whose blend left the model out (α = 0): {shares}."] if shares else []


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
