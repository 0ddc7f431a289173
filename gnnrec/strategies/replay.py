"""Replay: the increment's events together with a sample of stored older ones."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from gnnrec.core.errors import GnnrecError
from gnnrec.core.seeds import generator
from gnnrec.data.types import Floats, Interactions, Ints, Observed
from gnnrec.learner import Learner
from gnnrec.strategies.base import Strategy, StrategyState
from gnnrec.strategies.history import from_state, to_state
from gnnrec.strategies.policies import ReplayPolicy


class Keeping(Protocol):
    """Which of the events seen so far are stored."""

    def add(self, stored: Interactions, events: Interactions, seen: int, rng: np.random.Generator) -> Interactions:
        """Return the store after `events`, of which `seen` others came before."""
        ...


class AllEvents:
    """Keep every event; the sample is uniform over all history."""

    def add(self, stored: Interactions, events: Interactions, seen: int, rng: np.random.Generator) -> Interactions:
        """Return the store with the events behind it."""
        return Interactions.concat([stored, events])


class Reservoir:
    """Keep a uniform sample of at most `size` events (Vitter 1985, algorithm R: the n-th is kept with probability M/n).

    Once events have been taken back it is not uniform any more: their places go to the events that come next, whatever there
    was before them.

    Args:
        size: M, stored events.
    """

    def __init__(self, size: int = 20_000) -> None:
        if size < 1:
            raise GnnrecError(f"strategy.store.size must be at least 1 event, got {size}")
        self.size = size

    def add(self, stored: Interactions, events: Interactions, seen: int, rng: np.random.Generator) -> Interactions:
        """Return the reservoir after `events`."""
        pool = Interactions.concat([stored, events])
        slot = np.arange(len(stored))
        room = min(self.size - len(stored), len(events))
        slot = np.concatenate([slot, len(stored) + np.arange(room)])
        place = rng.integers(
            0, seen + np.arange(room, len(events)) + 1
        )  # of the n-th event among n that came before it
        kept = np.flatnonzero(place < self.size)
        slot[place[kept]] = len(stored) + room + kept  # of several in one slot the last stays, as one after the other
        return pool.take(slot)


class Replay(Strategy):
    """Fine-tune on the increment's events and `budget` stored ones, drawn without replacement.

    Every new event is kept ("sample then union"); replayed events weigh as much as new ones. With budget 0 this is
    fine-tuning, with everything stored and replayed it is warm retraining.

    Args:
        budget: events replayed per update.
        store: which events are stored: `AllEvents` or `Reservoir`.
        policy: how likely each of them is drawn (gnnrec.strategies.policies); None: all alike.
        seed: of store and sample.
    """

    def __init__(
        self, budget: int = 5000, store: Keeping | None = None, policy: ReplayPolicy | None = None, seed: int = 0
    ) -> None:
        super().__init__(seed)
        if budget < 0:
            raise GnnrecError(f"strategy.budget must be 0 or more events, got {budget}")
        self.budget, self.store, self.policy = budget, store or AllEvents(), policy
        self.stored, self.seen = Interactions.empty(), 0
        self._weight: Floats | None = None
        self._cleared = -1

    def remember(self, learner: Learner, new: Observed) -> None:
        """Let the policy see what has served."""
        if self.policy is not None:
            self.policy.remember(learner)

    def prepare(self, learner: Learner, new: Observed) -> None:
        """Weigh the stored events as the policy does."""
        self._clear(new)
        self._weight = None if self.policy is None else self.policy.weights(self.stored, learner)

    def _clear(self, new: Observed) -> None:
        """Let go of what is taken back, once: an event that is there twice and taken back once stays once."""
        self.stored, self._cleared = self.stored.without(new.removed), new.index

    def data(self, events: Interactions, new: Observed) -> Interactions:
        """Return the sample, oldest first, with the increment's events behind it."""
        rng = generator(self.seed, new.index, "replay")
        return Interactions.concat([self.stored.take(np.sort(self._drawn(rng))), events])

    def _drawn(self, rng: np.random.Generator) -> Ints:
        size, weight = min(self.budget, len(self.stored)), self._weight
        if not size:
            return np.empty(0, np.int64)
        if weight is None:
            return rng.choice(len(self.stored), size, replace=False)
        # The first to ring of clocks with these rates: drawing one after the other in proportion to what is left.
        rings = np.where(weight > 0, rng.exponential(size=len(weight)) / np.where(weight > 0, weight, 1.0), np.inf)
        size = min(size, int((weight > 0).sum()))
        return np.argpartition(rings, size - 1)[:size] if size else np.empty(0, np.int64)

    def consolidate(self, learner: Learner, new: Observed) -> None:
        """Offer the increment's events to the store."""
        rng = generator(self.seed, new.index, "store")
        if self._cleared != new.index:  # another strategy has made this update
            self._clear(new)
        self.stored = self.store.add(self.stored, new.train, self.seen, rng)
        self.seen += len(new.train)

    def state(self) -> StrategyState:
        """Return the stored events and how many have been seen."""
        return {**to_state(self.stored), "seen": self.seen}

    def restore(self, state: StrategyState) -> None:
        """Take up the store."""
        self.stored, self.seen = from_state(state), int(state["seen"])
