"""Sampled softmax over cosine similarities and the items' own frequency."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from gnnrec.core.errors import above_zero
from gnnrec.encoders.tables import Embedded, Embeddings
from gnnrec.objectives.base import Batch, Factors, Negatives, Objective, cosine_factors, cosine_scores, input_norm
from gnnrec.objectives.shared_softmax import softmax_loss


class Softmax(Objective):
    """−mean log of the positive's softmax share among itself and M shared sampled items.

    Score: cos(e_u, e_i) / τ + β · log(1 + n_i). Wu et al., "On the effectiveness of sampled softmax loss for item
    recommendation" (arXiv 2201.02327), samples shared by the batch: every event meets M negatives for the price of M
    embeddings, so quality is reached in a few epochs of large batches. Departs from it in the item term, without which a cosine
    forgets how popular an item is. With all items as samples it is cross-entropy.

    Args:
        l2: weight of the input rows' norm.
        temperature: τ, that cosines are divided by.
        popularity: β, the weight of log(1 + absorbed events of the item); 0: none.
        samples: M, the same for every batch, however small; as many as there are items at most.
        negatives: where samples come from: "uniform" over items, by "popularity", or of the "batch" itself.
        corrected: whether a sample counts for as many items as it stands for, 1 over its chance to be a sample (the logQ
            correction of Bengio & Senécal, 2008), so that the share is that among all items; without it samples by
            popularity teach popular items to be less near, which the item term gives back.
        weighted: whether events count by their values, as implicit weights do, instead of alike.
        half_life: of the events n_i, in absorbed events; infinite: all alike; None: as valid prefers of the counters.
    """

    def __init__(
        self,
        l2: float = 1e-4,
        temperature: float = 0.15,
        popularity: float = 0.8,
        samples: int = 1024,
        weighted: bool = False,
        negatives: str = "uniform",
        corrected: bool = False,
        half_life: float | None = None,
    ) -> None:
        super().__init__(l2, popularity, half_life)
        above_zero("objective", temperature=temperature, samples=samples)
        self.temperature, self.weighted, self.corrected = temperature, weighted, corrected
        self.negatives = Negatives(paired=False, shared=samples, source=negatives)

    def forward(self, z: Embedded, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""
        user = F.normalize(z.users(batch.user), dim=1) / self.temperature
        good = (user * F.normalize(z.items(batch.item), dim=1)).sum(1) + self.term.when(batch.item, batch.within)
        offset = self.term.by_slice(batch.within, batch.shared)
        if self.corrected:
            offset = offset - self.term.drawn(batch.shared, self.negatives.source != "uniform")
        loss = softmax_loss(user, F.normalize(z.items(batch.shared), dim=1), good, offset, batch, self.weighted)
        return loss + self.l2 * input_norm(z, batch, negatives=False)

    def affinity(self, user: Tensor, item: Tensor) -> Tensor:
        """Return the cosine of each pair over τ, [...]."""
        return F.cosine_similarity(user, item, dim=-1) / self.temperature

    def scores(self, z: Embeddings, user: Tensor) -> Tensor:
        """Return the score of every item for each user, [n, i]."""
        return cosine_scores(z, user, self.term, self.temperature)

    def factors(self, z: Embeddings) -> Factors:
        """Return directions over the temperature, directions, and the item term."""
        return cosine_factors(z, self.term, self.temperature)
