"""Sampled softmax over cosine similarities."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gnnrec.encoders.tables import Embedded, Embeddings
from gnnrec.objectives.base import Batch, Objective, input_norm, mean


class Softmax(Objective):
    """−mean log of the positive's softmax share among itself and M shared sampled items, over cosine similarities.

    Wu et al., "On the effectiveness of sampled softmax loss for item recommendation" (arXiv 2201.02327), with uniform
    samples shared by the batch. Every event meets M negatives for the price of M embeddings, so quality is reached
    in a few epochs of large batches. Departs from it in that a sampled positive is not left out.

    Args:
        l2: weight of the input rows' norm.
        temperature: τ, that cosines are divided by.
        samples: M, the same for every batch, however small; as many as there are items at most.
        weighted: whether events count by their values, as implicit weights do, instead of alike.
    """

    paired = False

    def __init__(self, l2: float = 1e-4, temperature: float = 0.1, samples: int = 1024, weighted: bool = False) -> None:
        super().__init__(l2)
        self.temperature, self.shared, self.weighted = temperature, samples, weighted

    def forward(self, z: Embedded, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""
        user = F.normalize(z.users(batch.user), dim=1) / self.temperature
        good = (user * F.normalize(z.items(batch.item), dim=1)).sum(1, keepdim=True)
        others = user @ F.normalize(z.items(batch.shared), dim=1).T
        share = torch.cat([good, others], dim=1).log_softmax(1)[:, 0]
        return mean(-share, batch, self.weighted) + self.l2 * input_norm(z, batch, negatives=False)

    def scores(self, z: Embeddings, user: Tensor) -> Tensor:
        """Return the cosine of every item for each user, [n, i]."""
        return z.user[user] @ F.normalize(z.item, dim=1).T
