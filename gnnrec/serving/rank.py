"""The best of some users' scores: what every list is made by. Letters: n users, i items, k length of a list."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnrec.data.types import Floats, Ints
from gnnrec.evaluation.ranking import top_items
from gnnrec.evaluation.settings import MaskedPairs
from gnnrec.scorers.model import Scorer


@torch.no_grad()
def best(scorer: Scorer, user: Ints, k: int, order: Tensor, masked: MaskedPairs) -> tuple[Ints, Floats]:
    """Return items and scores, best first, [n, k] each; item −1 where there are fewer than k.

    Args:
        scorer: that ranks.
        user: [n] numbers.
        k: at most i.
        order: [i] of `tie_order`.
        masked: (row, item) pairs that are no candidates.

    Raises:
        GnnrecError: a score is not finite.
    """
    assert scorer.scores is not None, "what serves ranks"
    scores = scorer.scores(user, len(order))
    top = top_items(scores, min(k, len(order)), order, masked)
    return top.numpy(), scores.cpu().gather(1, top.clamp(min=0)).double().numpy()
