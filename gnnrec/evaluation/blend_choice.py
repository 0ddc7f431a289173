"""Choose the blend's weights by valid NDCG, each ingredient computed once per block of users."""

from __future__ import annotations

import numpy as np

from gnnrec.counters.counters import Counters
from gnnrec.data.types import Interactions
from gnnrec.evaluation import metrics
from gnnrec.evaluation.ranking import hits, tie_order
from gnnrec.evaluation.settings import Settings
from gnnrec.evaluation.shortlist import shortlist
from gnnrec.evaluation.world import World
from gnnrec.scorers.blend import BlendWeights, Grid, Parts
from gnnrec.scorers.block import Ingredient
from gnnrec.scorers.model import Scorer

CUTOFF = 20
"""K of the NDCG that chooses (PROTOCOL rule 13)."""


def choose_weights(
    model: Scorer, counters: Counters, valid: Interactions, world: World, settings: Settings, grid: Grid
) -> BlendWeights | None:
    """Return the setting with the highest NDCG@20 on `valid`, the first of equals; None without a relevant event or setting.

    The only setting of a grid needs no valid event.
    """
    options = grid.settings()
    if len(options) == 1:
        return options[0]
    truth = settings.truth(valid, world.seen)
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
            total[weights] += float(metrics.ndcg(hits(top, row, item, len(user)), relevant, CUTOFF).sum())
    return options[int(np.argmax([total[_direction(w)] for w in options]))]


def _direction(weights: BlendWeights) -> BlendWeights:
    """Return the weights with the largest at 1: without the model, multiples of one setting rank alike."""
    largest = max(weights.beta, weights.kappa)
    if weights.alpha or not largest:
        return weights
    return BlendWeights(0.0, weights.beta / largest, weights.kappa / largest, weights.half_life)
