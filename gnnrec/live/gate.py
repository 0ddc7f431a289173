"""The gate: may a challenger serve in the champion's place? Judged by events that nothing was chosen on.

Letters: u users of the judged events, b resamples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from gnnrec.core.errors import GnnrecError, above_zero
from gnnrec.core.seeds import generator
from gnnrec.data.types import Floats, Interactions, Ints
from gnnrec.evaluation.evaluate import Evaluation, Slice, evaluate_all
from gnnrec.evaluation.settings import Bools, Settings
from gnnrec.evaluation.world import World
from gnnrec.scorers.model import Scorer
from gnnrec.scorers.references import PopularityScorer

METRIC = "recall@20"
FEWEST = 10
"""Users below which nothing is told apart."""


@dataclass(frozen=True, slots=True)
class Check:
    """One question of the gate.

    Attributes:
        name: of the question.
        value: what was found.
        bound: what it is compared with.
        passed: the answer; None: it cannot be told.
        n: users it rests on.
        said: in words.
    """

    name: str
    value: float
    bound: float
    passed: bool | None
    n: int
    said: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the gate says of a challenger."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether it may serve."""
        return all(c.passed for c in self.checks)

    @property
    def undecided(self) -> bool:
        """Whether nothing speaks against it, but too little for it."""
        return not self.passed and all(c.passed is not False for c in self.checks)

    @property
    def reason(self) -> str:
        """What decided."""
        against = [c for c in self.checks if not c.passed]
        return "; ".join(c.said for c in (against or self.checks))


class AcceptanceGate:
    """Non-inferiority to the champion, and floors, by recall@20 of the scorer that is served.

    Args:
        margin: share of the champion's recall that a challenger may lose.
        old_margin: the same among users whom the champion knows.
        cold_floor: share of all-time popularity's recall that users whom the champion does not know must get.
        level: 1 − the chance that something worse by the margin is let through, all tries of an update together.
        resamples: of users.
        seconds: most that an update may take; None: any.
        seed: of the resamples.
    """

    def __init__(
        self,
        margin: float = 0.05,
        old_margin: float = 0.1,
        cold_floor: float = 0.5,
        level: float = 0.95,
        resamples: int = 2000,
        seconds: float | None = None,
        seed: int = 0,
    ) -> None:
        above_zero("live.gate", margin=margin, old_margin=old_margin, resamples=resamples)
        if not 0.5 < level < 1:
            raise GnnrecError(f"live.gate.level={level} must lie between 0.5 and 1")
        if cold_floor < 0:
            raise GnnrecError(f"live.gate.cold_floor={cold_floor} must be 0 or more")
        self.margin, self.old_margin, self.cold_floor = margin, old_margin, cold_floor
        self.level, self.resamples, self.seconds, self.seed = level, int(resamples), seconds, seed

    def judge(
        self,
        champion: Scorer,
        challenger: Scorer,
        judged: Interactions,
        world: World,
        known: int,
        measure: Settings,
        seconds: float = 0.0,
        share: float = 1.0,
    ) -> Judgement:
        """Return the verdict on a challenger.

        Args:
            champion, challenger: what serves, and what would.
            judged: events that neither has seen.
            world: what the challenger has absorbed: candidates, masks, counts.
            known: users numbered below are known to the champion.
            measure: how to score.
            seconds: what the update took.
            share: of the chance of a wrong yes, 1 − level, that this try may have: several tries share it.
        """
        scorers: dict[str, Scorer] = {
            "champion": champion,
            "challenger": challenger,
            "popularity": PopularityScorer(world.popularity),
            "oracle": Told(judged, world, self.seed),
            "chance": Told(Interactions.empty(), world, self.seed + 1),
        }
        found = evaluate_all(scorers, [Slice(judged, world, segments=False)], measure)[0]
        value = {name: e.per_user[METRIC] for name, e in found.items()} if len(found["champion"].user) else {}
        return Judgement(
            tuple(self._checks(value, _old(found["champion"], known), seconds, 1 - share * (1 - self.level)))
        )

    def _checks(self, value: Mapping[str, Floats], old: Bools, seconds: float, level: float) -> list[Check]:
        if len(old) < FEWEST:
            said = f"{len(old)} users can be scored, {FEWEST} are needed"
            return [Check("users", len(old), FEWEST, None, len(old), said)]
        new, was, counter = value["challenger"], value["champion"], value["popularity"]
        checks = [
            self._harness(value["oracle"] - value["chance"], level),
            _beats(new, counter),
            self._holds("champion", new, was, self.margin, level),
        ]
        if old.sum() >= FEWEST:
            checks.append(self._holds("known users", new[old], was[old], self.old_margin, level))
        if (~old).sum() >= FEWEST:
            checks.append(self._cold(new[~old], counter[~old]))
        if self.seconds is not None:
            said = f"took {seconds:.1f} s, {self.seconds:g} s are allowed"
            checks.append(Check("seconds", seconds, self.seconds, seconds <= self.seconds, 0, said))
        return checks

    def _harness(self, difference: Floats, level: float) -> Check:
        """Can these events tell an oracle from chance at all?"""
        low = lower_bound(difference, level, self.resamples, self.seed)
        said = f"an oracle is {'' if low > 0 else 'not '}told from chance (at least {low:.4f} above it)"
        return Check("harness", low, 0.0, True if low > 0 else None, len(difference), said)

    def _holds(self, name: str, new: Floats, was: Floats, margin: float, level: float) -> Check:
        """Is the challenger at least as good as the champion, less the margin? Not to be told where the interval is wider than
        the margin and has room for a yes: an equal one would not have been told either.
        """
        allowed, mean = -margin * float(was.mean()), float((new - was).mean())
        low = lower_bound(new - was, level, self.resamples, self.seed)
        high = -lower_bound(was - new, level, self.resamples, self.seed)
        passed = True if low >= allowed else None if mean - low > -allowed and high >= allowed else False
        against = "worse than" if mean < allowed else "not shown to be as good as"
        word = {True: "not worse than", False: against, None: "too few users to show that it is as good as"}[passed]
        said = (
            f"{word} the champion{'' if name == 'champion' else ' for ' + name}: {new.mean():.4f} for {was.mean():.4f}, "
            f"difference at least {low:.4f}, allowed {allowed:.4f}, {len(new)} users"
        )
        return Check(name, low, allowed, passed, len(new), said)

    def _cold(self, new: Floats, counter: Floats) -> Check:
        floor = self.cold_floor * float(counter.mean())
        said = f"new users get {new.mean():.4f}, the floor is {floor:.4f}, {len(new)} users"
        return Check("new users", float(new.mean()), floor, float(new.mean()) >= floor, len(new), said)


class Told:
    """Ranks given pairs first and all else by chance: an oracle where they are the answer, chance where there are none."""

    def __init__(self, pairs: Interactions, world: World, seed: int) -> None:
        self.pairs, self.num_items, self.seed = pairs, world.num_items, seed

    def scores(self, user: Ints, num_items: int) -> Tensor:
        """Return [n, num_items]."""
        rng = generator(self.seed, "told")
        found = torch.from_numpy(rng.random((1, num_items), np.float32)).repeat(len(user), 1)
        at = {int(u): n for n, u in enumerate(user)}
        for u, i in zip(self.pairs.user.tolist(), self.pairs.item.tolist(), strict=True):
            if u in at and i < num_items:
                found[at[u], i] = 2.0
        return found

    def predict(self, user: Ints, item: Ints) -> None:
        """Predict nothing."""


DRAWN = 1_000_000
"""Users drawn at once."""


def _beats(new: Floats, counter: Floats) -> Check:
    """Does the challenger beat all-time popularity?"""
    value, bound = float(new.mean()), float(counter.mean())
    word = "beats" if value >= bound else "is below"
    return Check(
        "popularity", value, bound, value >= bound, len(new), f"{word} popularity: {value:.4f} for {bound:.4f}"
    )


def _old(found: Evaluation, known: int) -> Bools:
    return np.asarray(found.user < known)


def lower_bound(difference: Floats, level: float, resamples: int, seed: int) -> float:
    """Return the one-sided lower bound of the mean of paired differences [u], by resampling users.

    The distance of the percentile from the mean is widened as Student's t is wider than a normal law, and by what the
    deviation of a sample falls short (Hesterberg, "What teachers should know about the bootstrap", 2015): below a hundred users
    plain percentiles are too narrow.
    """
    n = len(difference)
    rng = generator(seed, "gate")
    rows = max(1, DRAWN // n)
    blocks = [min(rows, resamples - start) for start in range(0, resamples, rows)]
    means = np.concatenate([difference[rng.integers(n, size=(block, n))].mean(1) for block in blocks])
    tail = float(stats.norm.sf(stats.t.isf(1 - level, n - 1) * math.sqrt(n / (n - 1))))
    return float(np.quantile(means, tail))
