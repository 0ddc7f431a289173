"""What every strategy is: how a learner absorbs an increment."""

from __future__ import annotations

from torch import Tensor

from gnnrec.data.types import Interactions, Observed
from gnnrec.encoders.tables import Embedded
from gnnrec.learner import Learner
from gnnrec.objectives.base import Batch
from gnnrec.training.module import Penalty

State = dict[str, Tensor]


class Strategy:
    """Fine-tuning, with four places to differ from it. One whose procedure is not "one fit" overrides `update`.

    A strategy sees `Observed` and nothing else of an increment. Its state is what it must store between increments.

    Args:
        seed: of the strategy's own random choices.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def begin(self, learner: Learner, base: Observed) -> None:
        """Take note of the base, on which the learner has been trained already."""
        self.consolidate(learner, base)

    def update(self, learner: Learner, new: Observed) -> None:
        """Make the learner absorb an increment: extend, fit on train, select on valid, absorb valid."""
        learner.extend(new)
        self.prepare(learner, new)
        learner.fit(self.data(new.train, new), penalty=self.bound_penalty(learner))
        learner.absorb(new)
        self.consolidate(learner, new)

    def prepare(self, learner: Learner, new: Observed) -> None:
        """Reset, expand or freeze before the fit."""

    def data(self, events: Interactions, new: Observed) -> Interactions:
        """Return the events to fit on, given the increment's own."""
        return events

    def penalty(self, learner: Learner, z: Embedded, batch: Batch) -> Tensor | float:
        """Return what is added to the loss of a batch."""
        return 0.0

    def consolidate(self, learner: Learner, new: Observed) -> None:
        """Store what the next update needs: buffer, importances, teacher."""

    def state_dict(self) -> State:
        """Return what must be stored between increments."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Become the strategy whose `state_dict` this is."""

    def bound_penalty(self, learner: Learner) -> Penalty:
        """Return the penalty as a function of embeddings and batch."""
        return lambda z, batch: self.penalty(learner, z, batch)

    @property
    def bytes_kept(self) -> int:
        """Bytes of the state."""
        return sum(x.nbytes for x in self.state_dict().values())
