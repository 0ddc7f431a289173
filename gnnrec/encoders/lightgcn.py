"""LightGCN on the growing graph."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from gnnrec.encoders.base import Encoder
from gnnrec.encoders.partial import Touched, linear_layers
from gnnrec.encoders.tables import Embedded, Embeddings, SomeEmbeddings
from gnnrec.graph.bipartite import BipartiteGraph


class LightGCN(Encoder):
    """He et al., "LightGCN", SIGIR 2020 (arXiv 2002.02126): e = 1/(L+1) · Σ_{l=0..L} P^l x.

    Args:
        width: d.
        layers: L.
        scale: standard deviation of random initial rows.
    """

    spreads = True

    def __init__(self, width: int = 64, layers: int = 3, scale: float = 0.1) -> None:
        super().__init__(width, scale, layers)

    @property
    def weights(self) -> Tensor:
        """Weights of the layers, [L + 1]."""
        return torch.full((self.layers + 1,), 1 / (self.layers + 1))

    def forward(self, graph: BipartiteGraph) -> Embeddings:
        """Return [u, d] and [i, d] means over layers, and the input rows."""
        user, item = graph.polynomial(self.user.weight, self.item.weight, self.weights)
        return Embeddings(user, item, self.user.weight, self.item.weight)

    def touched(self, graph: BipartiteGraph, users: Tensor, items: Tensor) -> Touched:
        """Return what trains these rows only."""
        with torch.no_grad():
            return Touched(self(graph), self.weights, graph, users, items)

    def rows(self, graph: BipartiteGraph, users: Tensor, items: Tensor) -> Embedded:
        """Return these nodes' rows of `forward`, the last layer taken over their edges alone where that is less."""
        some = graph.polynomial_rows(self.user.weight, self.item.weight, self.weights, users, items)
        whole: Callable[[], Embeddings] = partial(self, graph)
        return whole() if some is None else SomeEmbeddings(users, items, Embeddings(*some), whole)

    def by_layer(self, graph: BipartiteGraph) -> list[Embeddings]:
        """Return P^l x for l = 0..L."""
        return linear_layers(graph, self.user.weight, self.item.weight, self.layers)
