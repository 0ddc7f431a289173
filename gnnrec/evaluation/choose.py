"""Choose the blend's weights by valid NDCG, each ingredient computed once per block of users."""

from __future__ import annotations

import numpy as np

from gnnrec.data.types import Interactions
from gnnrec.evaluation import metrics
from gnnrec.evaluation.evaluate import Settings, Truth
from gnnrec.evaluation.ranking import hits, tie_order
from gnnrec.evaluation.shortlist import Shortlist
from gnnrec.evaluation.world import World
from gnnrec.models.blend import Grid, Parts, Weights
from gnnrec.models.scorers import Scorer
from gnnrec.models.statistics import Statistics

CUTOFF = 20
"""K of the NDCG that chooses (PROTOCOL rule 13)."""


def choose_weights(
    model: Scorer, statistics: Statistics, valid: Interactions, world: World, settings: Settings, grid: Grid
) -> Weights | None:
    """Return the setting with the highest NDCG@20 on `valid`, the first of equals; None without a relevant event."""
    truth = Truth.of(valid, settings.positive_from)
    options = grid.settings()
    if not len(truth.user):
        return None
    order, total = tie_order(settings.seed, world.num_items), np.zeros(len(options))
    for start in range(0, len(truth.user), settings.block):
        user = truth.user[start : start + settings.block]
        parts = Parts.of(model, statistics, user, world.num_items, options)
        seen = world.seen.neighbours(user, of_users=True)
        short = Shortlist.of(parts, seen, order)
        inside = (truth.row >= start) & (truth.row < start + len(user))
        row, item = truth.row[inside] - start, truth.item[inside]
        relevant = np.bincount(row, minlength=len(user))
        for n, weights in enumerate(options):
            top = short.top(weights, CUTOFF)
            total[n] += metrics.ndcg(hits(top, row, item, len(user)), relevant, CUTOFF).sum()
    return options[int(total.argmax())]
