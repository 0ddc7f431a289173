"""What every recommender without training keeps: the log by reference, who has events, all-time popularity.

Letters: n events or users asked for, u users, i items.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnrec.counters.log import EventLog
from gnnrec.data.types import Floats, Interactions, Ints
from gnnrec.scorers.model import silent, to_width


class Untrained(ABC):
    """A scorer that absorbs and gives back events; a subclass says what is counted and how it ranks.

    Nothing but hyper-parameters is given to a constructor. Work is put off until somebody asks for scores.

    Attributes:
        num_users, num_items: numbered nodes.
        popularity: events absorbed per item, [i].
        fallback: what ranks for users of whom nothing is known, [i], until something is absorbed or taken out; None: all-time
            popularity.
    """

    def __init__(self) -> None:
        self.num_users = self.num_items = 0
        self.popularity: Floats = np.zeros(0)
        self.fallback: Floats | None = None
        self._events: Floats = np.zeros(0)
        self._log = EventLog()

    def absorb(self, events: Interactions, num_users: int, num_items: int) -> None:
        """Add events, oldest first, with the numbered nodes afterwards."""
        self.num_users, self.num_items, self.fallback = num_users, num_items, None
        self._log.add(events)
        self._count(events, 1)
        self.take_in(events)

    def retract(self, events: Interactions) -> Interactions:
        """Take out events, as if they never had been absorbed, and return those of them that had been."""
        gone = self._log.remove(events)
        if len(gone):
            self.fallback = None
            self._count(gone, -1)
            self.take_out(gone)
        return gone

    def _count(self, events: Interactions, sign: int) -> None:
        self.popularity = _sum(self.popularity, sign * np.bincount(events.item, minlength=self.num_items))
        self._events = _sum(self._events, sign * np.bincount(events.user, minlength=self.num_users))

    @abstractmethod
    def take_in(self, events: Interactions) -> None:
        """Note new events; `num_users` and `num_items` are those afterwards."""

    @abstractmethod
    def take_out(self, events: Interactions) -> None:
        """Note that absorbed events are gone; `self._log` is without them."""

    @abstractmethod
    def rank(self, user: Ints) -> NDArray[np.float32]:
        """Return the scores of users with an absorbed event, [n, num_items]."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes that must be kept for the next update; the log is the stream's own."""

    def cold(self) -> Untrained:
        """Return one without events whose scores depend on what it absorbs alone, not on when it was asked for some.

        What resumes has absorbed everything again, and asked for nothing in between; itself where there is no difference.
        """
        return self

    def settle(self) -> None:
        """Do what was put off, so that the next scores cost no more than scores."""
        if len(first := np.flatnonzero(self._events)[:1]):
            self.rank(first)

    @torch.no_grad()
    def scores(self, user: Ints, num_items: int) -> Tensor:
        """Return [n, num_items]; users without an absorbed event, or none that says anything, get the fall-back."""
        found = torch.from_numpy(self.known_scores(user))
        found[silent(found)] = torch.from_numpy(self.popularity if self.fallback is None else self.fallback).float()
        return to_width(found, num_items)

    def known_scores(self, user: Ints) -> NDArray[np.float32]:
        """Return [n, num_items]; users without an absorbed event score 0 everywhere."""
        known = self._known(user)
        if len(user) and known.all():
            return self.rank(user)
        found = np.zeros((len(user), self.num_items), np.float32)
        if known.any():
            found[known] = self.rank(user[known])
        return found

    def _known(self, user: Ints) -> NDArray[np.bool_]:
        """Return which users have an absorbed event, [n]."""
        known = np.zeros(len(user), bool)
        inside = user < self.num_users
        known[inside] = self._events[user[inside]] > 0
        return known

    def predict(self, user: Ints, item: Ints) -> None:  # noqa: B027
        """Predict nothing."""


def _sum(old: Floats, change: NDArray[np.int64]) -> Floats:
    """Return the sum of counts, the shorter ones padded."""
    grown = change.astype(np.float64)
    grown[: len(old)] += old
    return grown
