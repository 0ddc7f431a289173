"""The valid metric that decides early stopping, prepared once per fit and asked after every epoch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gnnrec.data.types import Floats, Interactions
from gnnrec.encoders.tables import Embeddings
from gnnrec.evaluation import metrics
from gnnrec.evaluation.blend_choice import CUTOFF
from gnnrec.evaluation.ranking import hits, tie_order, top_items
from gnnrec.evaluation.settings import Settings
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.objectives.base import Objective

Select = Callable[[Embeddings], Floats]
"""What is to be maximised in the mean, by user or event of valid, [n]."""
Rank = Callable[[Embeddings, Tensor], Tensor]
"""Scores of every item for some users, [n, i], as they would be served with these embeddings."""


def selector(
    objective: Objective, valid: Interactions, seen: BipartiteGraph, settings: Settings, rank: Rank | None = None
) -> Select | None:
    """Return the function of embeddings whose mean is to be maximised, or None where valid holds nothing to select on.

    NDCG@20 over users with an absorbed event (the others' lists do not depend on the weights), or minus the MSE over
    events whose user and item are known, by `objective.selects_by`. Lists are those of `rank`, of what serves in the
    objective's place, where there is such.
    """
    if objective.selects_by == "mse":
        return _negative_mse(objective, valid, seen)
    return _ndcg(rank or objective.scores, valid, seen, settings)


def _ndcg(rank: Rank, valid: Interactions, seen: BipartiteGraph, settings: Settings) -> Select | None:
    known = valid.user < seen.num_users
    truth = settings.truth(valid.take(known), seen)
    if not len(truth.user):
        return None
    relevant, order = truth.counts(), tie_order(settings.seed, seen.num_items)
    starts = settings.starts(len(truth.user), seen.num_items)
    masks = [settings.masked(seen, truth.user[s : s + starts.step]) for s in starts]

    def score(z: Embeddings) -> Floats:
        users = (torch.from_numpy(truth.user[s : s + starts.step]).to(z.user.device) for s in starts)
        tops = [top_items(rank(z, u), CUTOFF, order, mask) for u, mask in zip(users, masks, strict=True)]
        hit = hits(torch.cat(tops), truth.row, truth.item, len(truth.user))
        return metrics.ndcg(hit, relevant, CUTOFF)

    return score


def _negative_mse(objective: Objective, valid: Interactions, seen: BipartiteGraph) -> Select | None:
    known = (valid.user < seen.num_users) & (valid.item < seen.num_items)
    if not known.any():
        return None
    events = valid.take(known)
    pair = torch.from_numpy(events.user), torch.from_numpy(events.item)

    def score(z: Embeddings) -> Floats:
        expected = objective.predict(z, *(number.to(z.user.device) for number in pair))
        assert expected is not None, "an objective that selects by the MSE predicts values"
        predicted: Floats = expected.double().cpu().numpy()
        return -((predicted - events.value) ** 2)

    return score
