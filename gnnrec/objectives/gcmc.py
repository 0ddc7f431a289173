"""Levels of ratings as classes: a bilinear form of the embeddings for each, and their expectation as the value.

Letters: n pairs, i items, d width, r levels, b bases.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gnnrec.core.errors import GnnrecError, above_zero
from gnnrec.core.seeds import derive
from gnnrec.data.types import Interactions
from gnnrec.encoders.levels import checked_levels, found_levels, nearest_level
from gnnrec.encoders.tables import Embedded, Embeddings
from gnnrec.objectives.base import Batch, Negatives, input_norm
from gnnrec.objectives.rating import ValueHead


class RatingLevels(ValueHead):
    """van den Berg, Kipf & Welling, "Graph convolutional matrix completion" (arXiv 1706.02263), the decoder.

    p(r | u, i) = softmax_r(e_uᵀ Q_r e_i), Q_r = Σ_s a_rs P_s with b bases P_s [d, d]; the loss is −mean log p(r_ui | u, i) and
    the expected value Σ_r r · p(r | u, i). Items are ranked by it.

    Departs from the paper in that the value served is biases + γ · (expectation − biases), γ in [0, 1] chosen on valid: the
    expectation itself where γ is 1, as it is in training. Of a node without a row biases alone say what is expected.

    Args:
        l2: weight of the input rows' norm.
        levels: ascending; a value belongs to the nearest. None: those of the first events.
        bases: b.
        shrinkage: of the biases, in events.
        width: d.
        seed: of the initial P (orthogonal) and a (Xavier).

    Raises:
        GnnrecError: levels that do not ascend, or fewer than two.
    """

    selects_by = "mse"
    negatives = Negatives(paired=False)
    values: Tensor

    def __init__(
        self,
        l2: float = 1e-2,
        levels: Sequence[float] | None = None,
        bases: int = 2,
        shrinkage: float = 3.0,
        width: int = 64,
        seed: int = 0,
    ) -> None:
        super().__init__(l2, shrinkage)
        above_zero("objective", bases=bases)
        self.bases, self.seed = bases, seed
        self.register_buffer("values", torch.empty(0))
        self.share = nn.Parameter(torch.empty(0, bases))
        self.base = nn.Parameter(torch.empty(0, 0, 0))
        self.fit_to(width)
        if levels is not None:
            self._open(checked_levels(levels, "objective.levels"))

    def fit_to(self, width: int) -> None:
        """Make P_s for as many columns as the encoder reads out."""
        if self.base.shape[1] != width:
            chance = torch.Generator().manual_seed(derive(self.seed, "bases"))
            made = [nn.init.orthogonal_(torch.empty(width, width), generator=chance) for _ in range(self.bases)]
            self.base = nn.Parameter(torch.stack(made))

    def keep(self, columns: Tensor, more: int) -> None:
        """Keep the weights between the columns; new ones have none."""
        kept = self.base.detach()[:, columns][:, :, columns]
        self.base = nn.Parameter(F.pad(kept, (0, more, 0, more)))

    def grow(self, events: Interactions, num_users: int, num_items: int) -> None:
        """Give new nodes biases; the first events name the levels where none are named."""
        super().grow(events, num_users, num_items)
        if not len(self.values) and len(events):
            self._open(found_levels(events.value, "objective.levels"))

    def forward(self, z: Embedded, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""
        logits = self._logits(z.users(batch.user), z.items(batch.item))
        loss = F.cross_entropy(logits, nearest_level(batch.value, self.values))
        return loss + self.l2 * input_norm(z, batch, negatives=False)

    def interaction(self, z: Embedded, user: Tensor, item: Tensor) -> Tensor:
        """Return what the expectation adds to the biases, [n]."""
        expected = self._logits(z.users(user), z.items(item)).softmax(1) @ self.values
        bias: Tensor = self.bias(user, item)
        return expected - bias

    @torch.no_grad()
    def turn(self, rotation: Tensor) -> None:
        """Turn P_s with the embeddings."""
        self.base.copy_(rotation.T @ self.base @ rotation)

    def affinity(self, user: Tensor, item: Tensor) -> Tensor:
        """Return the expected value of each pair, [...]."""
        return self._logits(user, item).softmax(-1) @ self.values

    def scores(self, z: Embeddings, user: Tensor) -> Tensor:
        """Return the expected value of every item for each user, [n, i]."""
        forms = [z.user[user] @ base @ z.item.T for base in self.base]
        logits = [torch.stack([a * x for a, x in zip(row, forms, strict=True)]).sum(0) for row in self.share]
        # Level by level: [n, i, r] at once would be r times the memory.
        highest = reduce(torch.maximum, logits)
        total, weighted = torch.zeros_like(highest), torch.zeros_like(highest)
        for value, level in zip(self.values, logits, strict=True):
            weight = (level - highest).exp()
            total, weighted = total + weight, weighted + value * weight
        bias: Tensor = self.bias.all_items(user)
        return bias + self.trust * (weighted / total - bias)

    def _logits(self, user: Tensor, item: Tensor) -> Tensor:
        """Return e_uᵀ Q_r e_i of each pair and level, [..., r]."""
        forms = torch.stack([((user @ base) * item).sum(-1) for base in self.base], dim=-1)
        return forms @ self.share.T

    def _open(self, values: Tensor) -> None:
        """Make a_rs of these levels."""
        if len(values) < 2:
            raise GnnrecError(
                f"objective=gcmc tells levels of values apart, and there are {len(values)}: take an objective that ranks, such "
                "as softmax, or name levels by objective.levels"
            )
        chance = torch.Generator().manual_seed(derive(self.seed, "shares"))
        start = nn.init.xavier_uniform_(torch.empty(len(values), self.bases), generator=chance)
        self.values, self.share = values.to(self.base), nn.Parameter(start.to(self.base))
