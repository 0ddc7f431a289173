"""The growing bipartite graph: each user-item edge once, messages both ways, `extend` leaves the old graph readable.

Letters: e edges, u users, i items, d width.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Interactions, Ints
from gnnrec.graph.normalised import Inner, Operator
from gnnrec.graph.propagate import Propagate, PropagateRows
from gnnrec.graph.segment import Segment, distinct, edge_key

MERGE_RATIO = 4
"""A segment is merged into its predecessor when that is less than this many times larger: O(log e) remain."""
LIMIT = 2**31 - 1
"""Most users, and most items: columns of the matrices are 32 bits wide."""
NEGLIGIBLE = 1e-30
"""Share of the largest weight below which a last layer is left out."""
WORTHWHILE = 0.5
"""The last pass is taken over the edges of the rows asked for where these have at most this share of all."""


class BipartiteGraph:
    """Users and items numbered apart, an undirected edge for every distinct pair.

    The adjacency A [u, i] is the sum of the segments' matrices, so an increment builds only its small segment. A graph is
    never changed: `extend` returns a new one that shares the old segments. Degrees, which cost the nodes, and one normalised
    matrix for each direction, which cost the edges, are made when first asked for.

    Args:
        num_users, num_items: numbered nodes, with or without edges.
        segments: disjoint sets of edges.
        device: where products are taken.
    """

    def __init__(
        self, num_users: int, num_items: int, segments: tuple[Segment, ...] = (), device: torch.device | str = "cpu"
    ) -> None:
        self.num_users, self.num_items, self.segments = num_users, num_items, segments
        self.device = torch.device(device)
        self._degrees: tuple[Ints, Ints] | None = None
        self._operators: dict[torch.dtype, Operator] = {}

    @staticmethod
    def empty(num_users: int = 0, num_items: int = 0) -> BipartiteGraph:
        """Return a graph without edges."""
        return BipartiteGraph(num_users, num_items)

    @property
    def num_edges(self) -> int:
        """Number of undirected edges; messages flow over twice as many."""
        return sum(s.num_edges for s in self.segments)

    @property
    def degrees(self) -> tuple[Ints, Ints]:
        """Number of edges of every user [u] and item [i]."""
        if self._degrees is None:
            user, item = np.zeros(self.num_users, np.int64), np.zeros(self.num_items, np.int64)
            for s in self.segments:
                user[s.by_user.node] += s.by_user.degree
                item[s.by_item.node] += s.by_item.degree
            self._degrees = user, item
        return self._degrees

    @property
    def degree_user(self) -> Tensor:
        """Number of edges of every user, [u]."""
        return torch.from_numpy(self.degrees[0])

    @property
    def degree_item(self) -> Tensor:
        """Number of edges of every item, [i]."""
        return torch.from_numpy(self.degrees[1])

    def extend(self, events: Interactions, num_users: int, num_items: int) -> BipartiteGraph:
        """Return this graph with the events' new pairs as edges and room for new nodes.

        Pairs that are edges already, or repeat inside `events`, add nothing; without a new pair or node it is this graph.

        Args:
            events: users in [0, num_users), items in [0, num_items).
            num_users: numbered users afterwards; never fewer than now.
            num_items: numbered items afterwards; likewise.

        Raises:
            GnnrecError: the graph would shrink, or an event names a node without a number.
        """
        self._check(events, num_users, num_items)
        keys = distinct(edge_key(events.user, events.item))
        for segment in self.segments:
            keys = keys[~segment.has_ascending(keys)]
        if not len(keys) and (num_users, num_items) == (self.num_users, self.num_items):
            return self
        segments = _merged((*self.segments, Segment(keys))) if len(keys) else self.segments
        return BipartiteGraph(num_users, num_items, segments, self.device)

    def _check(self, events: Interactions, num_users: int, num_items: int) -> None:
        if num_users < self.num_users or num_items < self.num_items:
            raise GnnrecError(
                f"a graph never shrinks: {self.num_users} users and {self.num_items} items cannot become "
                f"{num_users} and {num_items}"
            )
        for name, column, limit in (("user", events.user, num_users), ("item", events.item, num_items)):
            if limit > LIMIT:
                raise GnnrecError(f"a graph numbers at most {LIMIT:,} {name}s, got {limit:,}")
            if len(column) and (column.min() < 0 or column.max() >= limit):
                raise GnnrecError(f"{name} numbers must lie in [0, {limit}), got {column.min()} to {column.max()}")

    def has(self, user: NDArray[np.int64], item: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of the pairs (user[j], item[j]) are edges, [n]."""
        keys = edge_key(user, item)
        found = np.zeros(len(keys), bool)
        for segment in self.segments:
            found |= segment.has(keys)
        return found

    def edges(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (user, item), each [e], sorted by user, then item: the same for every order of growth."""
        keys = np.sort(np.concatenate([s.keys for s in self.segments] or [np.empty(0, np.int64)]))
        return keys >> 32, keys & 0xFFFFFFFF

    def neighbours(self, node: Ints, of_users: bool) -> tuple[Ints, Ints]:
        """Return (position, neighbour): every neighbour of node[position], of users where `of_users`, else of items."""
        parts = [(s.by_user if of_users else s.by_item).neighbours(node) for s in self.segments]
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
        user, item = _at_least_single(user), _at_least_single(item)
        result: tuple[Tensor, Tensor] = Propagate.apply(  # type: ignore[no-untyped-call]
            user, item, self._operator(user.dtype), _trimmed(weights)
        )
        return result

    def polynomial_rows(
        self, user: Tensor, item: Tensor, weights: Tensor, users: Tensor, items: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
        """Return the rows `users` [b] and `items` [b'], each distinct, of `polynomial`'s result and of its input.

        The outermost pass and its gradient touch only the edges of these rows where these are few. None where no pass is
        taken or the device would have to wait for the host.
        """
        trimmed = _trimmed(weights)
        if len(trimmed) < 2 or self.device.type != "cpu" or not self.segments:
            return None
        user, item = _at_least_single(user), _at_least_single(item)
        operator = self._operator(user.dtype)
        degree_user, degree_item = self.degrees
        at = users.numpy(), items.numpy()
        few = degree_user[at[0]].sum() + degree_item[at[1]].sum() <= WORTHWHILE * 2 * self.num_edges
        rows = operator.rows(*at) if few else operator.picked(users, items)
        result: tuple[Tensor, Tensor, Tensor, Tensor] = PropagateRows.apply(  # type: ignore[no-untyped-call]
            user, item, operator, rows, trimmed, users, items
        )
        return result

    def within(self, users: Tensor, items: Tensor) -> Subgraph:
        """Return the edges between these users [t] and items [t'], ascending numbers, with the whole graph's degrees."""
        at = users.cpu().numpy(), items.cpu().numpy()
        return Subgraph(self._operator(torch.float32).within(*at) if self.segments else None)

    def _operator(self, dtype: torch.dtype) -> Operator:
        """Return the normalised matrices, made once per graph."""
        if dtype not in self._operators:
            self._operators[dtype] = Operator(self.segments, *self.degrees, dtype, self.device)
        return self._operators[dtype]

    def to(self, device: torch.device | str) -> BipartiteGraph:
        """Return the graph with products on `device` (itself where it is there already)."""
        if self.device == torch.device(device):
            return self
        return BipartiteGraph(self.num_users, self.num_items, self.segments, device)

    @property
    def nbytes(self) -> int:
        """Bytes that must be kept to extend this graph: its edges, 8 bytes each."""
        return 8 * self.num_edges


class Subgraph:
    """Edges among some nodes, numbered afresh, normalised by their degrees in the whole graph.

    Args:
        operator: its matrices; None: there is no edge.
    """

    def __init__(self, operator: Inner | None) -> None:
        self._operator = operator

    @property
    def num_edges(self) -> int:
        """Number of undirected edges."""
        return 0 if self._operator is None else self._operator.num_edges

    def polynomial(self, user: Tensor, item: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return Σ_l weights[l] · P^l (user, item) over these edges, [t, d], [t', d]."""
        if self._operator is None:
            return float(weights[0]) * user, float(weights[0]) * item
        result: tuple[Tensor, Tensor] = Propagate.apply(  # type: ignore[no-untyped-call]
            _at_least_single(user), _at_least_single(item), self._operator, _trimmed(weights)
        )
        return result


def _trimmed(weights: Tensor) -> tuple[float, ...]:
    """Return the weights as numbers, up to the last that counts beside the largest: others are divided by it."""
    values: list[float] = weights.tolist()
    least = NEGLIGIBLE * max(map(abs, values))
    while len(values) > 1 and abs(values[-1]) <= least:
        values.pop()
    return tuple(values)


def _at_least_single(x: Tensor) -> Tensor:
    """Return x in float32 or float64: half-precision CSR products do not exist on every device."""
    return x if x.dtype == torch.float64 else x.float()


def _merged(segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
    """Merge from the newest back while neighbours are of similar size: amortised O(log e) moves per edge."""
    while len(segments) > 1 and segments[-2].num_edges < MERGE_RATIO * segments[-1].num_edges:
        segments = (*segments[:-2], segments[-2].union(segments[-1]))
    return segments
