"""What every encoder has: two growing tables, and a read-out that needs the graph."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from gnnrec.core.errors import GnnrecError
from gnnrec.encoders.partial import Touched
from gnnrec.encoders.tables import Embedded, Embeddings, Table
from gnnrec.graph.bipartite import BipartiteGraph


class Encoder(nn.Module, ABC):
    """Turns a graph into embeddings of its users and items.

    Args:
        width: d, columns of the tables and of the read-out.
        scale: standard deviation of random initial rows.
        layers: hops of message passing in one forward pass; counts the edges touched.
    """

    def __init__(self, width: int = 64, scale: float = 0.1, layers: int = 0) -> None:
        super().__init__()
        for name, value, least in (("width", width, 1), ("layers", layers, 0)):
            if value < least:
                raise GnnrecError(f"encoder.{name}={value} must be {least} or more")
        self.layers = layers
        self.width, self.scale = width, scale
        self.user, self.item = Table(width), Table(width)

    def grow(self, user_rows: Tensor, item_rows: Tensor) -> None:
        """Append rows for new users [m, d] and new items [n, d]; old rows stay bit for bit."""
        self.user.append(user_rows)
        self.item.append(item_rows)

    @abstractmethod
    def forward(self, graph: BipartiteGraph) -> Embeddings:
        """Return the embeddings of every node of `graph`."""

    def touched(self, graph: BipartiteGraph, users: Tensor, items: Tensor) -> Touched | None:
        """Return what trains these rows only, [t], [t'], in this encoder's place; None: it trains whole."""
        return None

    def rows(self, graph: BipartiteGraph, users: Tensor, items: Tensor) -> Embedded:
        """Return the embeddings of at least these nodes, ascending numbers [b], [b'], at what they cost."""
        return self(graph)  # type: ignore[no-any-return]
