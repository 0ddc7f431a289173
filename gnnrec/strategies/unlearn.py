"""Unlearn: what is taken back had never been there, for whatever strategy is inside."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Interactions, Observed
from gnnrec.learner import Learner
from gnnrec.strategies.base import Strategy, StrategyState
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.strategies.history import PARTS, observed_from, observed_state

_INNER, _KEPT, _PAST = "inner|", "kept|", "past|"


@dataclass(frozen=True, slots=True)
class StateAfter:
    """Learner and strategy as they were after an increment."""

    weights: dict[str, Tensor]
    meta: dict[str, Any]
    strategy: StrategyState


class Unlearn(Strategy):
    """Update as `inner` does; an increment that takes events back first goes back to before the oldest of them, and on again.

    What results is, to the byte, what a run that never saw these events would have: its nodes keep their numbers, and a node
    that has lost every event the row it would have begun with. The exact reference that approximate unlearning is compared
    with; what counters hold (`strategy=filter`, ItemKNN, EASE, popularity) is exact without it. Users, items and single events
    are all removed by naming their events. Costs the updates since then, once per increment that takes something back; where
    events of the base go, the base and all of them.

    Args:
        inner: how increments are absorbed; fine-tuning where None.
        every: increments from one saved state to the next, the base's being the first. More states cost more bytes, fewer mean
            more updates to repeat.
        seed: of nothing; `inner` has its own.
    """

    combines = False

    def __init__(self, inner: Strategy | None = None, every: int = 5, seed: int = 0) -> None:
        super().__init__(seed)
        if every < 1:
            raise GnnrecError(f"strategy.every={every} must be 1 increment or more")
        self.inner, self.every = inner or FineTune(), every
        self._cold = copy.deepcopy(self.inner)
        self.past: list[Observed] = []
        self.kept: dict[int, StateAfter] = {}
        self.removes = False
        self._counted_by_log = False

    def begin(self, learner: Learner, base: Observed) -> None:
        """Keep the base and its state."""
        self.inner.begin(learner, base)
        self.past = [base]
        self._keep(learner, 0)

    def update(self, learner: Learner, new: Observed) -> None:
        """Go back where something is taken back; then update."""
        self._recount(learner)
        if touched := [t for t, old in enumerate(self.past) if touches(old, new.removed)]:
            self._again(learner, new.removed, touched[0])
        new = replace(new, removed=Interactions.empty())  # there is nothing left of it to take back
        self.inner.update(learner, new)
        self.past.append(new)
        self._keep(learner, new.index)

    def _keep(self, learner: Learner, t: int) -> None:
        if t % self.every == 0:
            meta = json.loads(json.dumps(learner.meta(), sort_keys=True))  # as it will be read from disk
            # What is inside goes on writing to its weights and lists.
            own = {
                n: x.detach().clone() if isinstance(x, Tensor) else copy.deepcopy(x)
                for n, x in self.inner.state_dict().items()
            }
            self.kept[t] = StateAfter(learner.state_dict(), meta, own)

    def serve(self, learner: Learner) -> None:
        """Serve as what is inside does, by the counts of a run that never saw what is gone."""
        self._recount(learner)
        self.inner.serve(learner)

    def _recount(self, learner: Learner) -> None:
        """Behind a saved run, count what is left: that has counted in and out what is gone, which is not to the byte never."""
        if self._counted_by_log and self.removes:
            twin, meta = learner.fresh(), learner.meta()
            twin.follow(self.past[: meta["absorbed"] + 1], meta)
            twin.load_state_dict(learner.state_dict(), meta)
            twin.checkpoint = learner.checkpoint
            learner.adopt(twin)
        self._counted_by_log = False

    def _again(self, learner: Learner, removed: Interactions, first: int) -> None:
        """Become what never saw `removed`, the oldest of which came with increment `first`."""
        self.past, self.removes = [without(old, removed) for old in self.past], True
        self.kept = {t: saved for t, saved in self.kept.items() if t < first}
        self.inner, twin = copy.deepcopy(self._cold), learner.fresh()
        super().serve(twin)  # as a base is fitted: before the strategy has any say
        if self.kept:
            start = max(self.kept)
            saved = self.kept[start]
            twin.follow(self.past[: saved.meta["absorbed"] + 1], saved.meta)
            twin.load_state_dict(saved.weights, saved.meta)
            self.inner.load_state_dict(saved.strategy)
            self.inner.serve(twin)
        else:
            start, base = 0, self.past[0]
            twin.extend(base)
            twin.fit(base.train)
            twin.absorb(base)
            twin.fits.open(-1)  # as a base that was saved and taken up, so that whoever draws in `begin` draws the same
            self.inner.serve(twin)
            self.inner.begin(twin, base)
            self._keep(twin, 0)
        for old in self.past[start + 1 :]:
            self.inner.update(twin, old)
            self._keep(twin, old.index)
        twin.checkpoint = learner.checkpoint
        learner.adopt(twin)

    @property
    def counted_bytes(self) -> int:
        """What is inside says."""
        return self.inner.counted_bytes

    def state(self) -> StrategyState:
        """Return the increments, the saved states, and what is inside."""
        found = {f"{_PAST}{name}": x for name, x in observed_state(self.past).items()}
        found |= {f"{_INNER}{name}": x for name, x in self.inner.state_dict().items()} | {"removes": self.removes}
        for t, saved in self.kept.items():
            found[f"{_KEPT}{t}|meta"] = saved.meta
            for part, held in (("weights", saved.weights), ("strategy", saved.strategy)):
                found |= {f"{_KEPT}{t}|{part}|{name}": x for name, x in held.items()}
        return found

    def restore(self, state: StrategyState) -> None:
        """Take up what `state` returned."""
        self.past, self.removes, self._counted_by_log = (
            observed_from(_below(state, _PAST)),
            bool(state["removes"]),
            True,
        )
        self.inner.load_state_dict(_below(state, _INNER))
        kept = _below(state, _KEPT)
        self.kept = {
            t: StateAfter(_below(kept, f"{t}|weights|"), kept[f"{t}|meta"], _below(kept, f"{t}|strategy|"))
            for t in sorted({int(name.split("|")[0]) for name in kept})
        }


def _below(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): x for name, x in state.items() if name.startswith(prefix)}


def touches(old: Observed, removed: Interactions) -> bool:
    """Return whether an increment has one of these events."""
    return bool(len(removed)) and any(len(own.without(removed)) < len(own) for own in (old.arrived, old.folded))


def without(old: Observed, removed: Interactions) -> Observed:
    """Return an increment as it would have been without these events."""
    return replace(old, **{part: getattr(old, part).without(removed) for part in PARTS})
