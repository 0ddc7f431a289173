"""Matrix factorisation: no graph, so that a table shows what the graph adds."""

from __future__ import annotations

from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.models.embeddings import Embeddings
from gnnrec.models.encoders import Encoder


class MF(Encoder):
    """The tables themselves (Rendle et al., "BPR", UAI 2009, when trained with the `bpr` objective)."""

    def __init__(self, width: int = 64, scale: float = 0.1) -> None:
        super().__init__(width, scale)

    def forward(self, graph: BipartiteGraph) -> Embeddings:
        """Return the tables; `graph` is not read."""
        user, item = self.user.weight, self.item.weight
        return Embeddings(user, item, user, item)
