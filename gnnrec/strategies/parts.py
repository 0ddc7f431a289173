"""Parts that change what was fitted, for `Chain` or alone: means with the old items, a turn onto the old space.

Letters: u users, i items, d width, n old nodes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Observed
from gnnrec.encoders.tables import Embeddings
from gnnrec.learner import Learner
from gnnrec.strategies.base import Strategy, needs_rows

SAME = 1e-3
"""Most relative difference of the embeddings of turned rows to the turned embeddings."""


class EMA(Strategy):
    """Fine-tune, then x_i ← ρ_i x_i(t−1) + (1 − ρ_i) x_i(t) for items that were known, ρ_i = w · n_i / (w · n_i + m_i).

    n_i and m_i are the item's events absorbed before and in the increment: an item moves as far as it has news. Users, and
    items that are new, stay as they were fitted. The server side of F3CRec (CIKM 2025, arXiv 2508.04792) without its
    federation; the counts there are of clients. Needs no state.

    Args:
        weight: w, of an old event; 0: fine-tuning.
        seed: of nothing; it makes no random choice.
    """

    def __init__(self, weight: float = 0.1, seed: int = 0) -> None:
        super().__init__(seed)
        if weight < 0:
            raise GnnrecError(f"strategy.weight={weight} must be 0 or more")
        self.weight = weight
        self._rows: Tensor | None = None
        self._events = np.zeros(0)

    def remember(self, learner: Learner, new: Observed) -> None:
        """Keep the items' rows and their events."""
        self._rows = learner.snapshot().input_item.cpu() if self.weight else None
        self._events = learner.counters.popularity.total.copy()

    def finish(self, learner: Learner, new: Observed) -> None:
        """Take the mean."""
        if self._rows is None:
            return
        needs_rows(learner, "ema takes means of rows")
        rows, known = learner.encoder.item.weight.detach().clone(), len(self._rows)
        gone = np.bincount(new.removed.item, minlength=known)[:known]
        old = self.weight * torch.from_numpy(np.maximum(self._events[:known] - gone, 0.0))
        fresh = torch.from_numpy(np.bincount(new.train.item, minlength=known)[:known].astype(float))
        share = (old / (old + fresh).clamp(min=torch.finfo(old.dtype).tiny)).to(rows).unsqueeze(1)
        moved = fresh > 0  # rows without news may have moved with their neighbours: they go back, share 1
        share = torch.where(moved.unsqueeze(1), share, share.new_ones(()))
        rows[:known] = share * self._rows + (1 - share) * rows[:known]
        learner.write(item=rows)
        self._rows = None


class Align(Strategy):
    """Turn what was fitted onto the old embeddings: the rotation R with the least Σ_v w_v ‖e_v R − e_v(t−1)‖² (Procrustes).

    Behind a cold retraining, so that an index that serves and models downstream survive it: scores are those of the retrained
    model, vectors churn less. After BC-Aligner (Hu et al., "Learning backward compatible embeddings", KDD 2022, arXiv
    2206.03040), in closed form (Schönemann, 1966). w_v is the degree of v, so that popular nodes weigh more. All rows are
    turned alike. Needs no state.

    Raises:
        GnnrecError: embeddings of turned rows are not the turned embeddings: the encoder mixes columns.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self._old: Embeddings | None = None

    def remember(self, learner: Learner, new: Observed) -> None:
        """Keep the embeddings."""
        self._old = learner.snapshot()

    def finish(self, learner: Learner, new: Observed) -> None:
        """Turn the tables."""
        old, self._old = self._old, None
        if old is None or not len(old.user) + len(old.item) or not learner.encoder.keeps_rows:
            return
        if learner.encoder.out != learner.encoder.width:
            raise GnnrecError(_mixes(learner))
        now = learner.snapshot()
        turn = rotation(
            now, old, torch.cat([learner.seen.degree_user[: len(old.user)], learner.seen.degree_item[: len(old.item)]])
        )
        user, item = (table.weight.detach() @ turn.cpu() for table in (learner.encoder.user, learner.encoder.item))
        learner.write(user=user, item=item)
        found, asked = learner.embed(), (now.user @ turn, now.item @ turn)
        for got, want in zip((found.user, found.item), asked, strict=True):
            if len(want) and float((got - want).abs().max()) > SAME * float(want.abs().max().clamp(min=1e-12)):
                raise GnnrecError(_mixes(learner))
        learner.objective.turn(turn.cpu())


def _mixes(learner: Learner) -> str:
    return (
        f"aligned retraining turns rows, and {type(learner.encoder).__name__} does not turn its embeddings with them; take an "
        "encoder that is linear in its rows, such as lightgcn or mf, or strategy=full_retrain"
    )


def rotation(now: Embeddings, old: Embeddings, weight: Tensor) -> Tensor:
    """Return the orthogonal R [d, d] that brings the old nodes' embeddings of `now` closest to those of `old`.

    Args:
        now, old: embeddings; `now` has all of the old nodes and maybe more.
        weight: of each old node, users first, [n].
    """
    present = torch.cat([now.user[: len(old.user)], now.item[: len(old.item)]]).double()
    past = torch.cat([old.user, old.item]).double()
    if present.shape != past.shape:
        return torch.eye(present.shape[1]).to(now.user)
    u, _, v = torch.linalg.svd(present.T @ (weight.to(past).unsqueeze(1) * past))
    turn: Tensor = (u @ v).to(now.user)
    return turn
