"""Ranking scores of single pairs, for who needs few of a user's many."""

from __future__ import annotations

import numpy as np
import torch

from gnnrec.data.types import Floats, Ints
from gnnrec.encoders.tables import Embeddings
from gnnrec.objectives.base import Objective
from gnnrec.scorers.model import beside

BLOCK = 1024
"""Users whose items are all scored at a time."""


@torch.no_grad()
def pair_scores(objective: Objective, z: Embeddings, user: Ints, item: Ints) -> Floats:
    """Return the ranking score of each pair, [n]; costs the scores of every item for each distinct user."""
    objective = beside(objective, z.user.device)
    known, at = np.unique(user, return_inverse=True)
    order = np.argsort(at, kind="stable")
    begin = np.searchsorted(at[order], np.arange(0, len(known) + BLOCK, BLOCK))
    found = np.empty(len(user))
    for n, start in enumerate(range(0, len(known), BLOCK)):
        here = order[begin[n] : begin[n + 1]]
        rows = objective.scores(z, torch.from_numpy(known[start : start + BLOCK]).to(z.user.device))
        found[here] = rows[torch.from_numpy(at[here] - start), torch.from_numpy(item[here])].double().cpu().numpy()
    return found
