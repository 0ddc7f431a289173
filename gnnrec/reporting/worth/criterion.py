"""What rows of a table are compared by: recall of what comes next, or the squared error of expected values."""

from __future__ import annotations

import polars as pl

from gnnrec.evaluation.results import REFERENCE
from gnnrec.evaluation.significance import ERROR

COLUMN = "compared_by"
"""In a summary: the column that its rows are compared by, the same in every row."""


def criterion(summary: pl.DataFrame, selected: str = "ndcg", k: int = 20) -> str:
    """Return the column of the summary that rows are compared by.

    MSE where every model was selected by it on valid and one of them has it, and where no row ranks; else recall@k, all users.

    Args:
        summary: gnnrec.evaluation.results.summary.
        selected: the valid metric by which all models were selected ("mse" or "ndcg", as `selects_by` of an objective).
        k: cut-off.
    """
    ranks = f"recall@{k}_all"
    errs, models = pl.col(ERROR).is_not_null(), pl.col("scorer").is_in([REFERENCE, "blend"]).not_()
    if selected == ERROR and summary.filter(errs, models).height:
        return ERROR
    return ERROR if summary.filter(errs).height and not summary[ranks].count() else ranks


def metric_of(summary: pl.DataFrame, k: int = 20) -> str:
    """Return the column that the rows of a summary are compared by: as it says itself, else by `criterion`."""
    if COLUMN in summary.columns and summary.height:
        return str(summary[COLUMN][0])
    return criterion(summary, k=k)


def called(metric: str) -> str:
    """Return what readers call a metric, or a column of the summary: "recall@20", "MSE"."""
    return metric.removesuffix("_all") if "@" in metric else metric.upper()
