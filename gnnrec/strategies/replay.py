"""Replay: the increment's events together with a sample of stored older ones."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gnnrec.core.errors import GnnrecError
from gnnrec.core.seeds import derive, generator
from gnnrec.data.types import Floats, Interactions, Ints, Observed
from gnnrec.learner import Learner
from gnnrec.strategies.base import Strategy, StrategyState
from gnnrec.strategies.history import from_state, to_state
from gnnrec.strategies.policies import ReplayPolicy


class Keeping(Protocol):
    """Which of the events seen so far are stored.

    Attributes:
        below: what has been turned away had this priority or a higher one; a number that is saved with the store.
    """

    below: float

    def add(self, stored: Interactions, events: Interactions, seed: int) -> Interactions:
        """Return the store after `events`, in the order of arrival."""
        ...


class AllEvents:
    """Keep every event; the sample is uniform over all history."""

    def __init__(self) -> None:
        self.below = 1.0

    def add(self, stored: Interactions, events: Interactions, seed: int) -> Interactions:
        """Return the store with the events behind it."""
        return Interactions.concat([stored, events])


class Reservoir:
    """Keep a uniform sample of at most `size` events: those of the lowest priority, a hash of the event.

    "Bottom-k" sampling (Cohen & Kaplan, PODC 2007). Every event that is left has had the same chance, after others have been
    taken back too, which is what it has over a reservoir whose places are drawn (Vitter 1985): what was turned away stays so,
    and until more has come the store is smaller than `size`. Events of one pair and time share their fate.

    Args:
        size: stored events.
    """

    def __init__(self, size: int = 20_000) -> None:
        if size < 1:
            raise GnnrecError(f"strategy.store.size must be at least 1 event, got {size}")
        self.size, self.below = size, 1.0

    def add(self, stored: Interactions, events: Interactions, seed: int) -> Interactions:
        """Return the reservoir after `events`."""
        pool = Interactions.concat([stored, events])
        priority = _priority(pool, seed)
        if (priority < self.below).sum() > self.size:
            self.below = float(np.partition(priority, self.size)[self.size])
        return pool.take(np.flatnonzero(priority < self.below))


def _priority(events: Interactions, seed: int) -> Floats:
    """Return a number between 0 and 1 for each event, [n], the same whenever it is asked for."""
    found = np.full(len(events), derive(seed, "store"), np.uint64)
    for column in (events.user, events.item, events.time):
        found = _scattered(found + np.ascontiguousarray(column).view(np.uint64))
    return np.asarray((found >> np.uint64(11)) * 2.0**-53)


def _scattered(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return a one-to-one image of 64 bits in which each depends on all: SplitMix64 (Steele et al., OOPSLA 2014)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


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
        self.stored = Interactions.empty()
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
        if self._cleared != new.index:  # another strategy has made this update
            self._clear(new)
        self.stored = self.store.add(self.stored, new.train, self.seed)

    def state(self) -> StrategyState:
        """Return the stored events, and which were turned away."""
        return {**to_state(self.stored), "below": self.store.below}

    def restore(self, state: StrategyState) -> None:
        """Take up the store."""
        self.stored, self.store.below = from_state(state), float(state["below"])
