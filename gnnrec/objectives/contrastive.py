"""SimpleX's cosine contrastive loss."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from gnnrec.core.errors import above_zero
from gnnrec.encoders.tables import Embedded, Embeddings
from gnnrec.objectives.base import Batch, Factors, Negatives, Objective, cosine_factors, cosine_scores, input_norm, mean


class Contrastive(Objective):
    """mean (1 − c_ui) + w · mean_j max(0, c_uj − m), c the cosine plus the item term β · log(1 + n_i).

    Mao et al., "SimpleX", CIKM 2021 (arXiv 2109.12613), formula 2. Departs from it in that the negatives are shared by the
    batch, in the item term (β = 0 is as published), and in that users are not averaged with their items: that is the
    encoder's affair here.

    Args:
        l2: weight of the input rows' norm.
        margin: m, the cosine below which a negative costs nothing.
        negative_weight: w, of the mean over negatives.
        popularity: β.
        samples: negatives, shared by the batch.
        weighted: whether events count by their values, as implicit weights do, instead of alike.
        half_life: of the events n_i, in absorbed events; infinite: all alike; None: as valid prefers of the counters.
    """

    def __init__(
        self,
        l2: float = 1e-4,
        margin: float = 0.4,
        negative_weight: float = 150.0,
        popularity: float = 0.08,
        samples: int = 1024,
        weighted: bool = False,
        half_life: float | None = None,
    ) -> None:
        super().__init__(l2, popularity, half_life)
        above_zero("objective", samples=samples)
        self.margin, self.negative_weight = margin, negative_weight
        self.negatives, self.weighted = Negatives(paired=False, shared=samples), weighted

    def forward(self, z: Embedded, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""
        user = F.normalize(z.users(batch.user), dim=1)
        good = (user * F.normalize(z.items(batch.item), dim=1)).sum(1) + self.term.when(batch.item, batch.within)
        offset = self.term.by_slice(batch.within, batch.shared)
        offset = offset[batch.within] if offset.dim() == 2 else offset
        others = user @ F.normalize(z.items(batch.shared), dim=1).T + offset
        loss = 1 - good + self.negative_weight * F.relu(others - self.margin).mean(1)
        return mean(loss, batch, self.weighted) + self.l2 * input_norm(z, batch, negatives=False)

    def affinity(self, user: Tensor, item: Tensor) -> Tensor:
        """Return the cosine of each pair, [...]."""
        return F.cosine_similarity(user, item, dim=-1)

    def scores(self, z: Embeddings, user: Tensor) -> Tensor:
        """Return the score of every item for each user, [n, i]."""
        return cosine_scores(z, user, self.term)

    def factors(self, z: Embeddings) -> Factors:
        """Return directions and the item term."""
        return cosine_factors(z, self.term)
