"""The good rows of a log as numbers: put in order of time, duplicates and repeats counted, nothing lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnrec.data.clean.external_sort import Overflow, by_time
from gnnrec.data.clean.ids import Ids, texts
from gnnrec.data.clean.repeats import kept_rows
from gnnrec.data.clean.rows import Tally, raw
from gnnrec.data.dataset import Counts, Dataset
from gnnrec.data.types import Ints

Column = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Account:
    """Rows read, those set aside by their first reason, and how many rows each reason matched."""

    rows_read: int
    aside: Tally
    matched: dict[str, int]


class Gathered:
    """The good rows of a log as numbers, and an account of all of them.

    Args:
        users, items: numbers of their ids.
        columns: user, item, and value, time and raw columns where there are such, [n]; None: they lie in `overflow`.
        overflow: rows that were written down.
        account: rows read, those set aside, and how many each reason matched.
        repeats: which of several events of a pair count.

    Attributes:
        duplicate, repeat, kept: rows, once `parts` is exhausted.
        low, high: smallest and largest value kept; None: there is none.
        timed: whether rows have a time.
    """

    def __init__(
        self,
        ids: tuple[Ids, Ids],
        columns: dict[str, Any] | None,
        overflow: Overflow | None,
        account: Account,
        repeats: str,
        names: frozenset[str],
    ) -> None:
        self.users, self.items = ids
        self._columns, self._overflow, self.account, self._repeats = columns, overflow, account, repeats
        self._names, self.timed = names, "time" in names
        self.duplicate = self.repeat = self.kept = 0
        self.low: float | None = None
        self.high: float | None = None

    def parts(self) -> Iterator[dict[str, Any]]:
        """Yield the events that count, in order of time, all of a pair in one part; once. Those written down have their row."""
        for columns in self._all():
            columns = _taken(columns, by_time(columns["time"]) if self.timed else None)
            rows, duplicate, repeat = kept_rows(columns, self._repeats)
            columns = _taken(columns, rows)
            self.duplicate, self.repeat = self.duplicate + duplicate, self.repeat + repeat
            self.kept += len(columns["user"])
            if len(columns["user"]):
                value = columns.get("value", np.ones(1))
                low, high = float(value.min()), float(value.max())
                self.low = low if self.low is None else min(self.low, low)
                self.high = high if self.high is None else max(self.high, high)
            yield columns

    def _all(self) -> Iterator[dict[str, Any]]:
        if self._columns is not None:
            columns, self._columns = self._columns, None
            yield columns
        elif self._overflow is not None:
            names = {*self._names, "row"}
            yield from ({n: np.ascontiguousarray(part[n]) for n in names} for part in self._overflow.pairs())

    @property
    def feedback(self) -> str:
        """Implicit where there are no ratings or constant ones."""
        return "implicit" if self.low == self.high else "explicit"

    @property
    def counts(self) -> Counts:
        """What became of every row."""
        aside = self.account.aside.counts
        counts = Counts(
            self.account.rows_read, self.kept, self.duplicate, self.repeat, dict(aside), self.account.matched
        )
        counts.check()
        return counts

    def dataset(self, name: str) -> Dataset:
        """Return the log as a data set of this name."""
        (columns,) = self.parts()
        user_ids, user_code = self.users.renumbered(columns.pop("user"))
        item_ids, item_code = self.items.renumbered(columns.pop("item"))
        value, time = columns.pop("value", None), columns.pop("time", None)
        value = np.ones(self.kept) if value is None else value
        extra = {key.removeprefix(raw("")): texts(column) for key, column in columns.items()}
        events = user_code, item_code, user_ids, item_ids, value, time
        examples = dict(self.account.aside.examples)
        return Dataset(name, *events, self.counts, self.feedback, extra=extra, examples=examples)

    def account_only(self, name: str) -> Dataset:
        """Return what is known about the events without them, for who has taken the parts."""
        none, ids, codes = np.empty(0), np.empty(0, object), np.empty(0, np.int64)
        events = codes, codes, ids, ids, none, none if self.timed else None
        return Dataset(name, *events, self.counts, self.feedback, examples=dict(self.account.aside.examples))


def _taken(columns: dict[str, Any], rows: Ints | None) -> dict[str, Any]:
    """Return these rows of each column, which is let go; None: all rows."""
    return columns if rows is None else {name: columns.pop(name)[rows] for name in list(columns)}
