"""NGCF: message passing with weights and the product of both ends of an edge.

Letters: u users, i items, d width, L layers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gnnrec.core.seeds import derive
from gnnrec.encoders.base import Encoder
from gnnrec.encoders.chance import Chance, checked_share, dropped
from gnnrec.encoders.tables import Embeddings
from gnnrec.graph.bipartite import BipartiteGraph

SLOPE = 0.2
"""Of LeakyReLU below 0."""


class NGCF(Encoder):
    """Wang et al., "Neural graph collaborative filtering", SIGIR 2019 (arXiv 1905.08108).

    e_u' = LeakyReLU(W1 e_u + Σ_{i∈N(u)} (W1 e_i + W2 (e_i ⊙ e_u)) / √(d_u d_i)), items likewise with the same weights; the
    read-out is x || e^1/|e^1| || … || e^L/|e^L|, of d · (L + 1) columns.

    As in the authors' code and not in the paper, layers are brought to length 1 in the read-out alone, and message dropout is
    taken of a layer's output. Departs from the code in that there are no constant terms and one LeakyReLU for the sum of
    both products (the paper's equation 7), and that Â has no self-loop: the node's own term is W1 e_u.

    Args:
        width: d; every layer maps d to d.
        layers: L.
        scale: standard deviation of random initial rows.
        dropout: share of a layer's output that is dropped in training.
        seed: of the initial weights (Xavier) and of dropout.
    """

    spreads = True

    def __init__(
        self, width: int = 64, layers: int = 3, scale: float = 0.1, dropout: float = 0.1, seed: int = 0
    ) -> None:
        super().__init__(width, scale, layers)
        self.dropout, self.out = checked_share("dropout", dropout), width * (layers + 1)
        self.chance = Chance(seed)
        start = torch.Generator().manual_seed(derive(seed, "weights"))
        self.own, self.both = (_square(width, layers, start) for _ in range(2))

    def forward(self, graph: BipartiteGraph) -> Embeddings:
        """Return [u, d·(L + 1)] and [i, d·(L + 1)], and the input rows."""
        first, *later = self._layers(graph)
        user, item = (torch.cat([x, *(F.normalize(y[k]) for y in later)], dim=1) for k, x in enumerate(first))
        return Embeddings(user, item, *first)

    def by_layer(self, graph: BipartiteGraph) -> list[Embeddings]:
        """Return e^0 … e^L, as long as they are."""
        layers = self._layers(graph)
        return [Embeddings(*layer, *layers[0]) for layer in layers]

    def _layers(self, graph: BipartiteGraph) -> list[tuple[Tensor, Tensor]]:
        found: list[tuple[Tensor, Tensor]] = [(self.user.weight, self.item.weight)]
        chance = self.chance.generator() if self.training and self.dropout else None
        for own, both in zip(self.own, self.both, strict=True):
            near = graph.propagate(*found[-1])
            user, item = (_passed(x, y, own, both) for x, y in zip(found[-1], near, strict=True))
            if chance is not None:
                user, item = dropped(user, self.dropout, chance), dropped(item, self.dropout, chance)
            found.append((user, item))
        return found


def _passed(x: Tensor, near: Tensor, own: Tensor, both: Tensor) -> Tensor:
    """Return LeakyReLU(W1 (x + n) + W2 (n ⊙ x)), n = Σ e_i / √(d_u d_i): the sum over edges moves inside, as W2 is linear."""
    return F.leaky_relu((x + near) @ own + (near * x) @ both, SLOPE)


def _square(width: int, layers: int, chance: torch.Generator) -> nn.ParameterList:
    """Return a [d, d] matrix for each layer."""
    made = (torch.empty(width, width) for _ in range(layers))
    return nn.ParameterList(nn.init.xavier_uniform_(w, generator=chance) for w in made)
