"""The growing bipartite graph: each user-item edge once, messages both ways, `extend` leaves the old graph readable.

Letters: e edges, u users, i items, d width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnrec.data.types import Interactions
from gnnrec.errors import GnnrecError
from gnnrec.graph.propagate import Propagate
from gnnrec.graph.segment import Segment, edge_key

MERGE_RATIO = 4
"""A segment is merged into its predecessor when that is less than this many times larger: O(log e) remain."""


@dataclass(frozen=True, slots=True, eq=False)
class BipartiteGraph:
    """Users and items numbered apart, an undirected edge for every distinct pair.

    The adjacency A [u, i] is the sum of the segments' matrices, A·x = Σ A_s·x, so an increment builds only its small
    segment. A graph is never changed: `extend` returns a new one that shares the old segments.

    Attributes:
        num_users, num_items: numbered nodes, with or without edges.
        degree_user, degree_item: [u], [i] number of edges.
        segments: disjoint sets of edges.
    """

    num_users: int
    num_items: int
    degree_user: Tensor
    degree_item: Tensor
    segments: tuple[Segment, ...] = ()

    @staticmethod
    def empty(num_users: int = 0, num_items: int = 0) -> BipartiteGraph:
        """Return a graph without edges."""
        return BipartiteGraph(num_users, num_items, torch.zeros(num_users), torch.zeros(num_items))

    @property
    def num_edges(self) -> int:
        """Number of undirected edges; messages flow over twice as many."""
        return sum(s.num_edges for s in self.segments)

    def extend(self, events: Interactions, num_users: int, num_items: int) -> BipartiteGraph:
        """Return this graph with the events' new pairs as edges and room for new nodes.

        Pairs that are edges already, or repeat inside `events`, add nothing.

        Args:
            events: users in [0, num_users), items in [0, num_items).
            num_users: numbered users afterwards; never fewer than now.
            num_items: numbered items afterwards; likewise.

        Raises:
            GnnrecError: the graph would shrink, or an event names a node without a number.
        """
        self._check(events, num_users, num_items)
        keys = np.unique(edge_key(events.user, events.item))
        keys = keys[~self._has_keys(keys)]
        degree_user, degree_item = _padded(self.degree_user, num_users), _padded(self.degree_item, num_items)
        if not len(keys):
            return BipartiteGraph(num_users, num_items, degree_user, degree_item, self.segments)
        new = Segment.build(keys, num_users, num_items, self.degree_user.device)
        degree_user[: len(new.degree_user)] += new.degree_user
        degree_item[: len(new.degree_item)] += new.degree_item
        return BipartiteGraph(num_users, num_items, degree_user, degree_item, _merged((*self.segments, new)))

    def _check(self, events: Interactions, num_users: int, num_items: int) -> None:
        if num_users < self.num_users or num_items < self.num_items:
            raise GnnrecError(
                f"a graph never shrinks: {self.num_users} users and {self.num_items} items cannot become "
                f"{num_users} and {num_items}"
            )
        for name, column, limit in (("user", events.user, num_users), ("item", events.item, num_items)):
            if len(column) and (column.min() < 0 or column.max() >= limit):
                raise GnnrecError(f"{name} numbers must lie in [0, {limit}), got {column.min()} to {column.max()}")

    def _has_keys(self, keys: NDArray[np.int64]) -> NDArray[np.bool_]:
        found = np.zeros(len(keys), bool)
        for segment in self.segments:
            found |= segment.has(keys)
        return found

    def has(self, user: NDArray[np.int64], item: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of the pairs (user[j], item[j]) are edges, [n]."""
        return self._has_keys(edge_key(user, item))

    def edges(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (user, item), each [e], sorted by user, then item: the same for every order of growth."""
        keys = np.sort(np.concatenate([s.keys for s in self.segments] or [np.empty(0, np.int64)]))
        return keys >> 32, keys & 0xFFFFFFFF

    def neighbours(self, node: NDArray[np.int64], of_users: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (position, neighbour): every neighbour of node[position], of users where `of_users`, else of items."""
        parts = [s.neighbours(node, of_users) for s in self.segments]
        empty = np.empty(0, np.int64)
        position = np.concatenate([p for p, _ in parts] or [empty])
        return position, np.concatenate([n for _, n in parts] or [empty])

    def propagate(self, user: Tensor, item: Tensor, layers: int = 1) -> tuple[Tensor, Tensor]:
        """Pass messages `layers` times with symmetric normalisation.

        One pass is user' = D_u^-1/2 · A · D_i^-1/2 · item and item' = D_i^-1/2 · Aᵀ · D_u^-1/2 · user; a node without
        edges receives 0. Differentiable: the operator is symmetric, so its backward is itself.

        Args:
            user: [u, d].
            item: [i, d].
            layers: number of passes.

        Returns:
            [u, d], [i, d].
        """
        weights = torch.zeros(layers + 1)
        weights[layers] = 1.0
        return self.polynomial(user, item, weights)

    def polynomial(self, user: Tensor, item: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return Σ_l weights[l] · P^l (user, item), P being one pass of `propagate`; [u, d], [i, d]."""
        result: tuple[Tensor, Tensor] = Propagate.apply(user, item, self, tuple(weights.tolist()))  # type: ignore[no-untyped-call]
        return result

    def to(self, device: torch.device | str) -> BipartiteGraph:
        """Return the graph on `device` (itself where it is there already)."""
        if self.degree_user.device == torch.device(device):
            return self
        return BipartiteGraph(
            self.num_users,
            self.num_items,
            self.degree_user.to(device),
            self.degree_item.to(device),
            tuple(s.to(device) for s in self.segments),
        )

    @property
    def nbytes(self) -> int:
        """Bytes that must be kept to extend this graph: its edges, 8 bytes each."""
        return 8 * self.num_edges


def _padded(degree: Tensor, size: int) -> Tensor:
    grown = degree.new_zeros(size)
    grown[: len(degree)] = degree
    return grown


def _merged(segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
    """Merge from the newest back while neighbours are of similar size: amortised O(log e) moves per edge."""
    while len(segments) > 1 and segments[-2].num_edges < MERGE_RATIO * segments[-1].num_edges:
        segments = (*segments[:-2], segments[-2].union(segments[-1]))
    return segments
