"""Full retraining on every event trained on so far, cold or warm."""

from __future__ import annotations

from gnnrec.data.types import Interactions, Observed
from gnnrec.learner import Learner
from gnnrec.strategies.base import State, Strategy
from gnnrec.strategies.history import from_state, to_state


class WarmRetrain(Strategy):
    """Continue from θ_{t−1} on the whole history's training events."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.history = Interactions.empty()

    def data(self, events: Interactions, new: Observed) -> Interactions:
        """Return the history with the increment's events behind it."""
        return Interactions.concat([self.history, events])

    def consolidate(self, learner: Learner, new: Observed) -> None:
        """Store the increment's events."""
        self.history = Interactions.concat([self.history, new.train])

    def state_dict(self) -> State:
        """Return the history."""
        return to_state(self.history)

    def load_state_dict(self, state: State) -> None:
        """Take up the history."""
        self.history = from_state(state)


class FullRetrain(WarmRetrain):
    """Start again from random rows on the whole history's training events: what the others are compared with."""

    def prepare(self, learner: Learner, new: Observed) -> None:
        """Forget every weight."""
        learner.reset(self.data(new.train, new))
