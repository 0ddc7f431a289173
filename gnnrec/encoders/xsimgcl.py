"""XSimGCL: LightGCN whose layers are perturbed in training, and a contrast of one of them with the read-out.

Letters: u users, i items, d width, L layers, b distinct nodes of a batch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gnnrec.core.errors import GnnrecError, above_zero
from gnnrec.encoders.base import Encoder, EncoderStep
from gnnrec.encoders.chance import Chance
from gnnrec.encoders.initial import RowPair
from gnnrec.encoders.tables import Embeddings, pick
from gnnrec.graph.bipartite import BipartiteGraph


class XSimGCL(Encoder):
    """Yu et al., "XSimGCL: Towards extremely simple graph contrastive learning for recommendation" (arXiv 2209.02544).

    e^l = P e^(l-1) + Δ_l in training, Δ = ε · sign(e) ⊙ n/|n| with n uniform in [0, 1)^d; e = 1/L · Σ_{l=1..L} e^l, without the
    rows themselves, as in the paper. To the loss of a batch comes λ · (InfoNCE over its distinct users + over its items): of
    e^(l*) with e, by cosines over τ. Both come out of one propagation. What serves and what is scored on valid has no noise.

    The contrast drives all nodes apart, those of one taste with them, and the more the shorter they are; noise bounds that. On
    small dense graphs λ must be small: two blocks of 27 nodes are found with ε = 0.2, λ = 0.05, not with λ = 0.2 or without ε.

    Args:
        width: d.
        layers: L, at least 1.
        scale: standard deviation of random initial rows.
        noise: ε, the length of the noise; 0: none.
        weight: λ; 0: no contrast.
        temperature: τ.
        contrast: l*, the layer that is contrasted with the read-out.
        sample: most events of a batch whose nodes are contrasted, at the cost of all pairs; the paper's batches have 2,048.
        seed: of the noise.

    Raises:
        GnnrecError: there is no layer l*.
    """

    spreads = True

    def __init__(
        self,
        width: int = 64,
        layers: int = 3,
        scale: float = 0.1,
        noise: float = 0.2,
        weight: float = 0.2,
        temperature: float = 0.15,
        contrast: int = 1,
        sample: int = 2048,
        seed: int = 0,
    ) -> None:
        super().__init__(width, scale, layers)
        if not 1 <= contrast <= layers:
            raise GnnrecError(f"encoder.contrast={contrast} must be a layer: 1 to encoder.layers={layers}")
        above_zero("encoder", temperature=temperature, sample=sample)
        self.noise, self.weight, self.temperature, self.contrast = noise, weight, temperature, contrast
        self.chance, self.sample = Chance(seed), sample
        self._views: tuple[RowPair, RowPair] | None = None

    def forward(self, graph: BipartiteGraph) -> Embeddings:
        """Return [u, d] and [i, d] means over layers 1 to L, perturbed in training, and the input rows."""
        own = self.user.weight, self.item.weight
        if not self.training:
            weights = torch.tensor([0.0, *[1 / self.layers] * self.layers])
            return Embeddings(*graph.polynomial(*own, weights), *own)
        layers = self._perturbed(graph)
        user, item = (torch.stack(side).mean(0) for side in zip(*layers, strict=True))
        self._views = layers[self.contrast - 1], (user, item)
        return Embeddings(user, item, *own)

    def auxiliary(self, step: EncoderStep) -> Tensor | float:
        """Return λ times the contrast of the views that this step's forward pass has left."""
        views, self._views = self._views, None
        if views is None or not self.weight:
            return 0.0
        # The first of a batch are a sample of it: its order is random.
        nodes = (torch.unique(column[: self.sample]) for column in (step.batch.user, step.batch.item))
        one, other = views
        both = [info_nce(pick(one[k], at), pick(other[k], at), self.temperature) for k, at in enumerate(nodes)]
        return self.weight * torch.stack(both).sum()

    def by_layer(self, graph: BipartiteGraph) -> list[Embeddings]:
        """Return e^0 … e^L, perturbed in training as the read-out is."""
        own = self.user.weight, self.item.weight
        return [Embeddings(*layer, *own) for layer in (own, *self._perturbed(graph))]

    def __getstate__(self) -> dict[str, Any]:
        """Return what copies and pickles hold: everything but the views of a step."""
        return {**self.__dict__, "_views": None}

    def _perturbed(self, graph: BipartiteGraph) -> list[RowPair]:
        """Return layers 1 to L."""
        chance = self.chance.generator() if self.training and self.noise else None
        found: list[RowPair] = [(self.user.weight, self.item.weight)]
        for _ in range(self.layers):
            user, item = graph.propagate(*found[-1])
            if chance is not None:
                user, item = user + _noise(user, self.noise, chance), item + _noise(item, self.noise, chance)
            found.append((user, item))
        return found[1:]


def _noise(x: Tensor, length: float, chance: torch.Generator) -> Tensor:
    """Return rows of this length in the orthants of the rows of `x` [n, d]; entries are 0 where those of `x` are."""
    drawn = torch.rand(x.shape, generator=chance, device=x.device, dtype=x.dtype)
    return length * x.detach().sign() * F.normalize(drawn, dim=1)


def info_nce(one: Tensor, other: Tensor, temperature: float) -> Tensor:
    """Return −mean_n log (exp(c_nn/τ) / Σ_m exp(c_nm/τ)), c_nm the cosine of row n of one and row m of the other, [b, d]."""
    cosine = F.normalize(one, dim=1) @ F.normalize(other, dim=1).T / temperature
    return F.cross_entropy(cosine, torch.arange(len(cosine), device=cosine.device))
