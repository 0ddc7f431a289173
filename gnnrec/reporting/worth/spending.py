"""What updates have cost together after each increment, and when full retraining has cost as much."""

from __future__ import annotations

import polars as pl

from gnnrec.evaluation.results import REFERENCE
from gnnrec.evaluation.significance import FULL

ROW = ["strategy", "scorer"]


def cumulative(results: pl.DataFrame, first: int = 1) -> pl.DataFrame:
    """Return strategy, scorer, increment, seconds, spent: of the update with each increment t ≥ `first`, and of all up to it.

    Means over seeds, those that have every increment that others have, as in the summary. Rows that train nothing are left
    out, and so are rows without such a seed.
    """
    rows = results.filter(
        (pl.col("split") == "cost") & (pl.col("metric") == "seconds") & (pl.col("segment") == "all"),
        (pl.col("trained_to") >= first) & (pl.col("scorer") != REFERENCE),
        pl.col("value").is_finite(),
    )
    whole = rows.filter(pl.len().over(*ROW, "seed") == rows["trained_to"].n_unique())
    means = whole.group_by(*ROW, increment="trained_to", maintain_order=True).agg(seconds=pl.col("value").mean())
    return means.sort("increment", maintain_order=True).with_columns(spent=pl.col("seconds").cum_sum().over(ROW))


def as_much_after(spent: pl.DataFrame) -> pl.DataFrame:
    """Return strategy, scorer, as_much_after: with how many increments full retraining has cost what all of the row's have.

    The smallest n with Σ_{t ≤ n} seconds_full(t) ≥ Σ_{t ≤ T} seconds_row(t), full retraining under the row's scorer; null where
    it did not run or has not cost as much by T, and for itself.

    Args:
        spent: of `cumulative`.
    """
    totals = spent.group_by(ROW, maintain_order=True).agg(total=pl.col("spent").max())
    full = spent.filter(strategy=FULL).select("scorer", by="spent", n=pl.int_range(1, pl.len() + 1).over("scorer"))
    enough = totals.filter(pl.col("strategy") != FULL).join(full, on="scorer", maintain_order="left")
    reached = enough.filter(pl.col("by") >= pl.col("total")).group_by(ROW, maintain_order=True).agg(pl.col("n").min())
    found = totals.select(ROW).join(reached, on=ROW, how="left", maintain_order="left")
    return found.select(*ROW, as_much_after=pl.col("n").cast(pl.Int64))
