"""Full retraining on every event trained on so far, cold or warm."""

from __future__ import annotations

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Interactions, Observed
from gnnrec.learner import Learner
from gnnrec.strategies.base import Strategy, StrategyState
from gnnrec.strategies.history import from_state, to_state


class WarmRetrain(Strategy):
    """Continue from θ_{t−1} on the whole history's training events."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.history = Interactions.empty()

    def data(self, events: Interactions, new: Observed) -> Interactions:
        """Return the history with the increment's events behind it."""
        return Interactions.concat([self.history.without(new.removed), events])

    def consolidate(self, learner: Learner, new: Observed) -> None:
        """Store the increment's events."""
        self.history = Interactions.concat([self.history.without(new.removed), new.train])

    def state(self) -> StrategyState:
        """Return the history."""
        return to_state(self.history)

    def restore(self, state: StrategyState) -> None:
        """Take up the history."""
        self.history = from_state(state)


class FullRetrain(WarmRetrain):
    """Start again from random rows on the whole history's training events: what the others are compared with.

    A cold start has as far to go as the base had, so it is fitted by the base's schedule.

    The biases, which are counters, start again too, from everything absorbed: valid events of earlier increments with it.

    Args:
        seed: of the strategy's own random choices; it makes none.
        epochs: most epochs of a cold start, where it is to have the cap of the updates beside it; None: the base's.
    """

    schedule = "base"

    def __init__(self, seed: int = 0, epochs: int | None = None) -> None:
        super().__init__(seed)
        if epochs is not None and epochs < 1:
            raise GnnrecError(f"strategy.epochs={epochs} must be 1 or more, or null for as many as the base may take")
        self.epochs = epochs
        self.absorbed = Interactions.empty()

    def prepare(self, learner: Learner, new: Observed) -> None:
        """Forget every weight."""
        learner.reset(Interactions.concat([self.absorbed.without(new.removed), new.arrived]))

    def consolidate(self, learner: Learner, new: Observed) -> None:
        """Store the increment's events, and what was absorbed of it."""
        super().consolidate(learner, new)
        kept = self.absorbed.without(new.removed)
        self.absorbed = Interactions.concat([kept, new.arrived, new.folded])

    def state(self) -> StrategyState:
        """Return both histories."""
        return {**super().state(), **{f"absorbed.{n}": x for n, x in to_state(self.absorbed).items()}}

    def restore(self, state: StrategyState) -> None:
        """Take up both histories."""
        super().restore(state)
        inner = {n.removeprefix("absorbed."): x for n, x in state.items() if n.startswith("absorbed.")}
        self.absorbed = from_state(inner)
