"""Numbers of external ids, given at the first absorbed event."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gnnrec.core.seeds import node_key
from gnnrec.data.types import Ints, Keys


class Numbers:
    """The first n ids of a table that only grows: what was numbered before is never copied, hashed or changed again.

    Several share one table, each with an n of its own; one behind which others have been numbered than it is asked to number
    copies its part first, so that what a try has numbered is nothing to the next.

    Args:
        table: ids in order, their numbers, their hashes.
        n: ids that are known here.
    """

    __slots__ = ("_n", "_table")

    def __init__(self, table: _Table, n: int) -> None:
        self._table, self._n = table, n

    @staticmethod
    def of(ids: Sequence[str]) -> Numbers:
        """Return the numbers of ids in order."""
        return Numbers(_Table([]), 0).with_new(ids)

    def __len__(self) -> int:
        return self._n

    @property
    def ids(self) -> list[str]:
        """All ids, in order."""
        return self.between(0, self._n)

    @property
    def keys(self) -> Keys:
        """Hashes of all ids, [len]."""
        return self._table.key[: self._n]

    def between(self, start: int, end: int) -> list[str]:
        """Return the ids of the numbers from `start` up to `end`."""
        return self._table.ids[start : min(end, self._n)]

    def with_new(self, names: Sequence[str]) -> Numbers:
        """Return numbers that know these ids too, new ones behind the others in the order given."""
        at, n = self._table.at, self._n
        fresh = [name for name in dict.fromkeys(names) if at.get(name, n) >= n]
        if not fresh:
            return self
        table, known = self._table, self._table.ids[n : n + len(fresh)]
        if known != fresh[: len(known)]:
            table, known = _Table(table.ids[:n]), []
        table.add(fresh[len(known) :])
        return Numbers(table, n + len(fresh))

    def numbers(self, names: Sequence[str]) -> Ints:
        """Return the number of each id, [n].

        Raises:
            KeyError: one is not known.
        """
        found = np.fromiter((self._table.at[name] for name in names), np.int64, len(names))
        if len(found) and found.max() >= self._n:
            raise KeyError(names[int(found.argmax())])
        return found


class _Table:
    """Ids in order, their numbers and their hashes."""

    def __init__(self, ids: Sequence[str]) -> None:
        self.ids: list[str] = []
        self.at: dict[str, int] = {}
        self.key: Keys = np.empty(0, np.uint64)
        self.add(ids)

    def add(self, ids: Sequence[str]) -> None:
        """Number ids that are not there yet."""
        start, end = len(self.ids), len(self.ids) + len(ids)
        if end > len(self.key):  # twice the room: each key is moved once on average
            self.key = np.concatenate([self.key[:start], np.empty(max(end, 16), np.uint64)])
        self.key[start:end] = np.fromiter(map(node_key, ids), np.uint64, len(ids))
        self.at.update(zip(ids, range(start, end), strict=True))
        self.ids.extend(ids)
