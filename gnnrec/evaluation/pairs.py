"""Metrics and errors by user set side by side: every row of the table on the same pairs (a user in an increment)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gnnrec.core.errors import GnnrecError, nearest

Singles = NDArray[np.float32]
Ints = NDArray[np.int64]
Key = tuple[str, str]
"""A row of the table: strategy and scorer."""


@dataclass(frozen=True, slots=True)
class UserPairs:
    """What is compared: n pairs of t increments and u users, sorted by increment.

    Attributes:
        user: [n] number of the user, 0..u−1.
        increment: [n] number of the increment, 0..t−1, ascending.
        value: row of the table -> [s, n], a line per seed; NaN where a seed did not run. A reference row has the same
            values for every seed.
        weight: [n] what a pair weighs in the mean of its increment: the events that it rests on; None: all alike.
    """

    user: Ints
    increment: Ints
    value: dict[Key, Singles]
    weight: Singles | None = None

    @property
    def users(self) -> int:
        """Number of users u."""
        return int(self.user.max(initial=-1)) + 1

    def blocks(self) -> list[slice]:
        """Return the slice of pairs of every increment."""
        edges = np.searchsorted(self.increment, np.arange(int(self.increment.max(initial=-1)) + 2))
        return [slice(int(a), int(b)) for a, b in pairwise(edges)]

    def mean(self, row: Key) -> float:
        """Return what the table says of a row: the mean over seeds, then increments, of the mean over users (or events)."""
        lines = self.value[row][np.isfinite(self.value[row]).any(axis=1)]
        weight = np.where(np.isfinite(lines), 1.0 if self.weight is None else self.weight, 0.0)
        cells = [(np.nan_to_num(lines[:, block]), weight[:, block]) for block in self.blocks()]
        return float(np.mean([np.average(value, weights=w) for value, w in cells if w.any()]))


def paired(per_user: pl.DataFrame, metric: str, first: int = 1, known: bool = False) -> UserPairs:
    """Return `metric` on the next increment (trained_to ≥ `first`), all users or the `known` ones.

    Raises:
        GnnrecError: the table lacks a column.
    """
    need = ["strategy", "scorer", "seed", "trained_to", "evaluated_on", "user", metric, *(["known"] if known else [])]
    if missing := [name for name in need if name not in per_user.columns]:
        raise GnnrecError(f"the per-user table has no column {missing[0]}{nearest(missing[0], per_user.columns)}")
    rows = per_user.filter(
        (pl.col("trained_to") >= first) & (pl.col("evaluated_on") == pl.col("trained_to") + 1),
        pl.col("known") if known else pl.lit(True),
    ).select(
        "strategy", "scorer", "seed", pl.col(metric).cast(pl.Float32), increment="evaluated_on", user=pl.col("user")
    )
    return _aligned(rows, metric)


def paired_errors(predictions: pl.DataFrame, first: int = 1) -> UserPairs:
    """Return the squared error on the next increment (trained_to ≥ `first`), a pair's the mean over its events.

    A blend predicts what its model predicts, so that models and reference rows alone are here; a row that once is further
    off than float32 can say is left out whole.

    Raises:
        GnnrecError: the predictions do not tell their users (`names_users`).
    """
    if not names_users(predictions):
        raise GnnrecError("the predictions do not tell the user of each event; run it again, and they will")
    kept = predictions.lazy().filter((pl.col("trained_to") >= first) & (pl.col("scorer") != "blend"))
    error = ((pl.col("predicted") - pl.col("true")) ** 2).mean().cast(pl.Float32).alias("mse")
    by = ["strategy", "scorer", "seed", pl.col("trained_to").alias("increment"), "user"]
    rows = kept.group_by(by, maintain_order=True).agg(error, pl.len().alias("events")).collect()
    told = pl.col("mse").is_finite().all().over("strategy", "scorer")
    return _aligned(rows.filter(told), "mse", weight="events")


def names_users(predictions: pl.DataFrame) -> bool:
    """Return whether each prediction tells the user of its event: those of runs of before 2026-11-29 do not."""
    return "user" in predictions.columns and not predictions["user"].null_count()


def _aligned(rows: pl.DataFrame, metric: str, weight: str | None = None) -> UserPairs:
    """Return `rows` as columns over the pairs of an increment and a user."""
    counted = pl.col(weight).max() if weight else pl.len()
    index = rows.group_by("increment", "user").agg(counted.alias("weight")).sort("increment", "user")
    index = index.with_row_index("pair")
    rows = rows.join(index, on=["increment", "user"])
    seeds = sorted(rows["seed"].drop_nulls().unique().to_list()) or [None]
    value: dict[Key, Singles] = {}
    for (strategy, scorer, one), part in rows.group_by("strategy", "scorer", "seed", maintain_order=True):
        key, line = (str(strategy), str(scorer)), np.full(index.height, np.nan, np.float32)
        line[part["pair"].to_numpy()] = part[metric].to_numpy()
        if one is None:
            value[key] = np.broadcast_to(line, (len(seeds), len(line)))
        else:
            empty = np.full((len(seeds), len(line)), np.nan, np.float32)
            value.setdefault(key, empty)[seeds.index(one)] = line
    held = index["weight"].to_numpy().astype(np.float32) if weight else None
    return UserPairs(_dense(index["user"]), _dense(index["increment"]), value, held)


def _dense(column: pl.Series) -> Ints:
    return column.rank("dense").to_numpy().astype(np.int64) - 1
