"""Select: which strategy an increment gets is chosen by what is known of it, and by how each has served what came next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Interactions, Observed
from gnnrec.evaluation.evaluate import evaluate
from gnnrec.evaluation.world import World
from gnnrec.learner import Learner
from gnnrec.scorers.model import Scorer
from gnnrec.scorers.references import PopularityScorer
from gnnrec.strategies.base import Strategy, StrategyState
from gnnrec.strategies.selection.gains import Gain, Gains, context

_HELD, _OWN = "held.", "candidates."
_MODEL = ("encoder.", "objective.", "graph.")


class Selector(Strategy):
    """First rules, then a bandit: try all candidates for a while, then take the one whose gain is worth its work.

    When an increment comes, whatever was fitted to the one before is scored on it, before any of it is absorbed, for the users
    it knows: NDCG plus recall at the largest cut-off, of the model by itself, not of its blend. A candidate's gain is how far
    it was above decayed popularity. The gains are explained by what was known of the increment beforehand
    (`gnnrec.strategies.selection.gains`): shares of new users and items, shift of popularity, size, and how far what has served
    was above the counter.

    *Rules.* In the first `explore` updates all candidates are tried on forks, and in every `every`-th later. Until gains are
    known the first candidate serves, or the last where what has served is below the counter by more than `stale`: so name them
    from the lightest to the most thorough. *Bandit.* Then the candidate with the highest expected gain less
    `price` · log2(its work / the least work); work is directed edges that messages went along and events seen in training, of
    its last update: seconds would differ between runs. *Budget.* Under `budget` work is saved up: behind the first `explore`
    updates a candidate is chosen, and all are tried again, only where that update and all before it, with their trials and
    judging, stay within `budget` times the least work each that a candidate has had; where nothing does, the one with the
    least work. Trials and judging are part of the update's cost.

    Not published; the baseline for selectors is any of its candidates by itself. With one candidate it is that candidate.

    Attributes:
        combines: False: it must see every increment.

    Args:
        candidates: strategies by name.
        explore: updates in which all are tried, 1 at least.
        every: period of later trials; 0: none.
        price: gain that a doubling of work has to bring.
        budget: most work an update, in multiples of the cheapest candidate's; None: any.
        stale: how far below the counter calls for the last candidate.
        memory: of earlier gains, per update.
        ridge: of what features explain.
        optimism: deviations by which what is little known is thought better than it has been.
        seed: of nothing; it makes no random choice.

    Raises:
        GnnrecError: no candidate, one that cannot be held and tried, or a setting out of its range.
    """

    combines = False

    def __init__(
        self,
        candidates: Mapping[str, Strategy],
        explore: int = 2,
        every: int = 0,
        price: float = 0.0,
        budget: float | None = None,
        stale: float = 0.02,
        memory: float = 0.9,
        ridge: float = 1.0,
        optimism: float = 0.5,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        if not candidates:
            raise GnnrecError("strategy select needs at least one candidate; name strategies below strategy.candidates")
        if own := [n for n, s in candidates.items() if s.reads_itself or not s.combines]:
            raise GnnrecError(
                f"strategy.candidates.{own[0]} reads out or widens in a way of its own, or must see every increment: "
                "it cannot be held and tried; leave it out"
            )
        if explore < 1 or min(every, price, stale, optimism) < 0 or not 0 < memory <= 1 or ridge <= 0:
            raise GnnrecError(
                "strategy.explore must be 1 or more, strategy.every, strategy.price, strategy.stale and strategy.optimism 0 or "
                "more, strategy.memory above 0 and 1 at most, strategy.ridge above 0; got "
                f"{explore}, {every}, {price}, {stale}, {optimism}, {memory} and {ridge}"
            )
        if budget is not None and budget < 1:
            raise GnnrecError(
                f"strategy.budget must be 1 or more times the cheapest candidate's work, or null; got {budget}"
            )
        self.explore, self.every, self.price, self.budget, self.stale = explore, every, price, budget, stale
        self.candidates, self.gains = dict(candidates), Gains(memory, ridge, optimism)
        self.work: dict[str, float] = {}
        self.spent = 0.0
        self.chosen: list[str] = []
        self._context: tuple[float, ...] = ()
        self._held: dict[str, dict[str, Tensor]] = {}
        self._restored = False

    def begin(self, learner: Learner, base: Observed) -> None:
        """Let each take note of the base."""
        for candidate in self.candidates.values():
            candidate.begin(learner, base)

    def serve(self, learner: Learner) -> None:
        """Make `learner` serve as the candidate that was chosen last does."""
        super().serve(learner)
        if self.chosen:
            self.candidates[self.chosen[-1]].serve(learner)
        if self._restored:
            self._ready(learner)  # at the cost of no update

    def _ready(self, learner: Learner) -> None:
        """Have at hand what the judging reads, which a run that went on without a break has."""
        learner.embed()
        for candidate in self.candidates.values():
            if candidate.serves_itself:
                candidate.scorer(learner)

    def update(self, learner: Learner, new: Observed) -> None:
        """Judge what was tried, then try all, or update by the best."""
        self._ready(learner)
        before = _work(learner)
        gap = self._judge(learner, new.arrived)
        learner.judge(new)  # what has served, before another strategy's way of serving is put in its place
        self.spent += _work(learner) - before
        known = context(new.arrived, learner.history.world(), gap)
        self._context = tuple(map(float, known))
        before, best = _work(learner), self._best(gap)
        if self._tries:
            self._try(learner, new, best)
        else:
            self._measured(best, learner, new)
            for name, other in self.candidates.items():
                if name != best:
                    other.consolidate(learner, new)
        self.chosen.append(best)
        self.spent += _work(learner) - before

    @property
    def _tries(self) -> bool:
        updates = len(self.chosen)
        if len(self.candidates) == 1:
            return False
        due = not self.gains.past or bool(self.every and updates % self.every == 0)
        return updates < self.explore or (due and self._affords(sum(self.work.values())))

    def _affords(self, work: float) -> bool:
        """Whether that much may be spent on the update that is due."""
        if self.budget is None:
            return True
        # Work of 0, such as a frozen model's without messages, is no unit.
        unit = min((known for known in self.work.values() if known), default=0.0)
        return self.spent + work <= self.budget * unit * (len(self.chosen) + 1)

    def _best(self, gap: float | None) -> str:
        """Return the candidate that is worth its work, of those that can be afforded; before gains are known, by rule."""
        now, names = len(self.chosen), list(self.candidates)
        expected = {n: v for n in names if (v := self.gains.expected(n, now, np.array(self._context))) is not None}
        if not expected:
            return names[-1] if gap is not None and gap < -self.stale else names[0]
        affordable = [n for n in expected if self._affords(self.work[n])] or [min(expected, key=self.work.__getitem__)]
        return max(affordable, key=lambda n: expected[n] - self._charge(n))

    def _charge(self, name: str) -> float:
        least = max(min(self.work.values()), 1.0)
        return self.price * math.log2(max(self.work[name], 1.0) / least)

    def _measured(self, name: str, learner: Learner, new: Observed) -> None:
        before = _work(learner)
        self.candidates[name].serve(learner)
        self.candidates[name].update(learner, new)
        if learner.index != new.index:
            raise GnnrecError(f"strategy.candidates.{name} lets no increment in, so it cannot be tried; leave it out")
        learner.embed()  # until it could serve
        self.work[name] = _work(learner) - before

    def _try(self, learner: Learner, new: Observed, best: str) -> None:
        adopted = learner
        for name in self.candidates:
            twin = learner.fork()
            self._measured(name, twin, new)
            if name == best:
                adopted = twin
            else:
                self._held[name] = {key: x for key, x in twin.state_dict().items() if key.startswith(_MODEL)}
        learner.adopt(adopted)

    def _judge(self, learner: Learner, arrived: Interactions) -> float | None:
        """Score what has served and what is held on what has come; return how far the first was above the counter."""
        held, self._held = self._held, {}
        world = learner.history.world()
        known = arrived.take(arrived.user < world.num_users)
        counter = PopularityScorer(learner.counters.popularity.at(learner.blend.half_life))
        plain, gap = _quality(learner, counter, known, world), _quality(learner, learner.serving(), known, world)
        if plain is None or gap is None:
            return None  # nobody who was known did anything
        gap -= plain
        if self.chosen:
            self._note(self.chosen[-1], gap)
        for name, tensors in held.items():
            twin = learner.fork()
            twin.load_state_dict(tensors)
            self.candidates[name].serve(twin)
            found = _quality(twin, twin.serving(), known, world)
            assert found is not None, "the same events, of which the counter could be judged"
            self._note(name, found - plain)
        past = self.gains.past
        self.gains.past = {
            n: past[n] for n in self.candidates if n in past
        }  # in the order in which they are taken up again
        return gap

    def _note(self, name: str, gain: float) -> None:
        self.gains.add(name, Gain(len(self.chosen) - 1, self._context, gain))

    @property
    def counted_bytes(self) -> int:
        """Return the sum over the candidates, all of which are kept ready."""
        return sum(candidate.counted_bytes for candidate in self.candidates.values())

    def state(self) -> StrategyState:
        """Return what is known of the candidates, what is held, and their own states."""
        found: StrategyState = {
            "gains": self.gains.state(),
            "work": self.work,
            "spent": self.spent,
            "chosen": self.chosen,
            "context": list(self._context),
        }
        found |= {f"{_HELD}{name}|{key}": x for name, held in self._held.items() for key, x in held.items()}
        for name, candidate in self.candidates.items():
            found |= {f"{_OWN}{name}|{key}": x for key, x in candidate.state_dict().items()}
        return found

    def restore(self, state: StrategyState) -> None:
        """Take up what `state` returned."""
        # In the candidates' order, whatever that of the saved ones: of equals the first is chosen.
        gains, work, held = state["gains"], state["work"], _by_name(state, _HELD)
        self.gains.restore({n: gains[n] for n in self.candidates if n in gains})
        self.work = {n: float(work[n]) for n in self.candidates if n in work}
        self._held = {n: held[n] for n in self.candidates if n in held}
        self.chosen, self.spent, self._restored = list(state["chosen"]), float(state["spent"]), True
        self._context = tuple(state["context"])
        own = _by_name(state, _OWN)
        for name, candidate in self.candidates.items():
            candidate.load_state_dict(own.get(name, {}))


def _work(learner: Learner) -> float:
    return float(learner.cost.edges + learner.cost.triplets)


def _quality(learner: Learner, scorer: Scorer, events: Interactions, world: World) -> float | None:
    """Return NDCG plus recall at the largest cut-off; None where nobody can be scored."""
    rows = evaluate(scorer, events, world, learner.measure, segments=False).rows
    most = max(learner.measure.topk)
    found = [v for segment, m, v, n in rows if n and segment == "all" and m in (f"ndcg@{most}", f"recall@{most}")]
    return float(sum(found)) if found else None


def _by_name(state: Mapping[str, Any], prefix: str) -> dict[str, dict[str, Any]]:
    """Return what lies behind `prefix`, by the name before the bar."""
    found: dict[str, dict[str, Any]] = {}
    for key, x in state.items():
        if key.startswith(prefix):
            name, _, rest = key.removeprefix(prefix).partition("|")
            found.setdefault(name, {})[rest] = x
    return found
