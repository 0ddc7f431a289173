"""What a learner has absorbed: which edges carry messages, all pairs, and the counts."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np

from gnnrec.core.errors import GnnrecError
from gnnrec.counters.counters import Companion, Counters
from gnnrec.data.types import Interactions, Observed
from gnnrec.evaluation.world import World
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.views import View


class History:
    """Graphs and counts of every event let in so far.

    Args:
        view: which edges carry messages.
        half_lives: of decayed popularity, in events.
        companion: of the counters.

    Attributes:
        graph: whose edges carry messages; `seen` itself where the view is of all of them.
        own_graph: whether `use` has put another in its place.
        seen: all absorbed pairs, for masks and negatives.
        index: the newest increment, −1 before the base.
    """

    def __init__(self, view: View, half_lives: Sequence[float], companion: Companion | None = None) -> None:
        self.view, self.index = view, -1
        self._make = view, tuple(half_lives), copy.deepcopy(companion)
        self.graph = self.seen = BipartiteGraph.empty()
        self.own_graph = False
        self.counters = Counters(half_lives, companion)

    def open(self, new: Observed) -> Interactions:
        """Begin an increment: what it removes goes first, then its training edges come in; return what has gone.

        Events to be removed that had never been absorbed are passed over.
        """
        self.index = new.index
        gone = self._take_back(new.removed) if len(new.removed) else new.removed
        self.graph = self.view.begin(self.graph)
        users = max(self.seen.num_users, int(new.arrived.user.max(initial=-1)) + 1)
        items = max(self.seen.num_items, int(new.arrived.item.max(initial=-1)) + 1)
        self.let_in(new.arrived, users, items)
        return gone

    def let_in(self, events: Interactions, num_users: int, num_items: int) -> None:
        """Add events, with the numbered nodes afterwards."""
        same = self.graph is self.seen  # as long as both have the same edges, they are one graph, kept once
        self.seen = self.seen.extend(events, num_users, num_items)
        self.graph = self.seen if same else self.view.extend(self.graph, events, num_users, num_items)
        self.counters.absorb(events, num_users, num_items)

    def _take_back(self, removed: Interactions) -> Interactions:
        same = self.graph is self.seen
        gone = self.counters.retract(removed)
        # A pair that came several times stays an edge until the last of its events goes.
        pairs = self.counters.orphaned(gone)
        self.seen = self.seen.without(pairs)
        self.graph = self.seen if same else self.graph.without(pairs)
        return gone

    def use(self, graph: BipartiteGraph) -> None:
        """Pass messages over `graph` from now on; later increments extend it.

        Raises:
            GnnrecError: it has other nodes than those that are numbered.
        """
        if (graph.num_users, graph.num_items) != (self.seen.num_users, self.seen.num_items):
            raise GnnrecError(
                f"use_graph needs {self.seen.num_users} users and {self.seen.num_items} items, "
                f"got {graph.num_users} and {graph.num_items}"
            )
        self.graph, self.own_graph = graph, True

    def world(self) -> World:
        """Return the world that valid events are scored in."""
        users, items = self.seen.num_users, self.seen.num_items
        return World(self.index, users, items, self.seen, self.counters.popularity.total, np.zeros(users, bool))

    def fresh(self) -> History:
        """Return one of the same make that has absorbed nothing."""
        return History(*self._make)

    def fork(self) -> History:
        """Return one that goes on by itself; graphs are never changed, so they are shared."""
        twin = copy.copy(self)
        twin.counters = copy.deepcopy(self.counters)
        return twin
