"""Full retraining on every event trained on so far, cold or warm."""

from __future__ import annotations

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Interactions, Observed
from gnnrec.learner import Learner
from gnnrec.strategies.base import Strategy, StrategyState
from gnnrec.strategies.history import StoredIncrements


class WarmRetrain(Strategy):
    """Continue from θ_{t−1} on the whole history's training events, or those of the newest increments.

    Args:
        seed: of the strategy's own random choices; it makes none.
        increments: how many increments are fitted on, the present one with them; None: all.
    """

    def __init__(self, seed: int = 0, increments: int | None = None) -> None:
        super().__init__(seed)
        self.increments, self.history = increments, StoredIncrements(increments)

    def data(self, events: Interactions, new: Observed) -> Interactions:
        """Return the history with the increment's events behind it."""
        return Interactions.concat([self.history.without(new.removed, room=1), events])

    def consolidate(self, learner: Learner, new: Observed) -> None:
        """Store the increment's events."""
        self.history.add(new.removed, new.train)

    def state(self) -> StrategyState:
        """Return the history."""
        return self.history.state()

    def restore(self, state: StrategyState) -> None:
        """Take up the history."""
        self.history.restore(state)


class FullRetrain(WarmRetrain):
    """Start again from random rows on the whole history's training events: what the others are compared with.

    A cold start has as far to go as the base had, so it is fitted by the base's schedule.

    The biases, which are counters, start again too, from everything absorbed: valid events of earlier increments with it.

    With `increments` it is retraining on a sliding window: what is older is fitted on no more; its edges stay in the graph, as
    its view says.

    Args:
        seed: of the strategy's own random choices; it makes none.
        epochs: most epochs of a cold start, where it is to have the cap of the updates beside it; None: the base's.
        increments: how many increments are fitted on, the present one with them; None: all.
    """

    schedule = "base"

    def __init__(self, seed: int = 0, epochs: int | None = None, increments: int | None = None) -> None:
        super().__init__(seed, increments)
        if epochs is not None and epochs < 1:
            raise GnnrecError(f"strategy.epochs={epochs} must be 1 or more, or null for as many as the base may take")
        self.epochs = epochs
        self.absorbed = StoredIncrements(increments)

    def prepare(self, learner: Learner, new: Observed) -> None:
        """Forget every weight."""
        learner.reset(Interactions.concat([self.absorbed.without(new.removed, room=1), new.arrived]))

    def consolidate(self, learner: Learner, new: Observed) -> None:
        """Store the increment's events, and what was absorbed of it."""
        super().consolidate(learner, new)
        self.absorbed.add(new.removed, Interactions.concat([new.arrived, new.folded]))

    def state(self) -> StrategyState:
        """Return both histories."""
        return {**super().state(), **{f"absorbed.{n}": x for n, x in self.absorbed.state().items()}}

    def restore(self, state: StrategyState) -> None:
        """Take up both histories."""
        inner = {n.removeprefix("absorbed."): x for n, x in state.items() if n.startswith("absorbed.")}
        super().restore({n: x for n, x in state.items() if not n.startswith("absorbed.")})
        self.absorbed.restore(inner)
