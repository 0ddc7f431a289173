"""Counts that describe events and add up: statistics of A and B together are those of A plus those of B."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_HOUR = 3_600_000_000
_PIECE = 1 << 20
_EVENT = {"user": pl.String(), "item": pl.String(), "value": pl.Float64(), "time": pl.Datetime("us", "UTC")}


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
        return Statistics(*map(_counted, (rows["user"], rows["item"], *_others(rows))))

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


class Counting:
    """Statistics, and connected parts, of events that come in pieces and are let go.

    Args:
        ids: texts of the numbers that events have for user and item: nothing need be hashed.
    """

    def __init__(self, ids: Mapping[str, pl.Series]) -> None:
        self._ids = ids
        self._degrees = {name: np.zeros(len(texts), np.int64) for name, texts in ids.items()}
        self._others: dict[str, list[pl.DataFrame]] = {"values": [], "hours": []}
        self._joined = Joined()

    def add(self, rows: pl.DataFrame) -> None:
        """Count events: user and item (ids as numbers), value, time."""
        for name, count in self._degrees.items():
            for part in rows.select(name).iter_slices(_PIECE):
                count += np.bincount(part.to_series().to_numpy(), minlength=len(count))
        for name, column in zip(self._others, _others(rows), strict=True):
            tables = self._others[name]
            tables[:] = [_summed(pl.concat([*tables, _counted(column)]))]
        self._joined.add(rows["user"], rows["item"])

    def statistics(self) -> Statistics:
        """Return the statistics of what was counted."""
        if not self._others["values"]:
            return Statistics.of(pl.DataFrame(schema=_EVENT))
        degrees = (pl.DataFrame({"key": self._ids[name], "count": n}) for name, n in self._degrees.items())
        ids = (table.filter(pl.col("count") > 0).sort("key") for table in degrees)
        return Statistics(*ids, *(tables[0] for tables in self._others.values()))

    @property
    def components(self) -> int:
        """Connected parts of the graph of the events' pairs."""
        nodes = sum(int((n > 0).sum()) for n in self._degrees.values())
        return self._joined.parts - (self._joined.nodes - nodes)  # numbers that no event has are parts of their own


def _others(rows: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """Return values, rounded to a millionth, and hours."""
    return rows["value"].round(6), rows["time"].dt.epoch("us").drop_nulls() // _HOUR


def _counted(column: pl.Series) -> pl.DataFrame:
    return column.alias("key").to_frame().group_by("key").agg(pl.len().cast(pl.Int64).alias("count")).sort("key")


def _summed(table: pl.DataFrame) -> pl.DataFrame:
    return table.group_by("key").agg(pl.col("count").sum()).sort("key")


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


class Joined:
    """Connected parts of a graph whose edges come in pieces; users and items are numbered apart."""

    def __init__(self) -> None:
        self.parts = self._users = self._items = 0
        self._user: Ints = np.empty(0, np.int64)
        self._item: Ints = np.empty(0, np.int64)

    @property
    def nodes(self) -> int:
        """Users and items numbered so far."""
        return self._users + self._items

    def add(self, user: pl.Series, item: pl.Series) -> None:
        """Add edges, numbers [n] each."""
        for start in range(0, len(user), _PIECE):
            self._add(*(c.slice(start, _PIECE).to_numpy().astype(np.int64) for c in (user, item)))

    def _add(self, user: Ints, item: Ints) -> None:
        self._user, self._item = (
            self._grown(self._user, int(user.max()) + 1),
            self._grown(self._item, int(item.max()) + 1),
        )
        self._users, self._items = len(self._user), len(self._item)
        ends = np.stack([self._user[user], self._item[item]])
        ends = ends[:, ends[0] != ends[1]]  # most of later edges lie within a part
        joined = sparse.coo_matrix((np.ones(ends.shape[1]), tuple(ends)), shape=(self.parts, self.parts))
        self.parts, place = connected_components(joined, directed=False)
        self._user, self._item = place[self._user].astype(np.int64), place[self._item].astype(np.int64)

    def _grown(self, part: Ints, size: int) -> Ints:
        """Give every new node a part of its own."""
        fresh = max(size - len(part), 0)
        self.parts += fresh
        return np.concatenate([part, np.arange(self.parts - fresh, self.parts)])
