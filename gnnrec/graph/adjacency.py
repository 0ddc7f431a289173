"""One direction of a set of edges: each source node's targets, stored for the sources that have one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gnnrec.data.types import Ints

Index = NDArray[np.int32]
SPARSE = 4
"""Node numbers may be this many times as many as edges before sorting beats counting."""


@dataclass(frozen=True, slots=True, eq=False)
class Adjacency:
    """Edges grouped by source. Its size is that of its edges, however many nodes are numbered.

    Attributes:
        node: [r] sources with an edge, ascending.
        start: [r + 1] where each source's targets begin.
        target: [e] targets, ascending within a source.
    """

    node: Index
    start: Index
    target: Index

    @staticmethod
    def of(source: Index, target: Index) -> Adjacency:
        """Return the edges (source[j], target[j]), sorted by source, then target."""
        border = np.flatnonzero(np.diff(source)) + 1
        start = np.concatenate([[0], border, [len(source)]]).astype(np.int32)
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
        start = np.append(turned.indptr[node], edges).astype(np.int32)
        return Adjacency(node, start, self.node[turned.indices])

    @property
    def degree(self) -> Index:
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
        row = self.rows(node)
        inside = row >= 0
        begin = np.where(inside, self.start[row], 0).astype(np.int64)
        count = np.where(inside, self.start[row + 1], 0) - begin
        position = np.repeat(np.arange(len(node)), count)
        offset = np.arange(len(position)) - np.repeat(np.cumsum(count) - count, count)
        return position, self.target[begin[position] + offset].astype(np.int64)
