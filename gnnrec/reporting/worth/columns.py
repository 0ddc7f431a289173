"""The columns of the summary that set each row against full retraining and against what costs no more."""

from __future__ import annotations

import math
from typing import Any

import polars as pl

from gnnrec.evaluation.results import REFERENCE, pareto, regret
from gnnrec.evaluation.significance import ERROR, FULL
from gnnrec.reporting.verdicts import SummaryRow, Verdicts
from gnnrec.reporting.worth.criterion import COLUMN, criterion
from gnnrec.reporting.worth.price import RetrainPrice, retrain_price
from gnnrec.reporting.worth.spending import ROW, as_much_after, cumulative

COLUMNS = {
    "as_good": pl.String(),
    "would_tell": pl.String(),
    "regret": pl.Float64(),
    "front": pl.Boolean(),
    "retrain_price": pl.Float64(),
    "retrain_price_low": pl.Float64(),
    "retrain_price_high": pl.Float64(),
    "retrain_pays": pl.String(),
}


def with_worth(
    summary: pl.DataFrame,
    tests: pl.DataFrame | None,
    results: pl.DataFrame,
    events: float | None,
    k: int = 20,
    first: int = 1,
    selected: str = "ndcg",
) -> pl.DataFrame:
    """Return the summary with `COLUMNS`, `as_much_after` and what rows are compared by (docs/protocol.md).

    By recall@k of all users and seconds, or by MSE and seconds (`criterion`); a price is told by recall alone.

    Args:
        summary: gnnrec.evaluation.results.summary.
        tests: of gnnrec.evaluation.significance; None: nothing was tested.
        results: what the summary is of.
        events: relevant ones of a next increment, mean over those of the table; None: not known, and no price is given.
        k: cut-off.
        first: smallest t in means.
        selected: the valid metric by which all models were selected.
    """
    metric = criterion(summary, selected, k)
    verdicts = Verdicts(tests, metric)
    rows = summary.rows(named=True)
    front = _front(summary, metric)
    found = [_of(row, full_of(rows, row, metric), verdicts, events or math.nan) for row in rows]
    added = pl.DataFrame(found, schema={n: COLUMNS[n] for n in COLUMNS if n not in front.columns})
    spent = as_much_after(cumulative(results, first))
    table = pl.concat([summary, front, added], how="horizontal").join(spent, on=ROW, how="left", maintain_order="left")
    known = pl.col("vs_full").is_not_null()
    return table.with_columns(pl.when(known).then("as_much_after").alias("as_much_after"), pl.lit(metric).alias(COLUMN))


def full_of(rows: list[SummaryRow], row: SummaryRow, metric: str) -> SummaryRow | None:
    """Return full retraining under a row's scorer, for a row that trains nothing under the better one; None: it did not run."""
    found = [r for r in rows if r["strategy"] == FULL and r[metric] is not None]
    if row["scorer"] != REFERENCE:
        found = [r for r in found if r["scorer"] == row["scorer"]]
    better = -1 if metric == ERROR else 1
    return max(found, key=lambda r: better * float(r[metric]), default=None)


def _front(summary: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Return regret and front of every row; null where it has no seconds."""
    cost, quality = (
        summary[name].cast(pl.Float64).fill_null(math.nan).to_numpy() for name in ("seconds_per_update", metric)
    )
    quality = -quality if metric == ERROR else quality
    lost = pl.Series("regret", regret(cost, quality)).fill_nan(None)
    on = pl.Series("front", pareto(cost, quality))
    return pl.DataFrame([lost, on]).with_columns(front=pl.when(pl.col("regret").is_not_null()).then("front"))


def _of(row: SummaryRow, full: SummaryRow | None, verdicts: Verdicts, events: float) -> dict[str, Any]:
    if full is None or row is full or row["strategy"] == FULL or row[verdicts.metric] is None:
        return {}
    said, would = verdicts.as_good(row, full)
    # Under a budget of equal steps seconds do not compare (rule 14), and neither does a price. It is of right suggestions,
    # of which an error says nothing.
    told = row["vs_full"] is not None and verdicts.metric != ERROR
    price = price_of(row, full, verdicts, events) if told else RetrainPrice()
    return {
        **{"as_good": said, "would_tell": would, "retrain_pays": price.word or None},
        **{"retrain_price": price.value, "retrain_price_low": price.low, "retrain_price_high": price.high},
    }


def price_of(row: SummaryRow, full: SummaryRow, verdicts: Verdicts, events: float) -> RetrainPrice:
    """Return from which price of a second full retraining pays against a row; see `retrain_price`."""
    seconds = [math.nan if r["seconds_per_update"] is None else r["seconds_per_update"] for r in (full, row)]
    low, high = verdicts.interval(full, row)
    gain = 0.0 if low == high == 0 else full[verdicts.metric] - row[verdicts.metric]  # equal for every user
    return retrain_price(gain, seconds[0] - seconds[1], events, low, high)
