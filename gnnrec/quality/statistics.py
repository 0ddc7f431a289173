"""Counts that describe events and add up: statistics of A and B together are those of A plus those of B."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

Floats = NDArray[np.float64]
_HOUR = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Statistics:
    """Events by user, by item, by value and by hour: tables of key and count, sorted by key.

    Attributes:
        users, items: id and events.
        values: value, rounded to a millionth, and events.
        hours: hours since 1970 (UTC) and events; events without a time are in none.
    """

    users: pl.DataFrame
    items: pl.DataFrame
    values: pl.DataFrame
    hours: pl.DataFrame

    @staticmethod
    def of(rows: pl.DataFrame) -> Statistics:
        """Return the statistics of events: columns user, item, value, time (microseconds since 1970, UTC, or null)."""
        hour = rows["time"].dt.epoch("us").drop_nulls() // _HOUR
        return Statistics(*map(_counted, (rows["user"], rows["item"], rows["value"].round(6), hour)))

    def __add__(self, other: Statistics) -> Statistics:
        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__slots__)
        return Statistics(*(_summed(pl.concat(pair)) for pair in pairs))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Statistics) and all(
            getattr(self, name).equals(getattr(other, name)) for name in self.__slots__
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def rows(self) -> int:
        """Number of events."""
        return int(self.items["count"].sum())

    @property
    def mean(self) -> float | None:
        """Mean value; None without events."""
        return None if not self.rows else float((self.values["key"] * self.values["count"]).sum()) / self.rows

    @property
    def deviation(self) -> float | None:
        """Standard deviation of values; None without events."""
        if self.mean is None:
            return None
        square = float(((self.values["key"] - self.mean) ** 2 * self.values["count"]).sum())
        return float((square / self.rows) ** 0.5)

    @property
    def span(self) -> int | None:
        """Hours from the first event to the last, both counted; None without times."""
        key = self.hours["key"]
        return int(key.max()) - int(key.min()) + 1 if len(key) else None  # type: ignore[arg-type]

    @property
    def gap(self) -> int | None:
        """Most hours in a row without an event; None with fewer than two hours."""
        steps = self.hours["key"].diff().drop_nulls()
        return int(steps.max()) - 1 if len(steps) else None  # type: ignore[arg-type]

    def by_hour_of_day(self) -> Floats:
        """Return events by hour of the day (UTC), [24]."""
        found = np.bincount(self.hours["key"].to_numpy() % 24, self.hours["count"].to_numpy(), minlength=24)
        return found.astype(np.float64)


def _counted(column: pl.Series) -> pl.DataFrame:
    found = column.alias("key").to_frame().group_by("key").agg(pl.len().cast(pl.Int64).alias("count"))
    if isinstance(column.dtype, pl.Enum):  # ids as numbers: their texts are taken once each
        found = found.cast({"key": pl.String})
    return found.sort("key")


def _summed(table: pl.DataFrame) -> pl.DataFrame:
    return table.group_by("key").agg(pl.col("count").sum()).sort("key")


def _number(ids: pl.Series) -> pl.Series:
    return (ids if isinstance(ids.dtype, pl.Enum) else ids.cast(pl.Categorical)).to_physical()


def gini(counts: Floats) -> float | None:
    """Return the Gini coefficient of counts: 0 where all are equal, near 1 where one has everything; None without any."""
    if not len(counts) or not counts.sum():
        return None
    ranked = np.sort(counts)
    n = len(ranked)
    return float((2 * np.arange(1, n + 1) - n - 1) @ ranked / (n * ranked.sum()))


def top_share(counts: Floats, share: float = 0.01) -> float | None:
    """Return what the busiest `share` of nodes, at least one, have of all events; None without any."""
    if not len(counts) or not counts.sum():
        return None
    top = max(round(share * len(counts)), 1)
    return float(np.sort(counts)[-top:].sum() / counts.sum())


def components(user: pl.Series, item: pl.Series) -> int:
    """Return how many connected parts the graph of these pairs has."""
    if not len(user):
        return 0
    # Categories first: ranks of numbers take a fraction of the memory that ranks of text do.
    u, i = (_number(c).rank("dense").to_numpy().astype(np.int64) - 1 for c in (user, item))
    users, nodes = int(u.max()) + 1, int(u.max()) + int(i.max()) + 2
    graph = sparse.coo_matrix((np.ones(len(u), np.int8), (u, users + i)), shape=(nodes, nodes))
    return int(connected_components(graph, directed=False)[0])
