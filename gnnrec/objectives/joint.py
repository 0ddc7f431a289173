"""Ranking and rating from one model."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gnnrec.encoders.tables import Embedded
from gnnrec.objectives.base import Batch, input_norm, pairwise_loss
from gnnrec.objectives.rating import ValueHead


class Joint(ValueHead):
    """BPR and rating heads on the same embeddings, so that recall and MSE come from one model.

    Ranking score <e_u, e_i> + β · log(1 + n_i), n_i the absorbed events of item i. Expected value
    μ + b_u + b_i + <w ⊙ e_u, e_i> with a learnt w [d], 0 at the start, because how much somebody likes an item and how likely
    they are to rate it are different products of the same tastes.

    Args:
        l2: weight of the input rows' norm.
        rating_weight: weight of the squared error beside the BPR loss.
        shrinkage: of the biases, in events.
        width: d.
        popularity: β.
        half_life: of the events n_i, in absorbed events; infinite: all alike; None: as valid prefers of the counters.
    """

    def __init__(
        self,
        l2: float = 1e-2,
        rating_weight: float = 0.1,
        shrinkage: float = 3.0,
        width: int = 64,
        popularity: float = 1.0,
        half_life: float | None = None,
    ) -> None:
        super().__init__(l2, shrinkage, popularity, half_life)
        self.rating_weight = rating_weight
        self.taste = nn.Parameter(torch.zeros(width))
        self.register_buffer("basis", torch.empty(0, 0))

    basis: Tensor

    def fit_to(self, width: int) -> None:
        """Weigh as many columns as the encoder reads out."""
        if len(self.taste) != width:
            self.taste = nn.Parameter(torch.zeros(width))

    def forward(self, z: Embedded, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""
        error = self.predict(z, batch.user, batch.item) - batch.value
        ranking = pairwise_loss(z, batch, ahead=self.ahead(batch)) + self.l2 * input_norm(z, batch, negatives=True)
        return ranking + self.rating_weight * error.square().mean()

    def interaction(self, z: Embedded, user: Tensor, item: Tensor) -> Tensor:
        """Return <w ⊙ e_u, e_i>, [n], in the columns that w was learnt for."""
        rows = z.users(user), z.items(item)
        if len(self.basis):
            rows = rows[0] @ self.basis, rows[1] @ self.basis
        return (rows[0] * self.taste * rows[1]).sum(1)

    def keep(self, columns: Tensor, more: int) -> None:
        """Keep the weights of the columns; new ones have none."""
        if len(self.basis):
            self.basis = F.pad(self.basis[columns], (0, 0, 0, more))
        else:
            self.taste = nn.Parameter(F.pad(self.taste.detach()[columns], (0, more)))

    def turn(self, rotation: Tensor) -> None:
        """Keep the columns that w was learnt for."""
        self.basis = rotation.T @ self.basis if len(self.basis) else rotation.T.clone()
