"""Per-user metrics set side by side: every row of the table on the same pairs (a user in an increment)."""

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
    """

    user: Ints
    increment: Ints
    value: dict[Key, Singles]

    @property
    def users(self) -> int:
        """Number of users u."""
        return int(self.user.max(initial=-1)) + 1

    def blocks(self) -> list[slice]:
        """Return the slice of pairs of every increment."""
        edges = np.searchsorted(self.increment, np.arange(int(self.increment.max(initial=-1)) + 2))
        return [slice(int(a), int(b)) for a, b in pairwise(edges)]

    def mean(self, row: Key) -> float:
        """Return what the table says of a row: the mean over seeds, then increments, of the mean over users."""
        lines = self.value[row][np.isfinite(self.value[row]).any(axis=1)]
        cells = [lines[:, block] for block in self.blocks()]
        return float(np.mean([np.nanmean(cell, dtype=np.float64) for cell in cells if np.isfinite(cell).any()]))


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
    index = rows.select("increment", "user").unique().sort("increment", "user").with_row_index("pair")
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
    return UserPairs(_dense(index["user"]), _dense(index["increment"]), value)


def _dense(column: pl.Series) -> Ints:
    return column.rank("dense").to_numpy().astype(np.int64) - 1
