"""What edges may carry beside their ends, and how old they are; kept only where somebody asks for it.

Letters: n events, e edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Floats, Interactions, Ints
from gnnrec.graph.keys import EdgeKeys, edge_key

Unit = Literal["increments", "events", "seconds"]
BYTES = 20
"""Of the columns of an edge."""
OLDEST = 1000.0
"""Half-lives beyond which an edge weighs no less: 2^-1000 is a number, of the sums of such weights too, 2^-1100 is none."""


@dataclass(frozen=True, slots=True)
class EdgeColumns:
    """Of the newest event of each edge.

    Attributes:
        value: [e] as single-precision numbers.
        time: [e] in seconds.
        event: [e] its number among all events that the graph was given.
    """

    value: NDArray[np.float32]
    time: Floats
    event: Ints

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> EdgeColumns:
        """Return those of the edges at `index`."""
        return EdgeColumns(*(getattr(self, f.name)[index] for f in fields(EdgeColumns)))

    @staticmethod
    def concat(parts: Sequence[EdgeColumns]) -> EdgeColumns:
        """Return the columns of all parts, in the order given."""
        return EdgeColumns(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(EdgeColumns)))


def newest(events: Interactions, first: int) -> tuple[EdgeKeys, EdgeColumns]:
    """Return the distinct pairs of events numbered from `first` on, in order, with the columns of their last events."""
    keys = edge_key(events.user, events.item)
    order = np.argsort(keys, kind="stable")
    last = np.ones(len(keys), bool)
    np.not_equal(keys[order[1:]], keys[order[:-1]], out=last[:-1])
    at = order[last]
    return keys[at], EdgeColumns(events.value[at].astype(np.float32), events.time[at], first + at)


@dataclass(frozen=True, slots=True)
class Clock:
    """What the ages of edges are measured by.

    Attributes:
        events: number of events that the graph was given.
        starts: what that number was when each increment began, the base first.
    """

    events: int = 0
    starts: tuple[int, ...] = ()

    def begun(self) -> Clock:
        """Return the clock at the start of the next increment."""
        return replace(self, starts=(*self.starts, self.events))

    def ages(self, parts: Sequence[EdgeColumns], unit: Unit) -> list[Floats]:
        """Return how old each edge is, per part [e]: 0 for the newest event, in the present increment, at the newest time."""
        if unit == "seconds":
            latest = max((float(p.time.max()) for p in parts), default=0.0)
            return [latest - p.time for p in parts]
        if unit == "events":
            return [(self.events - 1 - p.event).astype(np.float64) for p in parts]
        starts = np.array(self.starts, np.int64)
        return [len(starts) - np.searchsorted(starts, p.event, side="right").astype(np.float64) for p in parts]


@dataclass(frozen=True, slots=True)
class Decay:
    """Edges weigh 2^(−age / half_life).

    Attributes:
        half_life: in `unit`; infinite: all weigh the same.
        unit: of age.
    """

    half_life: float
    unit: Unit

    def weights(self, age: Floats) -> Floats:
        """Return the weights of edges of this age, [e], all above 0."""
        weights: Floats = np.exp2(-np.minimum(age / self.half_life, OLDEST))
        return weights


def checked(name: str, value: float, unit: str) -> None:
    """Refuse a span of time that is not above 0, or is measured in something else than a `Unit`."""
    if not value > 0:
        raise GnnrecError(f"{name} must be above 0 {unit}, got {value}")
    if unit not in get_args(Unit):
        raise GnnrecError(f"graph.unit must be one of {', '.join(get_args(Unit))}, got {unit!r}")
