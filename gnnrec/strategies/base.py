"""What every strategy is: how a learner absorbs an increment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Interactions, Observed
from gnnrec.encoders.base import Encoder
from gnnrec.encoders.tables import load_resized
from gnnrec.learner import Learner
from gnnrec.objectives.base import Batch
from gnnrec.scorers.model import Scorer
from gnnrec.training.step import Step, no_nodes

StrategyState = dict[str, Any]
"""Tensors, and what JSON holds: numbers, texts, lists, mappings."""

_MODULES = "modules."


class Strategy:
    """Fine-tuning, with places to differ from it. One whose procedure is not "one fit" overrides `update`.

    A strategy sees `Observed` and nothing else of an increment. Its state is what it must store between increments.

    Args:
        seed: of the strategy's own random choices.

    Attributes:
        schedule: "update", or "base" where every fit is a cold start: it is then fitted as the base was.
        epochs: most epochs of a fit; None: as the fit settings say.
        combines: whether it may be a part of a chain and a candidate of `select`: False where it must see every increment, or
            where the models of two updates have not the same columns.
    """

    schedule = "update"
    combines = True
    epochs: int | None = None

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def begin(self, learner: Learner, base: Observed) -> None:
        """Take note of the base, on which the learner has been trained already."""
        self.consolidate(learner, base)

    def update(self, learner: Learner, new: Observed) -> None:
        """Make the learner absorb an increment: extend, fit on train, select on valid, absorb valid."""
        self.remember(learner, new)
        learner.extend(new)
        self.prepare(learner, new)
        events = self.data(new.train, new)
        learner.fit(events, self.penalty, self.epochs, self.schedule, self.nodes, self.modules())
        self.finish(learner, new)
        learner.absorb(new)
        self.consolidate(learner, new)

    def remember(self, learner: Learner, new: Observed) -> None:
        """Take note of what has served until now, before anything of the increment is let in: a teacher, its graph."""

    def prepare(self, learner: Learner, new: Observed) -> None:
        """Reset, expand or freeze before the fit."""

    def data(self, events: Interactions, new: Observed) -> Interactions:
        """Return the events to fit on, given the increment's own."""
        return events

    def penalty(self, step: Step) -> Tensor | float:
        """Return what is added to the loss of a batch."""
        return 0.0

    def nodes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return users and items whose embeddings the penalty reads beside the batch's own: others cost a whole propagation."""
        return no_nodes(batch)

    def modules(self) -> nn.Module | None:
        """Return parameters of the strategy's own: trained with the model, moved with it, saved with the state."""
        return None

    def scorer(self, learner: Learner) -> Scorer:
        """Return what serves, where that is not the model by itself."""
        return learner.scorer()

    @property
    def serves_itself(self) -> bool:
        """Whether it has a scorer of its own."""
        return type(self).scorer is not Strategy.scorer

    def reader(self, learner: Learner) -> Encoder:
        """Return what is fitted and read out, where that is not the encoder by itself: gates before it, another operator.

        It keeps no weights but the encoder's and those of `modules`; as long as nothing has changed it is the same object.
        """
        return learner.encoder

    @property
    def reads_itself(self) -> bool:
        """Whether it has a read-out of its own."""
        return type(self).reader is not Strategy.reader

    def serve(self, learner: Learner) -> None:
        """Make `learner` fit, serve, select and blend by `reader` and `scorer` where this strategy has its own."""
        learner.server = self.scorer if self.serves_itself else None
        learner.adapter = self.reader if self.reads_itself else None

    def finish(self, learner: Learner, new: Observed) -> None:
        """Change what was fitted, by `learner.write`, before the blend is chosen and valid absorbed: means, rotations."""

    def consolidate(self, learner: Learner, new: Observed) -> None:
        """Store what the next update needs: buffer, importances, teacher. What `new.removed` names must go."""

    @property
    def counted_bytes(self) -> int:
        """Bytes beside the state that the next update needs and a resumed run counts again from the log."""
        return 0

    def state(self) -> StrategyState:
        """Return what must be stored between increments, but for `modules`."""
        return {}

    def restore(self, state: StrategyState) -> None:
        """Become the strategy whose `state` this is."""

    def state_dict(self) -> StrategyState:
        """Return everything that is saved: the state, and the weights of `modules`."""
        own = self.modules()
        weights = {} if own is None else {f"{_MODULES}{name}": x for name, x in own.state_dict().items()}
        return {**self.state(), **weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Become the strategy whose `state_dict` this is.

        Raises:
            GnnrecError: weights of modules were saved, and there are none to take them up after `restore`.
        """
        weights = {n.removeprefix(_MODULES): x for n, x in state.items() if n.startswith(_MODULES)}
        self.restore({n: x for n, x in state.items() if not n.startswith(_MODULES)})
        own = self.modules()
        if own is None and weights:
            raise GnnrecError(
                f"{type(self).__name__}.modules() is None after restore(), but '{min(weights)}' was saved"
            )
        if own is not None:
            load_resized(own, weights)


def needs_rows(learner: Learner, what: str) -> None:
    """Refuse an encoder whose nodes have no rows of their own.

    Args:
        learner: has the encoder.
        what: what is done with rows, such as "pull holds rows".

    Raises:
        GnnrecError: it keeps none.
    """
    if not learner.encoder.keeps_rows:
        raise GnnrecError(
            f"strategy {what}, and {type(learner.encoder).__name__} keeps none; take an encoder such as lightgcn or mf, or a "
            "strategy on embeddings such as graph_sail"
        )
