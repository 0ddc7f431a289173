"""Cross-entropy over all items: softmax without sampling, where that is affordable."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gnnrec.core.errors import GnnrecError, above_zero
from gnnrec.data.types import Interactions
from gnnrec.encoders.tables import Embedded, Embeddings, pick
from gnnrec.objectives.base import Batch, Factors, Negatives, Objective, cosine_factors, cosine_scores, input_norm
from gnnrec.objectives.shared_softmax import softmax_loss


class CrossEntropy(Objective):
    """−mean log of the positive's softmax share among all items. Score: cos(e_u, e_i) / τ + β · log(1 + n_i).

    A step costs n · i scores, three matrix products of n, i and d, in blocks.

    Args:
        l2: weight of the input rows' norm.
        temperature: τ.
        popularity: β.
        most_items: items above which an error says what to take instead.
        weighted: whether events count by their values, as implicit weights do, instead of alike.
        half_life: of the events n_i, in absorbed events; infinite: all alike; None: as valid prefers of the counters.

    Raises:
        GnnrecError: there are more than `most_items` items.
    """

    negatives = Negatives(paired=False)

    def __init__(
        self,
        l2: float = 1e-4,
        temperature: float = 0.15,
        popularity: float = 0.8,
        most_items: int = 50_000,
        weighted: bool = False,
        half_life: float | None = None,
    ) -> None:
        super().__init__(l2, popularity, half_life)
        above_zero("objective", temperature=temperature)
        self.temperature, self.most_items, self.weighted = temperature, most_items, weighted
        self._items = 0

    def grow(self, events: Interactions, num_users: int, num_items: int) -> None:
        """Make room for new items."""
        if num_items > self.most_items:
            raise GnnrecError(
                f"objective=cross_entropy compares every event with all {num_items:,} items, more than "
                f"objective.most_items={self.most_items:,}; take objective=softmax, which samples them"
            )
        self._items = num_items
        super().grow(events, num_users, num_items)

    def nodes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the batch's users and all items."""
        return torch.unique(batch.user), torch.arange(self._items, device=batch.user.device)

    def forward(self, z: Embedded, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""
        every = torch.arange(self._items, device=batch.user.device)
        items = F.normalize(z.items(every), dim=1)
        user = F.normalize(z.users(batch.user), dim=1) / self.temperature
        good = (user * pick(items, batch.item)).sum(1) + self.term.when(batch.item, batch.within)
        offset = self.term.by_slice(batch.within)
        loss = softmax_loss(user, items, good, offset, batch._replace(shared=every), self.weighted)
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
