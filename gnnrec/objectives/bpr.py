"""BPR: pairs of a positive and a sampled item."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnrec.encoders.tables import Embedded
from gnnrec.objectives.base import Batch, Negatives, Objective, input_norm, pairwise_loss


class BPR(Objective):
    """−mean log σ(s_ui − s_uj) over positives (Rendle et al., UAI 2009), with L2 on the input rows.

    Score: <e_u, e_i> + β · log(1 + n_i), n_i the absorbed events of item i. An inner product learns the items' popularity by
    itself, in time; β gives it at once.

    Args:
        l2: weight of the input rows' norm.
        weighted: whether events count by their values, as implicit weights do, instead of alike.
        popularity: β; 0: as published.
        candidates: negatives drawn for each event, of which the one with the highest score is taken (Zhang et al., "Optimizing
            top-N collaborative filtering via dynamic negative item sampling", SIGIR 2013); 1: any.
        hard: False: all candidates are taken, the mean runs over them.
        half_life: of the events n_i, in absorbed events; infinite: all alike; None: as valid prefers of the counters.
    """

    def __init__(
        self,
        l2: float = 1e-2,
        weighted: bool = False,
        popularity: float = 0.0,
        candidates: int = 1,
        half_life: float | None = None,
        hard: bool = True,
    ) -> None:
        super().__init__(l2, popularity, half_life)
        self.weighted, self.hard, self.negatives = weighted, hard, Negatives(candidates=candidates)

    def forward(self, z: Embedded, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""
        if batch.negative.dim() > 1:
            batch = batch._replace(negative=self._hardest(z, batch)) if self.hard else _repeated(batch)
        loss = pairwise_loss(z, batch, self.weighted, self.ahead(batch))
        return loss + self.l2 * input_norm(z, batch, negatives=True)

    @torch.no_grad()
    def _hardest(self, z: Embedded, batch: Batch) -> Tensor:
        """Return of each event's candidates the one with the highest score, [n]."""
        rows = z.items(batch.negative.flatten()).view(*batch.negative.shape, -1)
        scores = (z.users(batch.user)[:, None] * rows).sum(2) + self.term.when(batch.negative, batch.within)
        return batch.negative.gather(1, scores.argmax(1, keepdim=True)).squeeze(1)


def _repeated(batch: Batch) -> Batch:
    """Return a batch with an event for each of its k negatives, [n · k]."""
    k = batch.negative.shape[1]
    own = {name: getattr(batch, name).repeat_interleave(k) for name in ("user", "item", "value", "positive")}
    within = batch.within.repeat_interleave(k) if len(batch.within) else batch.within
    return batch._replace(negative=batch.negative.flatten(), within=within, **own)
