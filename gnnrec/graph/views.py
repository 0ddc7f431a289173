"""Which edges carry messages, chosen apart from which edges are trained on.

A view decides how the message-passing graph of one increment becomes that of the next (METHODS: slot "view").
"""

from __future__ import annotations

from math import inf
from typing import Protocol

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Interactions
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.columns import Decay, Unit, checked


class View(Protocol):
    """What the learner asks of a view. Both return a new graph or the one given; a view itself keeps nothing."""

    def begin(self, graph: BipartiteGraph) -> BipartiteGraph:
        """Return the graph that the next increment extends; before the base, `graph` has no edge."""
        ...

    def extend(self, graph: BipartiteGraph, events: Interactions, num_users: int, num_items: int) -> BipartiteGraph:
        """Return the graph with these events let in, as `BipartiteGraph.extend`."""
        ...


class Accumulated:
    """Messages flow over every edge absorbed so far.

    Args:
        values: whether edges carry the value and time of their newest event, for encoders that read them.
    """

    def __init__(self, values: bool = False) -> None:
        self.values = values

    def begin(self, graph: BipartiteGraph) -> BipartiteGraph:
        """Return the graph itself."""
        return graph.tracked() if self.values else graph

    def extend(self, graph: BipartiteGraph, events: Interactions, num_users: int, num_items: int) -> BipartiteGraph:
        """Return the graph with the new pairs as edges."""
        return graph.extend(events, num_users, num_items)


class NewestOnly:
    """Messages flow over the newest increment's edges only; nodes without one keep their own row.

    Args:
        values: as for `Accumulated`.
    """

    def __init__(self, values: bool = False) -> None:
        self.values = values

    def begin(self, graph: BipartiteGraph) -> BipartiteGraph:
        """Return a graph without edges."""
        empty = BipartiteGraph.empty(graph.num_users, graph.num_items).to(graph.device)
        return empty.tracked() if self.values else empty

    def extend(self, graph: BipartiteGraph, events: Interactions, num_users: int, num_items: int) -> BipartiteGraph:
        """Return the graph with the new pairs as edges."""
        return graph.extend(events, num_users, num_items)


class Window:
    """Messages flow over the pairs with an event of an age below `size`; nodes without one keep their own row.

    The newest event has age 0, and so has the present increment: `size=3` increments are the present one and two before it,
    1000 events the newest thousand. Seconds are counted back from the newest time among the edges.

    Args:
        size: how far back.
        unit: "increments", "events" or "seconds".
    """

    def __init__(self, size: float = 3, unit: Unit = "increments") -> None:
        checked("graph.size", size, unit)
        if unit != "seconds" and not (float(size).is_integer() or size == inf):
            raise GnnrecError(f"graph.size must be a whole number of {unit}, got {size}")
        self.size, self.unit = size, unit

    def begin(self, graph: BipartiteGraph) -> BipartiteGraph:
        """Return the graph without what has become too old."""
        return graph.tracked().begun().younger(self.size, self.unit)

    def extend(self, graph: BipartiteGraph, events: Interactions, num_users: int, num_items: int) -> BipartiteGraph:
        """Return the graph with the events' pairs, without what has become too old."""
        return graph.extend(events, num_users, num_items).younger(self.size, self.unit)


class Decayed:
    """Messages flow over every edge absorbed so far and weigh w = 2^(−age / half_life), by the pair's newest event.

    Â_ui = w_ui / √(d_u d_i) with d_u = Σ_i w_ui: a node with old edges only still hears its neighbours as far as they are
    old too, and a common factor of all weights changes nothing. Beyond 1,000 half-lives an edge grows no lighter.

    Args:
        half_life: in `unit`.
        unit: "increments", "events" or "seconds".
    """

    def __init__(self, half_life: float = 3, unit: Unit = "increments") -> None:
        checked("graph.half_life", half_life, unit)
        self.decay = Decay(half_life, unit)

    def begin(self, graph: BipartiteGraph) -> BipartiteGraph:
        """Return the graph, in which ages are counted on."""
        return graph.tracked().begun().decayed(self.decay)

    def extend(self, graph: BipartiteGraph, events: Interactions, num_users: int, num_items: int) -> BipartiteGraph:
        """Return the graph with the events' pairs, which weigh 1."""
        return graph.extend(events, num_users, num_items)
