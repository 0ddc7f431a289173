"""Choose the blend's weights by NDCG and recall, on valid or on what came next; each ingredient once per block of users.

Letters: s settings, u users, K ranked places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gnnrec.core.seeds import generator
from gnnrec.counters.counters import Counters
from gnnrec.data.types import Floats, Interactions, Ints
from gnnrec.evaluation import metrics
from gnnrec.evaluation.ranking import hits, tie_order
from gnnrec.evaluation.settings import Bools, Relevant, Settings
from gnnrec.evaluation.shortlist import shortlist
from gnnrec.evaluation.world import World
from gnnrec.scorers.blend import BlendWeights, Grid, Parts
from gnnrec.scorers.block import Ingredient
from gnnrec.scorers.model import Scorer

CUTOFF = 20
"""K of the metrics that choose (PROTOCOL rule 13)."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """How well each setting of a grid ranked valid, or what came next.

    Attributes:
        settings: of the grid, s of them.
        quality: NDCG@20 plus recall@20 summed over users, [s].
    """

    settings: Sequence[BlendWeights]
    quality: Floats

    @property
    def best(self) -> BlendWeights:
        """The setting with the highest quality, the first of equals."""
        return self.settings[int(np.argmax(self.quality))]

    def after(self, earlier: Floats | None, memory: float) -> Evidence:
        """Return this evidence with that of earlier increments, [s], which counts `memory` of its own; None: there is none."""
        return self if earlier is None else Evidence(self.settings, self.quality + memory * earlier)


def weigh(
    model: Scorer, counters: Counters, valid: Interactions, world: World, settings: Settings, grid: Grid
) -> Evidence | None:
    """Return how well each setting ranks `valid`; None without a relevant event or a setting.

    The only setting of a grid needs no valid event.
    """
    options = grid.settings()
    if len(options) == 1:
        return Evidence(options, np.zeros(1))
    truth = _of_some(valid, world, settings, grid.most_users)
    if not len(truth.user) or not options:
        return None
    order, total = tie_order(settings.seed, world.num_items), dict.fromkeys(map(_direction, options), 0.0)
    starts = settings.starts(len(truth.user), world.num_items)
    for start in starts:
        user = truth.user[start : start + starts.step]
        parts = Parts.of(model, counters, Ingredient.alone(user, world.num_items), options)
        short = shortlist(parts, settings.masked(world.seen, user), order)
        row, item = truth.between(start, start + len(user))
        relevant = np.bincount(row, minlength=len(user))
        for weights in total:
            top = short.top(weights, CUTOFF)
            total[weights] += _quality(hits(top, row, item, len(user)), relevant)
    return Evidence(options, np.array([total[_direction(w)] for w in options]))


def weigh_ahead(
    model: Scorer, counters: Counters, arrived: Interactions, world: World, settings: Settings, grid: Grid
) -> Evidence | None:
    """Return how well each setting ranks what has arrived since `world`, for the users it knows; None without any.

    Args:
        model, counters, world: what served until now.
        arrived: events of which `world` has absorbed none.
        settings, grid: as in `weigh`.
    """
    return weigh(model, counters, arrived.take(arrived.user < world.num_users), world, settings, grid)


def _quality(hit: Bools, relevant: Ints) -> float:
    """Return NDCG plus recall of hits [u, K], summed over users.

    A user with fifty relevant items can reach an NDCG of 1, since its ideal ends at K, and a recall of .4 at most: NDCG alone
    is chosen by those who take much, recall alone by those who take little.
    """
    return float((metrics.ndcg(hit, relevant, CUTOFF) + metrics.recall(hit, relevant, CUTOFF)).sum())


def _of_some(valid: Interactions, world: World, settings: Settings, most: int) -> Relevant:
    """Return what is relevant of `valid`, for `most` users drawn where there are more."""
    truth = settings.truth(valid, world.seen)
    if len(truth.user) <= most:
        return truth
    drawn = generator(settings.seed, f"blend {world.index}").choice(truth.user, most, replace=False)
    return settings.truth(valid.take(np.isin(valid.user, drawn)), world.seen)


def _direction(weights: BlendWeights) -> BlendWeights:
    """Return the weights with the largest at 1: without the model, multiples of one setting rank alike."""
    largest = max(weights.beta, weights.kappa)
    if weights.alpha or not largest:
        return weights
    return BlendWeights(0.0, weights.beta / largest, weights.kappa / largest, weights.half_life)


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen setting of a grid; each choice is a new one, so that forks may share the old.

    Attributes:
        grid: what is chosen from, s settings.
        weights: the chosen one.
        evidence: how well each has ranked so far, by the grid's memory, [s]; None: nothing is remembered.
    """

    grid: Grid
    weights: BlendWeights
    evidence: Floats | None = None

    @staticmethod
    def of(grid: Grid, start: BlendWeights) -> Choice:
        """Return the choice that stands until one is made: the only setting there is, or `start`."""
        options = grid.settings()
        return Choice(grid, options[0] if len(options) == 1 else start)

    @property
    def is_open(self) -> bool:
        """Whether there is more than one setting."""
        return len(self.grid.settings()) > 1

    @property
    def ahead(self) -> bool:
        """Whether a setting is chosen, and by what came next."""
        return self.is_open and self.grid.judged == "ahead"

    def on_valid(
        self, model: Callable[[], Scorer], counters: Counters, valid: Interactions, world: World, measure: Settings
    ) -> Choice:
        """Return the choice on valid; without a valid event, or once something that came next has judged, the last stands.

        Args:
            model: makes the scorer that the counters stand beside, where it is needed.
            counters, world: of what has been absorbed without `valid`.
            valid, measure: what is ranked, and how.
        """
        if not self.is_open or (self.ahead and self.evidence is not None):
            return self
        new = weigh(model(), counters, valid, world, measure, self.grid)
        if new is None:
            return self
        return replace(self, weights=new.best) if self.ahead else self._with(new)

    def on_arrived(
        self,
        model: Callable[[], Scorer],
        counters: Counters,
        arrived: Interactions,
        world: Callable[[], World],
        measure: Settings,
    ) -> Choice:
        """Return the choice by events that have arrived since `world` and are not absorbed yet, under ``judged=ahead``."""
        if not self.ahead or (then := world()).index < 0:
            return self
        new = weigh_ahead(model(), counters, arrived, then, measure, self.grid)
        return self if new is None else self._with(new)

    def forgetful(self) -> Choice:
        """Return the choice without its evidence: sums over users, out of which nobody who is to be forgotten can be taken."""
        return replace(self, evidence=None)

    def _with(self, new: Evidence) -> Choice:
        found = new.after(self.evidence, self.grid.memory)
        return replace(self, weights=found.best, evidence=found.quality)
