"""The growing bipartite graph: each user-item edge once, messages both ways, no change to a graph that exists.

Letters: e edges, u users, i items, d width.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Floats, Interactions, Ints
from gnnrec.graph.columns import BYTES, Clock, Decay, EdgeColumns, Unit, newest
from gnnrec.graph.keys import EdgeKeys, distinct, edge_key
from gnnrec.graph.normalised import Operator
from gnnrec.graph.propagate import Propagate, PropagateRows, Subgraph, at_least_single, trimmed
from gnnrec.graph.segment import Segment
from gnnrec.graph.spread import by_column
from gnnrec.graph.thinned import EdgePart, thinned

MERGE_RATIO = 4
"""A segment is merged into its predecessor when that is less than this many times larger: O(log e) remain."""
LIMIT = 2**31 - 1
"""Most users, and most items: columns of the matrices are 32 bits wide."""
WORTHWHILE = 0.5
"""The last pass is taken over the edges of the rows asked for where these have at most this share of all."""


class BipartiteGraph:
    """Users and items numbered apart, an undirected edge for every distinct pair.

    The adjacency A [u, i] is the sum of the segments' matrices, so an increment builds only its small segment. A graph is
    never changed: `extend` and `without` return a new one that shares the old segments. Degrees, which cost the nodes, and one
    normalised matrix for each direction, which cost the edges, are made when first asked for.

    Args:
        num_users, num_items: numbered nodes, with or without edges.
        segments: disjoint sets of edges.
        device: where products are taken.
        clock: where edges carry the value, time and number of their newest event, what has been counted; None: they do not.
        decay: how edges weigh by age; None: all the same.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        segments: tuple[EdgePart, ...] = (),
        device: torch.device | str = "cpu",
        clock: Clock | None = None,
        decay: Decay | None = None,
    ) -> None:
        self.num_users, self.num_items, self.segments = num_users, num_items, segments
        self.device, self.clock, self.decay = torch.device(device), clock, decay
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
            for s in self._left:
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
        Where edges carry columns, a pair's are those of its newest event, the last that any `extend` was given.

        Args:
            events: users in [0, num_users), items in [0, num_items).
            num_users: numbered users afterwards; never fewer than now.
            num_items: numbered items afterwards; likewise.

        Raises:
            GnnrecError: the graph would shrink, or an event names a node without a number.
        """
        self._check(events, num_users, num_items)
        if self.clock is not None and len(events):
            return self._renewed(self.clock, events, num_users, num_items)
        keys = distinct(edge_key(events.user, events.item))
        for segment in self.segments:
            keys = keys[~segment.has_ascending(keys)]
        if not len(keys) and (num_users, num_items) == (self.num_users, self.num_items):
            return self
        segments = _merged((*self.segments, Segment(keys))) if len(keys) else self.segments
        return self._with(segments, num_users, num_items)

    def _renewed(self, clock: Clock, events: Interactions, num_users: int, num_items: int) -> BipartiteGraph:
        """Return `extend`'s graph where edges carry columns: pairs that come again leave the segments they were in."""
        keys, columns = newest(events, clock.events)
        old = [part for s in self.segments if (part := thinned(s, keys)) is not None]
        clock = replace(clock, events=clock.events + len(events))
        return self._with(_settled((*old, Segment(keys, columns))), num_users, num_items, clock)

    def without(self, events: Interactions) -> BipartiteGraph:
        """Return this graph without the pairs of these events as edges; nodes keep their numbers.

        Pairs that are no edges are passed over; where none is, it is this graph. A pair is gone whatever other events it
        had: those that are to stay are to be given to `extend` again.
        """
        return self._without(distinct(edge_key(events.user, events.item)))

    def _without(self, keys: EdgeKeys) -> BipartiteGraph:
        parts = tuple(thinned(s, keys) for s in self.segments)
        if all(new is old for new, old in zip(parts, self.segments, strict=True)):
            return self
        return self._with(_settled(tuple(p for p in parts if p is not None)))

    def _with(
        self,
        segments: tuple[EdgePart, ...],
        num_users: int | None = None,
        num_items: int | None = None,
        clock: Clock | None = None,
    ) -> BipartiteGraph:
        """Return a graph of these edges that is otherwise as this."""
        users, items = num_users or self.num_users, num_items or self.num_items
        return BipartiteGraph(users, items, segments, self.device, clock or self.clock, self.decay)

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
        keys = np.sort(self._keys())
        return keys >> 32, keys & 0xFFFFFFFF

    def _keys(self) -> EdgeKeys:
        return np.concatenate([s.keys for s in self._left] or [np.empty(0, np.int64)])

    @property
    def _left(self) -> list[Segment]:
        """The segments as they are after removals."""
        return [s.left for s in self.segments]

    def neighbours(self, node: Ints, of_users: bool) -> tuple[Ints, Ints]:
        """Return (position, neighbour): every neighbour of node[position], of users where `of_users`, else of items."""
        parts = [(s.by_user if of_users else s.by_item).neighbours(node) for s in self._left]
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
        user, item = at_least_single(user), at_least_single(item)
        given = self._operator(user.dtype), trimmed(weights)

        def product(u: Tensor, i: Tensor) -> tuple[Tensor, Tensor]:
            return Propagate.apply(u, i, *given)  # type: ignore[no-any-return, no-untyped-call]

        return by_column(product, user, item)

    def polynomial_rows(
        self, user: Tensor, item: Tensor, weights: Tensor, users: Tensor, items: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
        """Return the rows `users` [b] and `items` [b'], each distinct, of `polynomial`'s result and of its input.

        The outermost pass and its gradient touch only the edges of these rows where these are few. None where no pass is
        taken or the device would have to wait for the host.
        """
        kept = trimmed(weights)
        if len(kept) < 2 or self.device.type != "cpu" or not self.segments:
            return None
        user, item = at_least_single(user), at_least_single(item)
        operator = self._operator(user.dtype)
        degree_user, degree_item = self.degrees
        edges = degree_user[users.numpy()].sum() + degree_item[items.numpy()].sum()
        few = edges <= WORTHWHILE * 2 * self.num_edges
        rows = operator.rows(users, items) if few else operator.picked(users, items)
        given = operator, rows, kept, users, items

        def product(u: Tensor, i: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            return PropagateRows.apply(u, i, *given)  # type: ignore[no-any-return, no-untyped-call]

        return by_column(product, user, item)

    def within(self, users: Tensor, items: Tensor) -> Subgraph:
        """Return the edges between these users [t] and items [t'], ascending numbers, with the whole graph's degrees."""
        inner = self._operator(torch.float32).within(users.cpu(), items.cpu()) if self.segments else None
        return Subgraph(inner)

    def _operator(self, dtype: torch.dtype) -> Operator:
        """Return the normalised matrices, made once per graph, and once more where many passes are taken."""
        if dtype not in self._operators:
            weights = None if self.decay is None else self._weights(self.decay)
            self._operators[dtype] = Operator(self._left, *self.degrees, dtype, self.device, weights)
        self._operators[dtype] = self._operators[dtype].arranged()
        return self._operators[dtype]

    def to(self, device: torch.device | str) -> BipartiteGraph:
        """Return the graph with products on `device` (itself where it is there already)."""
        if self.device == torch.device(device):
            return self
        return BipartiteGraph(self.num_users, self.num_items, self.segments, device, self.clock, self.decay)

    @property
    def nbytes(self) -> int:
        """Bytes that must be kept to extend this graph: 8 for each edge, 28 where it carries value, time and number."""
        return (8 if self.clock is None else 8 + BYTES) * self.num_edges

    # What edges carry ---------------------------------------------------------------------------------------------

    def tracked(self) -> BipartiteGraph:
        """Return this graph, which has no edge yet, made to keep the value, time and number of each edge's newest event.

        Raises:
            GnnrecError: it has edges, of which these are not known.
        """
        if self.clock is not None:
            return self
        if self.segments:
            raise GnnrecError(
                f"edges carry values and times from the first on or not at all: this graph has {self.num_edges} without"
            )
        return BipartiteGraph(self.num_users, self.num_items, (), self.device, Clock(), self.decay)

    def decayed(self, decay: Decay) -> BipartiteGraph:
        """Return this graph, which must be `tracked`, with edges that weigh less the older they are."""
        clock, _ = self._carried
        return BipartiteGraph(self.num_users, self.num_items, self.segments, self.device, clock, decay)

    def begun(self) -> BipartiteGraph:
        """Return this graph, which must be `tracked`, at the start of the next increment."""
        clock, _ = self._carried
        return self._with(self.segments, clock=clock.begun())

    def younger(self, age: float, unit: Unit) -> BipartiteGraph:
        """Return this graph, which must be `tracked`, without its edges of this age or more."""
        clock, columns = self._carried
        old = [s.keys[of >= age] for s, of in zip(self._left, clock.ages(columns, unit), strict=True)]
        return self._without(np.sort(np.concatenate(old))) if old else self

    def values(self) -> NDArray[np.float32]:
        """Return the value of each edge's newest event, [e], in the order of `edges`; the graph must be `tracked`."""
        return self._ordered([c.value for c in self._carried[1]], np.float32)

    def times(self) -> Floats:
        """Return the time of each edge's newest event in seconds, [e], in the order of `edges`; it must be `tracked`."""
        return self._ordered([c.time for c in self._carried[1]], np.float64)

    def weights(self) -> Floats:
        """Return what each edge weighs in products before they are normalised, [e], in the order of `edges`."""
        if self.decay is None:
            return np.ones(self.num_edges)
        return self._ordered(self._weights(self.decay), np.float64)

    def _weights(self, decay: Decay) -> list[Floats]:
        clock, columns = self._carried
        return [decay.weights(age) for age in clock.ages(columns, decay.unit)]

    def _ordered(self, parts: list[NDArray[Any]], dtype: type) -> NDArray[Any]:
        return np.concatenate([*parts, np.empty(0, dtype)])[np.argsort(self._keys())]

    @property
    def _carried(self) -> tuple[Clock, list[EdgeColumns]]:
        """What has been counted, and the columns of each segment."""
        if self.clock is None:
            raise GnnrecError("edges of this graph carry no values and times; set graph.values=true")
        return self.clock, [s.columns for s in self._left if s.columns is not None]


def _merged(segments: tuple[EdgePart, ...]) -> tuple[EdgePart, ...]:
    """Merge from the newest back while neighbours are of similar size: amortised O(log e) moves per edge."""
    while len(segments) > 1 and segments[-2].num_edges < MERGE_RATIO * segments[-1].num_edges:
        segments = (*segments[:-2], segments[-2].left.union(segments[-1].left))
    return segments


def _settled(segments: tuple[EdgePart, ...]) -> tuple[EdgePart, ...]:
    """Merge as `_merged` wherever removals have left neighbours of similar size."""
    settled: tuple[EdgePart, ...] = ()
    for segment in segments:
        settled = _merged((*settled, segment))
    return settled
