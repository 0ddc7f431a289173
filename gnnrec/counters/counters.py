"""What a model has absorbed, as counts: popularity, decayed popularity, co-occurrence. What was absorbed can be taken out."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gnnrec.counters.itemknn import ItemKNN
from gnnrec.counters.log import EventLog
from gnnrec.counters.past import PastPopularity, past_popularity
from gnnrec.counters.popularity import Popularity
from gnnrec.data.types import Floats, Interactions, Ints


class CompanionScores(Protocol):
    """What a blend reads of its companion."""

    def known_scores(self, user: Ints) -> NDArray[np.float32]:
        """Return [n, i]; users without events score 0 everywhere."""
        ...


class Companion(CompanionScores, Protocol):
    """What a blend sets beside a model: scores of what users share items with, that need no training."""

    def absorb(self, events: Interactions, num_users: int, num_items: int) -> None:
        """Add events, oldest first, with the numbered nodes afterwards."""
        ...

    def retract(self, events: Interactions) -> object:
        """Take out events, as if they never had been absorbed."""
        ...

    def settle(self) -> None:
        """Do what was put off, so that the next scores cost no more than scores."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes that must be kept for the next update."""
        ...


class Counters:
    """Counts that need no training; every row of a table holds its own, so a stale row's stay stale.

    Args:
        half_lives: half-lives of decayed popularity, in absorbed events.
        companion: without events, of which a copy is taken; ItemKNN where None.

    Attributes:
        log: what has been absorbed, by reference.
    """

    def __init__(self, half_lives: Sequence[float] = (1000.0, 3000.0), companion: Companion | None = None) -> None:
        self.popularity = Popularity(half_lives)
        self.companion: Companion = ItemKNN() if companion is None else copy.deepcopy(companion)
        self.log = EventLog()
        self.num_users = self.num_items = 0

    def absorb(self, events: Interactions, num_users: int, num_items: int) -> None:
        """Add events, oldest first, with the numbered nodes afterwards."""
        self.popularity.absorb(events, num_items)
        self.companion.absorb(events, num_users, num_items)
        self.log.add(events)
        self.num_users, self.num_items = num_users, num_items

    def retract(self, events: Interactions) -> Interactions:
        """Take out events, and return those of them that had been absorbed: all is then as if they never had been.

        An event is known by all its columns. Nodes keep their numbers.
        """
        gone = self.log.remove(events)
        if len(gone):
            self.popularity.retract(gone, self.log)
            self.companion.retract(gone)
        return gone

    def orphaned(self, events: Interactions) -> Interactions:
        """Return those of the events whose pair has no event here: what a graph of pairs is to lose once they are retracted."""
        return events.take(self.log.lacks(events))

    def past(self, half_life: float, times: Floats) -> PastPopularity | None:
        """Return decayed popularity as it stood at these times; None where they tell too little."""
        return past_popularity(list(self.log), half_life, times, self.num_items)

    @property
    def nbytes(self) -> int:
        """Bytes that must be kept for the next update; the log, from which events are retracted and past counts read, is the
        stream's own.
        """
        return self.popularity.nbytes + self.companion.nbytes
