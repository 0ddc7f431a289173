"""Sampled softmax over cosine similarities and the items' own frequency."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gnnrec.encoders.tables import Embedded, Embeddings
from gnnrec.objectives.base import Batch, Objective, input_norm, mean


class Softmax(Objective):
    """−mean log of the positive's softmax share among itself and M shared sampled items.

    Score: cos(e_u, e_i) / τ + β · log(1 + n_i). Wu et al., "On the effectiveness of sampled softmax loss for item
    recommendation" (arXiv 2201.02327), samples shared by the batch: every event meets M negatives for the price of M
    embeddings, so quality is reached in a few epochs of large batches. Departs from it in the item term, without which a cosine
    forgets how popular an item is, and in that a sampled positive is not left out.

    Args:
        l2: weight of the input rows' norm.
        temperature: τ, that cosines are divided by.
        popularity: β, the weight of log(1 + absorbed events of the item); 0: none.
        samples: M, the same for every batch, however small; as many as there are items at most.
        weighted: whether events count by their values, as implicit weights do, instead of alike.
    """

    paired = False

    def __init__(
        self,
        l2: float = 1e-4,
        temperature: float = 0.1,
        popularity: float = 0.8,
        samples: int = 1024,
        weighted: bool = False,
    ) -> None:
        super().__init__(l2, popularity)
        self.temperature, self.shared, self.weighted = temperature, samples, weighted

    def forward(self, z: Embedded, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""
        user = F.normalize(z.users(batch.user), dim=1) / self.temperature
        good = (user * F.normalize(z.items(batch.item), dim=1)).sum(1) + self.term(batch.item)
        others = user @ F.normalize(z.items(batch.shared), dim=1).T + self.term(batch.shared)
        share = torch.cat([good[:, None], others], dim=1).log_softmax(1)[:, 0]
        return mean(-share, batch, self.weighted) + self.l2 * input_norm(z, batch, negatives=False)

    def scores(self, z: Embeddings, user: Tensor) -> Tensor:
        """Return the score of every item for each user, [n, i]."""
        near = F.normalize(z.user[user], dim=1) @ F.normalize(z.item, dim=1).T
        return near.div_(self.temperature).add_(self.term.all_items())
