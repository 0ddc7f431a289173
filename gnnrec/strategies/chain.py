"""Several strategies as one: what each adds to a fit, together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Interactions, Observed
from gnnrec.learner import Learner
from gnnrec.objectives.base import Batch
from gnnrec.scorers.model import Scorer
from gnnrec.strategies.base import Strategy, StrategyState
from gnnrec.training.step import Step


class Chain(Strategy):
    """Parts one after the other: events are piped through `data`, penalties summed, everything else done by each in turn.

    A chain of one part is that part, to the byte.

    Args:
        parts: strategies by name; the names are those of their states.
        seed: of nothing; the parts have their own.

    Raises:
        GnnrecError: no part; a part that is a procedure of its own and not one fit, or that reads out in a way of its own; two
            that serve by scorers of their own, or that want fits by different schedules or numbers of epochs.
    """

    def __init__(self, parts: Mapping[str, Strategy], seed: int = 0) -> None:
        super().__init__(seed)
        if not parts:
            raise GnnrecError("a chain needs at least one part; name strategies below strategy.parts")
        for name, part in parts.items():
            if type(part).update is not Strategy.update or part.reads_itself or not part.combines:
                does = "reads out" if part.reads_itself else "updates"
                raise GnnrecError(
                    f"strategy.parts.{name} ({type(part).__name__}) {does} in a way of its own and cannot be part of a chain"
                )
        self.parts = dict(parts)
        self._serves = self._one("scorer", [p for p in parts.values() if p.serves_itself])
        self.schedule = self._agreed("schedule", Strategy.schedule)
        self.epochs = self._agreed("epochs", None)

    @staticmethod
    def _one(what: str, found: list[Strategy]) -> Strategy | None:
        if len(found) > 1:
            raise GnnrecError(f"{' and '.join(type(p).__name__ for p in found)} each have a {what}; a chain has one")
        return found[0] if found else None

    def _agreed(self, name: str, usual: Any) -> Any:
        wanted = {value for p in self.parts.values() if (value := getattr(p, name)) != usual}
        if len(wanted) > 1:
            raise GnnrecError(
                f"the parts of a chain want fits of different {name}: {', '.join(map(str, sorted(wanted)))}"
            )
        return next(iter(wanted), usual)

    def begin(self, learner: Learner, base: Observed) -> None:
        """Let each take note of the base."""
        for part in self.parts.values():
            part.begin(learner, base)

    def remember(self, learner: Learner, new: Observed) -> None:
        """Let each see what has served."""
        for part in self.parts.values():
            part.remember(learner, new)

    def prepare(self, learner: Learner, new: Observed) -> None:
        """Let each prepare the fit, whoever starts again first: what others take note of must be what is fitted."""
        for part in sorted(self.parts.values(), key=lambda p: p.schedule == Strategy.schedule):
            part.prepare(learner, new)

    def data(self, events: Interactions, new: Observed) -> Interactions:
        """Return what the last one returns, given what the one before it does."""
        for part in self.parts.values():
            events = part.data(events, new)
        return events

    def penalty(self, step: Step) -> Tensor | float:
        """Return the sum."""
        return sum((part.penalty(step) for part in self.parts.values()), start=0.0)

    def nodes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return all users and items that a penalty reads."""
        users, items = zip(*(part.nodes(batch) for part in self.parts.values()), strict=True)
        return torch.cat(users), torch.cat(items)

    def modules(self) -> nn.Module | None:
        """Return the modules of all, by the parts' names."""
        found = {name: own for name, part in self.parts.items() if (own := part.modules()) is not None}
        return nn.ModuleDict(found) if found else None

    def scorer(self, learner: Learner) -> Scorer:
        """Return what serves: that of the one part that has its own, or the model."""
        return learner.scorer() if self._serves is None else self._serves.scorer(learner)

    @property
    def serves_itself(self) -> bool:
        """Whether one of them does."""
        return self._serves is not None

    def finish(self, learner: Learner, new: Observed) -> None:
        """Let each change what was fitted."""
        for part in self.parts.values():
            part.finish(learner, new)

    def consolidate(self, learner: Learner, new: Observed) -> None:
        """Let each store what it needs."""
        for part in self.parts.values():
            part.consolidate(learner, new)

    @property
    def counted_bytes(self) -> int:
        """Return the sum."""
        return sum(part.counted_bytes for part in self.parts.values())

    def state(self) -> StrategyState:
        """Return the states of all, their names behind the parts'."""
        return {f"{name}.{key}": x for name, part in self.parts.items() for key, x in part.state().items()}

    def restore(self, state: StrategyState) -> None:
        """Give each its own."""
        for name, part in self.parts.items():
            own = {k.removeprefix(f"{name}."): x for k, x in state.items() if k.startswith(f"{name}.")}
            part.restore(own)
