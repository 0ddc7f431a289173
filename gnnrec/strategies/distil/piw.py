"""Learnt weights of users in a distillation: who has changed is held less, or more, as training finds.

Letters: n users or items, d width, k clusters, h hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gnnrec.core.errors import above_zero
from gnnrec.core.seeds import derive
from gnnrec.encoders.tables import Embeddings


class UserWeights(nn.Module):
    """w_u = softplus(MLP(s_u / mean s)), scaled to a mean of 1, s_u = (g_u(t−1) − g_u(t))², g_u = softmax_k(e_uᵀ W_k μ_k).

    SAIL-PIW (Wang et al., AAAI 2023), as the code published with CCD (KDD 2024) has it. μ are k centres of items, soft clusters
    by Student's t, sharpened as in deep embedded clustering: `spread` is λ · KL(p ‖ q). The weights are trained to make the
    loss that they weigh small, and the mean of 1 is all that keeps them from vanishing; `detached` takes the slope through the
    embeddings away, so that the model is not moved to where weights are small. Student's t has one degree of freedom.

    Departs from that code in that s is divided by its mean over the batch: squares of differences between shares are of the
    order of 1e-6 and less, of which a network makes the same weight for everybody (measured on two logs: no list changed).

    Args:
        clusters: k.
        hidden: h.
        soft: λ of the clustering.
        detached: whether embeddings are constants to the weights.
    """

    def __init__(self, clusters: int = 10, hidden: int = 32, soft: float = 0.01, detached: bool = True) -> None:
        super().__init__()
        above_zero("strategy.weights", clusters=clusters, hidden=hidden)
        self.clusters, self.hidden, self.soft, self.detached = clusters, hidden, soft, detached
        self.centre = nn.Parameter(torch.empty(clusters, 0))
        self.turn = nn.Parameter(torch.empty(clusters, 0, 0))
        self.first, self.second = nn.Linear(clusters, hidden), nn.Linear(hidden, 1)
        for layer in (self.first, self.second):  # until `fit_to` they are nobody's, and draw from no generator
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def fit_to(self, width: int, items: Tensor, seed: int) -> None:
        """Start for embeddings of `width` columns, centres at some items [n, d]; what has been learnt already stays."""
        if self.centre.shape[1] == width or not len(items):
            return
        chance = torch.Generator().manual_seed(derive(seed, "piw"))
        at = torch.randint(len(items), (self.clusters,), generator=chance)
        self.centre = nn.Parameter(items.detach().cpu()[at].clone())
        self.turn = nn.Parameter(torch.eye(width).repeat(self.clusters, 1, 1))
        for layer in (self.first, self.second):
            layer.weight = nn.Parameter(torch.randn(layer.weight.shape, generator=chance) * layer.in_features**-0.5)
            layer.bias = nn.Parameter(torch.zeros_like(layer.bias))

    def forward(self, then: Tensor, now: Tensor) -> Tensor:
        """Return the weights of users whose embeddings were and are these, [n, d] twice to [n]."""
        state = (self._near(then) - self._near(now.detach() if self.detached else now)).square()
        state = state / state.mean().clamp_min(torch.finfo(state.dtype).tiny)  # nobody has moved yet: all alike
        weight = F.softplus(self.second(F.relu(self.first(state)))).squeeze(1)
        return weight / weight.mean()

    def _near(self, user: Tensor) -> Tensor:
        """Return g, [n, k]."""
        return torch.einsum("nd,kde,ke->nk", user, self.turn, self.centre).softmax(1)

    def spread(self, items: Tensor) -> Tensor | float:
        """Return λ · KL(p ‖ q) of items [n, d], averaged over them."""
        if not self.soft or not len(items):
            return 0.0
        q = 1 / (1 + torch.cdist(items, self.centre).square())
        q = q / q.sum(1, keepdim=True)
        p = q.square() / q.sum(0)
        p = (p / p.sum(1, keepdim=True)).detach()
        return self.soft * F.kl_div(q.log(), p, reduction="batchmean")


def start(weights: UserWeights | None, old: Embeddings, seed: int) -> None:
    """Make weights, where something learns them, fit the old model's embeddings."""
    if weights is not None:
        weights.fit_to(old.user.shape[1], old.item, seed)


def weigh(weights: UserWeights | None, then: Tensor, now: Tensor) -> Tensor:
    """Return how much each of some users' terms counts, [n, d] twice to [n]; all alike where nothing learns it."""
    return then.new_ones(len(then)) if weights is None or not len(then) else weights(then, now)


def spread(weights: UserWeights | None, items: Tensor) -> Tensor | float:
    """Return the clustering's own term of old items [n, d]; 0 where nothing learns weights."""
    return 0.0 if weights is None else weights.spread(items)
