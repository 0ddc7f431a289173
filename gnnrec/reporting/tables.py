"""The comparison as text, Markdown and HTML rows: one row per strategy and scorer, n/a where nothing can be said."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from gnnrec.core.errors import one_line
from gnnrec.evaluation.results import REFERENCE
from gnnrec.evaluation.significance import ERROR
from gnnrec.reporting.worth.criterion import metric_of

NA = "n/a"
OFF = "†"
"""Marks a blend that left the model out in some increment."""
FRONT = "front"
"""Of a row that none is both cheaper and better than, in the place of its regret."""
FEW = 100
"""Fewer users an increment than this are said."""

_WHERE_KNOWN = ("epochs", "churn", "as_good", "regret", "retrain_price")

TableColumns = tuple[tuple[str, str, int], ...]
"""(heading, column of the summary, decimals)."""


def columns(summary: pl.DataFrame, k: int = 20) -> TableColumns:
    """Return heading, column of the summary and decimals of the numbers in the table; some only where they are known."""
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
        ("as good as full", "as_good", 0),
        ("regret", "regret", 4),
        ("full pays below", "retrain_price", 3),
    )
    return tuple(c for c in every if c[1] not in _WHERE_KNOWN or measured(summary, c[1]))


def headings(shown: TableColumns) -> list[str]:
    """Return the headings of the table in order."""
    return ["strategy", "scorer", *(heading for heading, _, _ in shown)]


def measured(summary: pl.DataFrame, name: str) -> bool:
    """Return whether any row has this quantity."""
    names = (name, "retrain_pays") if name == "retrain_price" else (name,)  # a price, or why there is none
    return any(n in summary.columns and summary[n].count() > 0 for n in names)


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


def short(value: float) -> str:
    """Return three digits of a number that is known, all of them before the point: "0.0123", "12.3", "12,345"."""
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"


def ratio(value: float | None) -> str:
    """Return "12.3×", with more decimals below 1 and none from 100; beyond 10,000 (a row that does nothing) just that."""
    if value is None or not math.isfinite(value):
        return NA
    if value > 1e4:
        return ">10,000×"
    return f"{value:,.0f}×" if value >= 99.95 else f"{value:.{1 if value >= 0.95 else 2}f}×"


def cells(summary: pl.DataFrame, shown: TableColumns, deviations: bool = True, brief: bool = False) -> list[list[str]]:
    """Return the text of every cell, row by row, reference rows last; a scorer is marked where its blend is switched off.

    Args:
        summary, shown: rows and columns.
        deviations: whether they are shown.
        brief: leaves out what would tell where it cannot be told, and intervals of prices.
    """
    ordered = summary.sort(pl.col("scorer") == REFERENCE, maintain_order=True)
    return [_row(row, shown, deviations, brief) for row in ordered.iter_rows(named=True)]


def _row(row: dict[str, Any], shown: TableColumns, deviations: bool, brief: bool) -> list[str]:
    mark = f" {OFF}" if row.get("model_off") else ""
    texts = [one_line(str(row["strategy"])), one_line(str(row["scorer"])) + mark]
    own = {"vs_full": lambda: ratio(row["vs_full"]), "regret": lambda: _regret(row)}
    own |= {"as_good": lambda: _as_good(row, brief), "retrain_price": lambda: _price(row, brief)}
    for _, name, decimals in shown:
        deviation = row.get(f"{name}_deviation") if deviations else None
        texts.append(own[name]() if name in own else cell(row.get(name), deviation, decimals))
    return texts


def _as_good(row: dict[str, Any], brief: bool) -> str:
    said = str(row["as_good"] or NA)
    return f"{said}: {row['would_tell'] or NA}" if said == "cannot tell" and not brief else said


def _regret(row: dict[str, Any]) -> str:
    return FRONT if row.get("front") else number(row["regret"], 4)


def _price(row: dict[str, Any], brief: bool) -> str:
    """Return "0.12 (0.05 to 0.2)", "never (at most 0.2)", "any", or n/a."""
    value, low, high = (row[f"retrain_price{end}"] for end in ("", "_low", "_high"))
    if value is None:
        most = f" (at most {short(high)})" if high is not None and not brief else ""
        return f"{row['retrain_pays']}{most}" if row["retrain_pays"] else NA
    known = low is not None and high is not None and not brief
    return short(value) + (f" ({short(low)} to {short(high)})" if known else "")


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


def footnotes(summary: pl.DataFrame, k: int = 20, shown: TableColumns | None = None) -> list[str]:
    """Return what the numbers rest on: increments, seeds, users known and all, recall ceiling, what is n/a.

    And what the columns beside full retraining mean that are `shown`; None: all that there are.
    """
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
    names = {name for _, name, _ in (columns(summary, k) if shown is None else shown)}
    return [*lines, *_few(summary), *_switched_off(summary), *_worth(names, metric_of(summary, k) == ERROR)]


def _worth(shown: set[str], falls: bool) -> Iterator[str]:
    """Say what the columns beside full retraining mean; of errors less is better."""
    worse = "MSE above" if falls else "recall below"
    if "as_good" in shown:
        yield (
            f"As good as full: at most 1 % of its {worse} full_retrain, one-sided 95 %; "
            'what would tell stands behind "cannot tell" in the report.'
        )
    if "regret" in shown:
        yield (
            f"Front: no row that is updated costs no more per update and is better. Regret: {worse} "
            "the best of them that costs no more, by the means. Rows that train nothing are in neither."
        )
    if "retrain_price" in shown:
        yield (
            "Full pays below: the price of a second, in events with a recall of 1 that it must bring back, up to which "
            "full_retrain pays against this row; never: it costs more and is no better."
        )


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
