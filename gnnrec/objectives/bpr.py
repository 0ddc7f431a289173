"""BPR: pairs of a positive and a sampled item."""

from __future__ import annotations

from torch import Tensor

from gnnrec.encoders.tables import Embedded
from gnnrec.objectives.base import Batch, Objective, input_norm, pairwise_loss


class BPR(Objective):
    """−mean log σ(<e_u, e_i> − <e_u, e_j>) over positives (Rendle et al., UAI 2009), with L2 on the input rows.

    Args:
        l2: weight of the input rows' norm.
        weighted: whether events count by their values, as implicit weights do, instead of alike.
    """

    def __init__(self, l2: float = 1e-2, weighted: bool = False) -> None:
        super().__init__(l2)
        self.weighted = weighted

    def forward(self, z: Embedded, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""
        return pairwise_loss(z, batch, self.weighted) + self.l2 * input_norm(z, batch, negatives=True)
