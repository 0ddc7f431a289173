"""A fixed set of edges: sorted keys, a filter before them, and an index in either direction once somebody asks for it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnrec.graph.adjacency import Adjacency
from gnnrec.graph.bloom import BloomFilter
from gnnrec.graph.columns import EdgeColumns
from gnnrec.graph.keys import EdgeKeys

FILTERED = 1 << 17
"""Keys from which a filter stands before the search: those of a smaller segment lie in the cache anyway."""
MANY = 16
"""Ascending keys, at least one for so many of the segment's, are searched one after the other: a filter costs more to make."""
RUN = 4096
"""Of these, so many are searched at a time: what lies between the first and the last of them fits into the cache."""
WINDOW = 2048
"""One key in so many is set apart, so that a search meets few far places in memory and hardly grows with the edges."""


class Segment:
    """Edges that came together. A graph shares its segments with the graphs it grew from, so an index is built once.

    Args:
        keys: [e] sorted, distinct, at least one.
        columns: what the edges carry, in the order of `keys`; None: nothing.
    """

    def __init__(self, keys: EdgeKeys, columns: EdgeColumns | None = None) -> None:
        self.keys, self.columns = keys, columns
        self._first = keys[::WINDOW].copy()
        self._filter: BloomFilter | None = None
        self._by_user: Adjacency | None = None
        self._by_item: Adjacency | None = None

    @property
    def num_edges(self) -> int:
        """Number of undirected edges."""
        return len(self.keys)

    @property
    def by_user(self) -> Adjacency:
        """Each user's items."""
        if self._by_user is None:
            item = (self.keys & 0xFFFFFFFF).astype(np.int32)
            self._by_user = Adjacency.of((self.keys >> 32).astype(np.int32), item)
        return self._by_user

    @property
    def by_item(self) -> Adjacency:
        """Each item's users."""
        if self._by_item is None:
            self._by_item = self.by_user.transposed()
        return self._by_item

    def has_ascending(self, keys: EdgeKeys) -> NDArray[np.bool_]:
        """Return the same as `has` for ascending keys, in less time where they are many."""
        if self._filter is not None or len(keys) * MANY <= self.num_edges:
            return self.has(keys)
        found = np.empty(len(keys), bool)
        for start in range(0, len(keys), RUN):
            part = keys[start : start + RUN]
            low, high = np.searchsorted(self.keys, part[[0, -1]])
            near = self.keys[low : high + 1]
            found[start : start + RUN] = (
                near.take(np.searchsorted(near, part), mode="clip") == part if len(near) else False
            )
        return found

    def has(self, keys: EdgeKeys) -> NDArray[np.bool_]:
        """Return which of `keys` are edges here, [n]."""
        if self.num_edges < FILTERED:
            return self._search(keys)
        if self._filter is None:
            self._filter = BloomFilter(self.keys)
        found = self._filter.may_have(keys)
        found[found] = self._search(keys[found])
        return found

    def _search(self, keys: EdgeKeys) -> NDArray[np.bool_]:
        at = np.maximum(np.searchsorted(self._first, keys, side="right") - 1, 0) * WINDOW
        step, probe = WINDOW // 2, np.empty_like(at)
        while step:  # within the window: the last key that is not above; "clip" reads past the end as the last key
            np.add(at, step, out=probe)
            at += step * (self.keys.take(probe, mode="clip") <= keys)
            step //= 2
        found: NDArray[np.bool_] = self.keys.take(at, mode="clip") == keys
        return found

    @property
    def left(self) -> Segment:
        """The segment itself: no edge has been removed."""
        return self

    def without(self, dead: EdgeKeys) -> Segment:
        """Return a segment without these edges, ascending, distinct, all of them here but not all there are."""
        keep = np.ones(self.num_edges, bool)
        keep[np.searchsorted(self.keys, dead)] = False
        left = Segment(self.keys[keep], None if self.columns is None else self.columns.take(keep))
        user, item = dead >> 32, dead & 0xFFFFFFFF
        if self._by_user is not None:
            left._by_user = self._by_user.without(user, item)
        if self._by_item is not None:
            left._by_item = self._by_item.without(item, user)
        return left

    def union(self, other: Segment) -> Segment:
        """Return one segment with the edges of both, which must be disjoint."""
        keys = np.concatenate([self.keys, other.keys])
        if self.columns is None or other.columns is None:
            keys.sort(kind="stable")  # two sorted runs are merged in one pass
            return Segment(keys)
        order = np.argsort(keys, kind="stable")
        return Segment(keys[order], EdgeColumns.concat([self.columns, other.columns]).take(order))
