"""Matrix factorisation: no graph, so that a table shows what the graph adds."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gnnrec.encoders.base import Encoder
from gnnrec.encoders.partial import Touched
from gnnrec.encoders.tables import Embedded, Embeddings, SomeEmbeddings, pick
from gnnrec.graph.bipartite import BipartiteGraph


class MF(Encoder):
    """The tables themselves (Rendle et al., "BPR", UAI 2009, when trained with the `bpr` objective)."""

    spreads = True

    def __init__(self, width: int = 64, scale: float = 0.1) -> None:
        super().__init__(width, scale)

    def forward(self, graph: BipartiteGraph) -> Embeddings:
        """Return the tables; `graph` is not read."""
        user, item = self.user.weight, self.item.weight
        return Embeddings(user, item, user, item)

    def touched(self, graph: BipartiteGraph, users: Tensor, items: Tensor) -> Touched:
        """Return what trains these rows only; exact, as rows do not depend on each other."""
        with torch.no_grad():
            return Touched(self(graph), torch.ones(1), BipartiteGraph.empty(), users, items)

    def rows(self, graph: BipartiteGraph, users: Tensor, items: Tensor) -> Embedded:
        """Return these nodes' rows."""
        user, item = pick(self.user.weight, users), pick(self.item.weight, items)
        return SomeEmbeddings(users, items, Embeddings(user, item, user, item), partial(self, graph))

    def by_layer(self, graph: BipartiteGraph) -> list[Embeddings]:
        """Return the tables, the only layer."""
        return [self(graph)]
