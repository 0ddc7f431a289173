"""What has been absorbed, by reference to the arrays it came in: which events are there to be retracted, and their order.

Letters: n events.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gnnrec.data.matching import matched
from gnnrec.data.types import Interactions
from gnnrec.graph.keys import edge_key


class EventLog:
    """Absorbed events, the oldest first. Arrays are shared, never written."""

    def __init__(self, parts: tuple[Interactions, ...] = ()) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[Interactions]:
        return iter(self._parts)

    def __deepcopy__(self, memo: dict[int, object]) -> EventLog:
        return EventLog(self._parts)

    def add(self, events: Interactions) -> None:
        """Put events behind the others."""
        if len(events):
            self._parts = (*self._parts, events)

    def remove(self, events: Interactions) -> Interactions:
        """Take out what equals these events in every column, of equal ones as many as are given, the newest; return it.

        Events that are not there are passed over: a deletion may name what was held out and never absorbed.
        """
        # Pairs are few beside the log: only events of theirs are compared column by column.
        asked = np.unique(edge_key(events.user, events.item))
        places = [np.flatnonzero(np.isin(edge_key(p.user, p.item), asked)) for p in self._parts]
        found = Interactions.concat([p.take(at) for p, at in zip(self._parts, places, strict=True)])
        gone = matched(found.columns, events.columns)
        borders = np.cumsum([0, *map(len, places)])
        kept = []
        for n, (part, at) in enumerate(zip(self._parts, places, strict=True)):
            out = at[gone[borders[n] : borders[n + 1]]]
            kept.append(part.take(np.delete(np.arange(len(part)), out)) if len(out) else part)
        self._parts = tuple(p for p in kept if len(p))
        return found.take(gone)

    def lacks(self, events: Interactions) -> NDArray[np.bool_]:
        """Return which of the events are of a pair without an event here, [n]."""
        asked = edge_key(events.user, events.item)
        kept = [key[np.isin(key, asked)] for key in (edge_key(p.user, p.item) for p in self._parts)]
        result: NDArray[np.bool_] = np.isin(asked, np.concatenate([asked[:0], *kept]), invert=True)
        return result
