"""What has been absorbed, by reference to the arrays it came in: which events are there to be retracted, and their order.

Letters: n events, r of them to be removed, c candidates.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

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
        gone = _matched(found, events)
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


def _matched(found: Interactions, events: Interactions) -> NDArray[np.bool_]:
    """Return which of the candidates to take out, [c]: for each of `events` the newest equal one that is not taken yet."""
    rows = np.concatenate([_rows(found), _rows(events)])
    _, kind = np.unique(rows, axis=0, return_inverse=True)
    own, asked = np.split(kind.ravel(), [len(found)])
    wanted = np.bincount(asked, minlength=len(rows))
    # How many equal candidates are newer: order by kind, within it from the newest back.
    order = np.lexsort((-np.arange(len(own)), own))
    sizes = np.bincount(own, minlength=len(rows))
    newer = np.empty(len(own), np.int64)
    newer[order] = np.arange(len(own)) - (np.cumsum(sizes) - sizes)[own[order]]
    result: NDArray[np.bool_] = newer < wanted[own]
    return result


def _rows(events: Interactions) -> NDArray[np.int64]:
    """Return the columns as rows of whole numbers, [n, 4], equal where the events are; NaN equals NaN, 0.0 equals -0.0."""
    real = (np.ascontiguousarray(x + 0.0).view(np.int64) for x in (events.value, events.time))
    return np.stack([events.user, events.item, *real], axis=1)
