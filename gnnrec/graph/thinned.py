"""A segment from which edges have been removed: what is left is told apart by a list of what is not (tombstones)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnrec.graph.keys import EdgeKeys
from gnnrec.graph.segment import Segment

CROWDED = 4
"""A segment is written anew when one in so many of its edges is removed: a removal costs a constant number of moves."""


class Thinned:
    """Some edges of a segment. The segment stays as it is for the graphs that share it, and keeps its filter and search.

    Args:
        whole: the segment.
        dead: ascending, distinct keys of the edges that are removed, not all of them.
    """

    def __init__(self, whole: Segment, dead: EdgeKeys) -> None:
        self.whole, self.dead = whole, dead
        self._left: Segment | None = None

    @property
    def num_edges(self) -> int:
        """Number of undirected edges that are left."""
        return self.whole.num_edges - len(self.dead)

    @property
    def left(self) -> Segment:
        """What is left as a segment, made when an index or the keys themselves are asked for."""
        if self._left is None:
            self._left = self.whole.without(self.dead)
        return self._left

    def has(self, keys: EdgeKeys) -> NDArray[np.bool_]:
        """Return which of `keys` are edges here, [n]."""
        return self._not_dead(keys, self.whole.has(keys))

    def has_ascending(self, keys: EdgeKeys) -> NDArray[np.bool_]:
        """Return the same as `has` for ascending keys, in less time where they are many."""
        return self._not_dead(keys, self.whole.has_ascending(keys))

    def _not_dead(self, keys: EdgeKeys, found: NDArray[np.bool_]) -> NDArray[np.bool_]:
        asked = keys[found]
        found[found] = self.dead.take(np.searchsorted(self.dead, asked), mode="clip") != asked
        return found


EdgePart = Segment | Thinned


def thinned(part: EdgePart, keys: EdgeKeys) -> EdgePart | None:
    """Return the part without those of `keys`, ascending and distinct, that are edges there; None: no edge is left."""
    keys = keys[part.has_ascending(keys)]
    if not len(keys):
        return part
    if isinstance(part, Thinned):
        # Marks lie on the segment itself: a chain of them would be searched link by link.
        whole, dead = part.whole, np.concatenate([part.dead, keys])
        dead.sort(kind="stable")
    else:
        whole, dead = part, keys
    if len(dead) == whole.num_edges:
        return None
    found = Thinned(whole, dead)
    return found.left if CROWDED * len(dead) >= whole.num_edges else found
