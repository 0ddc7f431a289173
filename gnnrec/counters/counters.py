"""What a model has absorbed, as counts: popularity, decayed popularity, co-occurrence. What was absorbed can be taken out."""

from __future__ import annotations

from collections.abc import Sequence

from gnnrec.counters.itemknn import ItemKNN
from gnnrec.counters.log import EventLog
from gnnrec.counters.popularity import Popularity
from gnnrec.data.types import Interactions


class Counters:
    """Counts that need no training; every row of a table holds its own, so a stale row's stay stale.

    Args:
        half_lives: half-lives of decayed popularity, in absorbed events.
    """

    def __init__(self, half_lives: Sequence[float] = (1000.0, 3000.0)) -> None:
        self.popularity = Popularity(half_lives)
        self.itemknn = ItemKNN()
        self._log = EventLog()
        self.num_users = self.num_items = 0

    def absorb(self, events: Interactions, num_users: int, num_items: int) -> None:
        """Add events, oldest first, with the numbered nodes afterwards."""
        self.popularity.absorb(events, num_items)
        self.itemknn.absorb(events, num_users, num_items)
        self._log.add(events)
        self.num_users, self.num_items = num_users, num_items

    def retract(self, events: Interactions) -> Interactions:
        """Take out events, and return those of them that had been absorbed: all is then as if they never had been.

        An event is known by all its columns. Nodes keep their numbers.
        """
        gone = self._log.remove(events)
        if len(gone):
            self.popularity.retract(gone, self._log)
            self.itemknn.retract(gone)
        return gone

    def orphaned(self, events: Interactions) -> Interactions:
        """Return those of the events whose pair has no event here: what a graph of pairs is to lose once they are retracted."""
        return events.take(self._log.lacks(events))

    @property
    def nbytes(self) -> int:
        """Bytes that must be kept for the next update; the log, by which events are retracted, is the stream's own."""
        return self.popularity.nbytes + self.itemknn.nbytes
