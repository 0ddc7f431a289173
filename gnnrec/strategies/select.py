"""Select: which strategy an increment gets is chosen by how each has served what came next, and by what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Interactions, Observed
from gnnrec.evaluation.evaluate import evaluate
from gnnrec.evaluation.world import World
from gnnrec.learner import Learner
from gnnrec.strategies.base import Strategy, StrategyState

_HELD, _OWN = "held.", "candidates."
_MODEL = ("encoder.", "objective.", "graph.")


class Selector(Strategy):
    """Try all candidates on forks in the first `explore` updates and in every `every`-th later; else update by one.

    What was tried is held until the next increment comes and is then scored on it, before any of it is absorbed, for the users
    it knows: NDCG plus recall at the largest cut-off. A candidate's gain is how far it was above the mean of those tried with
    it; the expected gain is the mean of its gains, those of a trial ago weighing `memory`. Chosen is the candidate with the
    highest expected gain less `price` · log2(its work / the least work), work being directed edges that messages went along,
    and events seen in training, of its last update: seconds would differ between runs. Before anything has come the first
    candidate is taken. Trials, and the judging, are part of the update's cost.

    Not published; the rule that bandits over strategies have to beat. With one candidate it is that candidate.

    Args:
        candidates: strategies by name.
        explore: updates in which all are tried, 1 at least.
        every: period of later trials; 0: none.
        price: gain that a doubling of work has to bring.
        memory: of earlier gains, per trial.
        seed: of nothing; it makes no random choice.

    Raises:
        GnnrecError: no candidate, one that cannot be held and tried, or a setting out of its range.
    """

    def __init__(
        self,
        candidates: Mapping[str, Strategy],
        explore: int = 2,
        every: int = 0,
        price: float = 0.0,
        memory: float = 0.8,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        if not candidates:
            raise GnnrecError("strategy select needs at least one candidate; name strategies below strategy.candidates")
        if own := [n for n, s in candidates.items() if s.serves_itself or s.reads_itself or not s.combines]:
            raise GnnrecError(
                f"strategy.candidates.{own[0]} serves, reads out or widens in a way of its own, or must see every increment: "
                "it cannot be held and tried; leave it out"
            )
        if explore < 1 or every < 0 or price < 0 or not 0 <= memory <= 1:
            raise GnnrecError(
                "strategy.explore must be 1 or more, strategy.every and strategy.price 0 or more, strategy.memory between 0 "
                f"and 1; got {explore}, {every}, {price} and {memory}"
            )
        self.explore, self.every, self.price, self.memory, self.candidates = (
            explore,
            every,
            price,
            memory,
            dict(candidates),
        )
        self.gain: dict[str, tuple[float, float]] = {}
        self.work: dict[str, float] = {}
        self.chosen: list[str] = []
        self._held: dict[str, dict[str, Tensor]] = {}

    def begin(self, learner: Learner, base: Observed) -> None:
        """Let each take note of the base."""
        for candidate in self.candidates.values():
            candidate.begin(learner, base)

    def update(self, learner: Learner, new: Observed) -> None:
        """Judge what was tried, then try all, or update by the best."""
        self._judge(learner, new.arrived)
        best = self.best
        if self._tries:
            self._try(learner, new, best)
        else:
            self._measured(best, learner, new)
            for name, other in self.candidates.items():
                if name != best:
                    other.consolidate(learner, new)
        self.chosen.append(best)

    @property
    def _tries(self) -> bool:
        updates = len(self.chosen)
        due = updates < self.explore or not self.gain or bool(self.every and updates % self.every == 0)
        return len(self.candidates) > 1 and due

    @property
    def best(self) -> str:
        """The candidate that is worth its work as far as is known; the first one where nothing is."""
        known = {n: total / weight for n, (total, weight) in self.gain.items() if weight}
        return max(known, key=lambda n: known[n] - self._charge(n)) if known else next(iter(self.candidates))

    def _charge(self, name: str) -> float:
        least = max(min(self.work.values()), 1.0)
        return self.price * math.log2(max(self.work[name], 1.0) / least)

    def _measured(self, name: str, learner: Learner, new: Observed) -> None:
        before = learner.cost.edges + learner.cost.triplets
        self.candidates[name].update(learner, new)
        if learner.index != new.index:
            raise GnnrecError(f"strategy.candidates.{name} lets no increment in, so it cannot be tried; leave it out")
        learner.embed()  # until it could serve
        self.work[name] = float(learner.cost.edges + learner.cost.triplets - before)

    def _try(self, learner: Learner, new: Observed, best: str) -> None:
        adopted = learner
        for name in self.candidates:
            twin = learner.fork()
            self._measured(name, twin, new)
            self._held[name] = {key: x for key, x in twin.state_dict().items() if key.startswith(_MODEL)}
            adopted = twin if name == best else adopted
        learner.adopt(adopted)

    def _judge(self, learner: Learner, arrived: Interactions) -> None:
        """Score what is held on what has come."""
        held, self._held = self._held, {}
        world = learner.history.world()
        known = arrived.take(arrived.user < world.num_users)
        quality: dict[str, float] = {}
        for name, tensors in held.items():
            twin = learner.fork()
            twin.load_state_dict(tensors)
            if (found := self._quality(twin, known, world)) is None:
                return  # nobody who was known did anything
            quality[name] = found
        if quality:
            mean = sum(quality.values()) / len(quality)
            for name, value in quality.items():
                total, weight = self.gain.get(name, (0.0, 0.0))
                self.gain[name] = self.memory * total + value - mean, self.memory * weight + 1.0

    @staticmethod
    def _quality(learner: Learner, events: Interactions, world: World) -> float | None:
        rows = evaluate(learner.serving(), events, world, learner.measure, segments=False).rows
        most = max(learner.measure.topk)
        found = [v for segment, m, v, n in rows if n and segment == "all" and m in (f"ndcg@{most}", f"recall@{most}")]
        return float(sum(found)) if found else None

    def state(self) -> StrategyState:
        """Return what is known of the candidates, what is held, and their own states."""
        found: StrategyState = {
            "gain": {n: list(pair) for n, pair in self.gain.items()},
            "work": self.work,
            "chosen": self.chosen,
        }
        found |= {f"{_HELD}{name}|{key}": x for name, held in self._held.items() for key, x in held.items()}
        for name, candidate in self.candidates.items():
            found |= {f"{_OWN}{name}|{key}": x for key, x in candidate.state_dict().items()}
        return found

    def restore(self, state: StrategyState) -> None:
        """Take up what `state` returned."""
        # In the candidates' order, whatever that of the saved ones: of equals the first is chosen.
        gain, work, held = state["gain"], state["work"], _by_name(state, _HELD)
        self.gain = {n: (float(gain[n][0]), float(gain[n][1])) for n in self.candidates if n in gain}
        self.work = {n: float(work[n]) for n in self.candidates if n in work}
        self._held = {n: held[n] for n in self.candidates if n in held}
        self.chosen = list(state["chosen"])
        own = _by_name(state, _OWN)
        for name, candidate in self.candidates.items():
            candidate.load_state_dict(own.get(name, {}))


def _by_name(state: Mapping[str, Any], prefix: str) -> dict[str, dict[str, Any]]:
    """Return what lies behind `prefix`, by the name before the bar."""
    found: dict[str, dict[str, Any]] = {}
    for key, x in state.items():
        if key.startswith(prefix):
            name, _, rest = key.removeprefix(prefix).partition("|")
            found.setdefault(name, {})[rest] = x
    return found
