"""DirectAU: alignment and uniformity, without a negative."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gnnrec.encoders.tables import Embedded, Embeddings
from gnnrec.objectives.base import Batch, Factors, Negatives, Objective, cosine_factors, cosine_scores, input_norm, mean


class DirectAU(Objective):
    """mean ‖ê_u − ê_i‖² + γ · (U(users) + U(items)) / 2, U = log mean exp(−2 ‖x − y‖²) over pairs of a batch's rows.

    Wang et al., "Towards representation alignment and uniformity in collaborative filtering", KDD 2022 (arXiv 2206.12811),
    formulas 4 and 5. Nothing that has not been seen is pushed away, so nothing that is yet to come is. Departs from it in that
    U is taken over distinct nodes, `sample` of them at most, and in the item term of the score, which the loss does not see
    (β = 0: cosine; the authors rank by inner product).

    Args:
        l2: weight of the input rows' norm.
        gamma: γ.
        popularity: β, the weight of log(1 + absorbed events of the item) beside the cosine.
        sample: most users, and items, of a batch whose pairs are compared.
        weighted: whether events count by their values in the alignment, as implicit weights do, instead of alike.
        half_life: of the events n_i, in absorbed events; infinite: all alike; None: as valid prefers of the counters.
    """

    negatives = Negatives(paired=False)

    def __init__(
        self,
        l2: float = 1e-4,
        gamma: float = 2.0,
        popularity: float = 0.08,
        sample: int = 2048,
        weighted: bool = False,
        half_life: float | None = None,
    ) -> None:
        super().__init__(l2, popularity, half_life)
        self.gamma, self.sample, self.weighted = gamma, sample, weighted

    def forward(self, z: Embedded, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""
        user, item = (F.normalize(x, dim=1) for x in (z.users(batch.user), z.items(batch.item)))
        aligned = mean((user - item).square().sum(1), batch, self.weighted)
        # The first of a batch are a sample of it: its order is random.
        few = batch.user[: self.sample], batch.item[: self.sample]
        spread = _uniformity(z.users(torch.unique(few[0]))) + _uniformity(z.items(torch.unique(few[1])))
        return aligned + self.gamma * spread / 2 + self.l2 * input_norm(z, batch, negatives=False)

    def affinity(self, user: Tensor, item: Tensor) -> Tensor:
        """Return the cosine of each pair, [...]."""
        return F.cosine_similarity(user, item, dim=-1)

    def scores(self, z: Embeddings, user: Tensor) -> Tensor:
        """Return the score of every item for each user, [n, i]."""
        return cosine_scores(z, user, self.term)

    def factors(self, z: Embeddings) -> Factors:
        """Return directions and the item term."""
        return cosine_factors(z, self.term)


def _uniformity(rows: Tensor) -> Tensor:
    """Return log mean exp(−2 ‖x − y‖²) over the pairs of distinct rows [n, d], normalised; 0 where there is no pair."""
    if len(rows) < 2:
        return rows.new_zeros(())
    unit, n = F.normalize(rows, dim=1), len(rows)
    # ‖x − y‖² = 2 − 2 <x, y>: one product, where a list of distances would hold a square root whose slope is infinite at 0.
    # A row with itself counts 1, however it is turned: taken off.
    near = (-4 * (1 - unit @ unit.T)).exp()
    return ((near.sum() - near.diagonal().sum()) / (n * (n - 1))).log()
