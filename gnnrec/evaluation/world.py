"""The world at t: what the stream has absorbed up to an increment, one and the same for every row of a table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnnrec.counters.log import EventLog
from gnnrec.data.types import Floats, Ints, Observed, Stream
from gnnrec.graph.bipartite import BipartiteGraph


@dataclass(frozen=True, slots=True)
class World:
    """Known nodes, masks and popularity after increment `index`.

    Attributes:
        num_users, num_items: known nodes.
        seen: absorbed pairs; a user's are masked.
        popularity: [i] absorbed events per item.
        recent: [u] whether the user has an absorbed event in this increment.
        ever: pairs absorbed so far, those that were taken back since with them; None: none was, `seen` has them all.
        old_items: items known before this increment, which the numbers from there on are new with; None: it is the base.
    """

    index: int
    num_users: int
    num_items: int
    seen: BipartiteGraph
    popularity: Floats
    recent: NDArray[np.bool_]
    ever: BipartiteGraph | None = None
    old_items: int | None = None

    def thirds(self) -> Ints:
        """Return 0 (head), 1 (middle) or 2 (tail) per item by absorbed popularity, [i]; equal counts by number."""
        rank = np.empty(self.num_items, np.int64)
        rank[np.argsort(-self.popularity, kind="stable")] = np.arange(self.num_items)
        return rank * 3 // max(self.num_items, 1)


def worlds(stream: Stream) -> list[World]:
    """Return the world after each increment; their graphs share segments."""
    result: list[World] = []
    seen = ever = BipartiteGraph.empty()
    popularity, log = np.zeros(0), EventLog()
    for increment in stream.increments:
        new = increment.observed
        # What is taken back counts no more, and a pair without an event is no pair any more; its nodes keep their numbers.
        if len(new.removed):
            gone = log.remove(new.removed)
            popularity = popularity - np.bincount(gone.item, minlength=len(popularity))
            seen = seen.without(gone.take(log.lacks(gone)))
        for events in (new.arrived, new.folded):
            log.add(events)
            same = ever is seen
            seen = seen.extend(events, new.num_users, new.num_items)
            ever = seen if same else ever.extend(events, new.num_users, new.num_items)
        popularity = np.pad(popularity, (0, new.num_items - len(popularity))) + sum(
            np.bincount(events.item, minlength=new.num_items) for events in (new.arrived, new.folded)
        )
        taken_back = None if ever is seen else ever
        old = result[-1].num_items if result else None
        result.append(World(new.index, new.num_users, new.num_items, seen, popularity, _recent(new), taken_back, old))
    return result


def _recent(new: Observed) -> NDArray[np.bool_]:
    recent = np.zeros(new.num_users, bool)
    for events in (new.train, new.arrived, new.folded):
        recent[events.user] = True
    return recent
