"""LightGCN on the growing graph."""

from __future__ import annotations

import torch

from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.models.embeddings import Embeddings
from gnnrec.models.encoders import Encoder


class LightGCN(Encoder):
    """He et al., "LightGCN", SIGIR 2020 (arXiv 2002.02126): e = 1/(L+1) · Σ_{l=0..L} P^l x.

    Args:
        width: d.
        layers: L.
        scale: standard deviation of random initial rows.
    """

    def __init__(self, width: int = 64, layers: int = 3, scale: float = 0.1) -> None:
        super().__init__(width, scale, layers)

    def forward(self, graph: BipartiteGraph) -> Embeddings:
        """Return [u, d] and [i, d] means over layers, and the input rows."""
        weights = torch.full((self.layers + 1,), 1 / (self.layers + 1))
        user, item = graph.polynomial(self.user.weight, self.item.weight, weights)
        return Embeddings(user, item, self.user.weight, self.item.weight)
