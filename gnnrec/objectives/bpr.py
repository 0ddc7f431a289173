"""BPR: pairs of a positive and a sampled item."""

from __future__ import annotations

from torch import Tensor

from gnnrec.encoders.tables import Embedded
from gnnrec.objectives.base import Batch, Objective, input_norm, pairwise_loss


class BPR(Objective):
    """−mean log σ(s_ui − s_uj) over positives (Rendle et al., UAI 2009), with L2 on the input rows.

    Score: <e_u, e_i> + β · log(1 + n_i), n_i the absorbed events of item i. An inner product learns the items' popularity by
    itself, in time; β gives it at once.

    Args:
        l2: weight of the input rows' norm.
        weighted: whether events count by their values, as implicit weights do, instead of alike.
        popularity: β; 0: as published.
    """

    def __init__(self, l2: float = 1e-2, weighted: bool = False, popularity: float = 0.0) -> None:
        super().__init__(l2, popularity)
        self.weighted = weighted

    def forward(self, z: Embedded, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""
        loss = pairwise_loss(z, batch, self.weighted, self.ahead(batch))
        return loss + self.l2 * input_norm(z, batch, negatives=True)
