"""One direction of a set of edges: each source node's targets, stored for the sources that have one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gnnrec.data.types import Ints

Index = NDArray[np.int32]
Positions = NDArray[np.signedinteger[Any]]
NARROW = 2**31 - 1
"""Most edges whose places are numbered by 32 bits; those of more by 64."""
SPARSE = 4
"""Node numbers may be this many times as many as edges before sorting beats counting."""


def place_type(edges: int) -> type[np.signedinteger[Any]]:
    """Return the type in which places of so many edges can be counted."""
    return np.int32 if edges <= NARROW else np.int64


@dataclass(frozen=True, slots=True, eq=False)
class Adjacency:
    """Edges grouped by source. Its size is that of its edges, however many nodes are numbered.

    Attributes:
        node: [r] sources with an edge, ascending.
        start: [r + 1] where each source's targets begin.
        target: [e] targets, ascending within a source.
    """

    node: Index
    start: Positions
    target: Index

    @staticmethod
    def of(source: Index, target: Index) -> Adjacency:
        """Return the edges (source[j], target[j]), sorted by source, then target."""
        border = np.flatnonzero(np.diff(source)) + 1
        start = np.concatenate([[0], border, [len(source)]]).astype(place_type(len(source)))
        return Adjacency(source[start[:-1]], start, target)

    def transposed(self) -> Adjacency:
        """Return the same edges grouped by target."""
        edges, width = len(self.target), int(self.target.max()) + 1
        if width > SPARSE * edges:
            order = np.argsort(self.target, kind="stable")
            return Adjacency.of(self.target[order], np.repeat(self.node, self.degree)[order])
        ones = np.ones(edges, np.int8)
        turned = sparse.csr_matrix((ones, self.target, self.start), shape=(len(self.node), width), copy=False).tocsc()
        node = np.flatnonzero(np.diff(turned.indptr)).astype(np.int32)
        start = np.append(turned.indptr[node], edges).astype(place_type(edges))
        return Adjacency(node, start, self.node[turned.indices])

    @property
    def degree(self) -> Positions:
        """Number of targets of each source, [r]."""
        return np.diff(self.start)

    @property
    def dense(self) -> bool:
        """Whether the sources are 0..r−1, so that a node's row is its number."""
        return int(self.node[-1]) == len(self.node) - 1

    def rows(self, node: Ints) -> Ints:
        """Return the place of each node among the sources, −1 where it has no edge here, [n]."""
        if self.dense:
            return np.where(node < len(self.node), node, -1)
        at = np.minimum(np.searchsorted(self.node, node), len(self.node) - 1)
        return np.where(self.node[at] == node, at, -1)

    def neighbours(self, node: Ints) -> tuple[Ints, Ints]:
        """Return (position, neighbour): every target of node[position]."""
        begin, end = self.slices(node)
        count = end - begin
        position = np.repeat(np.arange(len(node)), count)
        offset = np.arange(len(position)) - np.repeat(np.cumsum(count) - count, count)
        return position, self.target[begin[position] + offset].astype(np.int64)

    def slices(self, node: Ints) -> tuple[Ints, Ints]:
        """Return where each node's targets begin and end, [n] each; the same where it has none."""
        row = self.rows(node)
        inside = row >= 0
        begin, end = (np.where(inside, self.start[at], 0).astype(np.int64) for at in (row, row + 1))
        return begin, end

    def without(self, source: Ints, target: Ints) -> Adjacency:
        """Return the same edges but for these, distinct ones that are here; a copy, several times faster than a new index."""
        begin, end = self.slices(source)
        keep = np.ones(len(self.target), bool)
        keep[begin + self.below(begin, end, target)] = False
        degree = self.degree - np.bincount(self.rows(source), minlength=len(self.node))
        left = degree > 0
        start = np.append(0, np.cumsum(degree[left])).astype(place_type(len(self.target) - len(source)))
        return Adjacency(self.node[left], start, self.target[keep])

    def below(self, begin: Ints, end: Ints, limit: int | Ints) -> Ints:
        """Return how many of the targets in each slice, ascending, are below `limit`, [n]; one for all or one for each."""
        if not len(self.target):
            return end - begin
        every = self.target.take(end - 1, mode="clip") < limit  # the rule: then there is nothing to search for
        low, high = np.where(every, end, begin), end
        while (open := low < high).any():
            middle = (low + high) // 2
            less = self.target.take(middle, mode="clip") < limit
            low, high = np.where(open & less, middle + 1, low), np.where(open & ~less, middle, high)
        return low - begin
