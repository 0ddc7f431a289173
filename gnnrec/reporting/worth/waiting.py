"""What updating more seldom serves and saves: rows that differ by their policy alone, by the increments of an update."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from gnnrec.evaluation.pairs import Key
from gnnrec.evaluation.results import REFERENCE
from gnnrec.evaluation.significance import ERROR
from gnnrec.reporting.verdicts import SummaryRow, Verdicts, key_of, name_of
from gnnrec.reporting.worth.columns import price_of
from gnnrec.reporting.worth.criterion import metric_of
from gnnrec.reporting.worth.price import RetrainPrice
from gnnrec.reporting.worth.spending import ROW

SCHEMA = pl.Schema(
    {
        **{"group": pl.String(), "strategy": pl.String(), "scorer": pl.String()},
        **{"updates": pl.Float64(), "of": pl.Float64(), "interval": pl.Float64(), "quality": pl.Float64()},
        **{"against": pl.String(), "level": pl.Float64(), "low": pl.Float64(), "high": pl.Float64()},
        **{"price": pl.Float64(), "price_low": pl.Float64(), "price_high": pl.Float64(), "pays": pl.String()},
    }
)


def updates_of(results: pl.DataFrame, first: int = 1) -> pl.DataFrame:
    """Return strategy, scorer, updates, of, spent: updates made, increments that came, and seconds of all updates, t ≥ `first`.

    Means over seeds. Rows that train nothing are left out.
    """
    rows = results.filter(pl.col("trained_to") >= first, pl.col("scorer") != REFERENCE)
    timed = rows.filter(split="cost", metric="seconds").group_by(ROW, maintain_order=True)
    came = timed.agg(n=pl.len(), seeds=pl.col("seed").n_unique(), spent=pl.col("value").sum())
    waits = rows.filter(split="policy", metric="waits").group_by(ROW).agg(waited=pl.len())
    both = came.join(waits, on=ROW, how="left", maintain_order="left").with_columns(pl.col("waited").fill_null(0))
    made, seeds = pl.col("n") - pl.col("waited"), pl.col("seeds")
    return both.select(*ROW, updates=made / seeds, of=pl.col("n") / seeds, spent=pl.col("spent") / seeds)


def waiting(
    summary: pl.DataFrame,
    results: pl.DataFrame,
    tests: pl.DataFrame | None,
    alike: Sequence[Sequence[str]],
    events: float | None = None,
    best: Key | None = None,
    k: int = 20,
    first: int = 1,
) -> pl.DataFrame:
    """Return `SCHEMA`: rows that differ by their policy alone, the one that is updated most often first.

    interval: increments that came by updates made; null where none was.
    quality: by what rows are compared by.
    against, level, low, high: a row, its quality, and the interval of the difference to it: to the first of the group where
        that was tested, else to the best row; null: neither was.
    price, price_low, price_high: of a second, in events with a recall of 1, from which on waiting so long pays against the
        first of the group; null where updates are as many, where seconds do not compare, and where errors are compared.
    pays: in the place of a price, by the means: "any" or "none".

    Args:
        summary: with the columns of gnnrec.reporting.worth.columns.
        results: what the summary is of.
        tests: of gnnrec.evaluation.significance; None: nothing was tested.
        alike: groups of such rows, by name.
        events: relevant ones of a next increment; None: not known, or seconds do not compare.
        best: the row that every other one was tested against.
        k: cut-off.
        first: smallest t in means.
    """
    metric = metric_of(summary, k)
    verdicts = Verdicts(tests, metric)
    counted = summary.join(updates_of(results, first), on=ROW, how="inner", maintain_order="left").rows(named=True)
    chosen = next((r for r in summary.rows(named=True) if key_of(r) == best), None)
    found = list[dict[str, Any]]()
    for scorer in dict.fromkeys(r["scorer"] for r in counted):
        for names in alike:
            rows = [r for r in counted if r["scorer"] == scorer and r["strategy"] in names and r[metric] is not None]
            if len(rows) > 1:
                rows.sort(key=lambda r: -r["updates"])
                found += _group(rows, chosen, verdicts, events or math.nan)
    return pl.DataFrame(found, schema=SCHEMA)


def _group(
    rows: Sequence[SummaryRow], best: SummaryRow | None, verdicts: Verdicts, events: float
) -> list[dict[str, Any]]:
    metric, always = verdicts.metric, rows[0]
    against = next((r for r in (always, best) if r is not None and _tested(rows, r, verdicts)), None)
    found = []
    for row in rows:
        low, high = (None, None) if against is None else verdicts.interval(row, against)
        if against is not None and key_of(row) == key_of(against):
            low = high = 0.0
        price = _price(row, always, verdicts, events)
        found.append(
            {
                **{"group": always["strategy"], "strategy": row["strategy"], "scorer": row["scorer"]},
                **{"updates": row["updates"], "of": row["of"], "quality": row[metric]},
                "interval": row["of"] / row["updates"] if row["updates"] else None,
                "against": None if against is None else name_of(against),
                "level": None if against is None else against[metric],
                **{"low": low, "high": high, "price": price.value, "price_low": price.low, "price_high": price.high},
                # What always updating never pays against pays at any price.
                "pays": {"never": "any", "any": "none"}.get(price.word),
            }
        )
    return found


def _tested(rows: Sequence[SummaryRow], against: SummaryRow, verdicts: Verdicts) -> bool:
    """Return whether any other row was tested against one."""
    return any(verdicts.interval(r, against)[0] is not None for r in rows if key_of(r) != key_of(against))


def _price(row: SummaryRow, always: SummaryRow, verdicts: Verdicts, events: float) -> RetrainPrice:
    if verdicts.metric == ERROR or row["updates"] == always["updates"]:
        return RetrainPrice()
    return price_of(row, always, verdicts, events)
