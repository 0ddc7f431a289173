"""LightGCN over rows that side information is part of: a node has a place when it is numbered, before any event.

Letters: u users, i items, n nodes, d width, f and g numbers known of a user and of an item, L layers.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gnnrec.core.errors import GnnrecError
from gnnrec.core.seeds import derive
from gnnrec.data.types import Singles
from gnnrec.encoders.base import Encoder, NewNodes
from gnnrec.encoders.partial import linear_layers
from gnnrec.encoders.tables import Embedded, Embeddings, SomeEmbeddings
from gnnrec.graph.bipartite import BipartiteGraph

COMBINE = ("add", "concat")


class Featured(Encoder):
    """e = 1/(L+1) · Σ_{l=0..L} P^l x' with x' = x + W f, or x' = x || W f, of a node with row x [d] and numbers f.

    The linear projection of PinSage (Ying et al., KDD 2018) before LightGCN's propagation (He et al., SIGIR 2020); departs from
    both in that nodes keep rows of their own beside it. There is a W for users and one for items. What is unknown (NaN) counts
    as 0; without any features it is LightGCN.

    Args:
        width: d.
        layers: L.
        scale: standard deviation of random initial rows, and of W f at the start where rows have length 1.
        combine: "add", or "concat": a read-out of 2 d columns.
        normalise: whether numbers of a node are brought to length 1, as bags of words and embeddings should be.
        seed: of the initial W.

    Raises:
        GnnrecError: combine is neither; or, in growing, features have another number of columns than before.
    """

    spreads = True
    user_known: Tensor
    item_known: Tensor

    def __init__(
        self,
        width: int = 64,
        layers: int = 3,
        scale: float = 0.1,
        combine: str = "add",
        normalise: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(width, scale, layers)
        if combine not in COMBINE:
            raise GnnrecError(f"encoder.combine='{combine}' must be one of {', '.join(COMBINE)}")
        self.combine, self.normalise, self.seed = combine, normalise, seed
        self.out = width if combine == "add" else 2 * width
        for side in ("user", "item"):
            self.register_buffer(f"{side}_known", torch.empty(0, 0))
            # How many numbers there are is known with the first nodes.
            self.register_parameter(f"{side}_map", nn.Parameter(torch.empty(0, width)))

    def grow(self, new: NewNodes) -> None:
        """Append the new nodes' rows and take in what is known of all."""
        super().grow(new)
        if new.features is not None:
            for side, rows in (("user", new.features.user), ("item", new.features.item)):
                if rows is not None and rows.shape[1]:
                    self._take_in(side, rows)

    def forward(self, graph: BipartiteGraph) -> Embeddings:
        """Return [u, out] and [i, out] means over layers, and the rows without features, [u, d] and [i, d]."""
        user, item = graph.polynomial(*self._combined(), self._weights)
        return Embeddings(user, item, self.user.weight, self.item.weight)

    def rows(self, graph: BipartiteGraph, users: Tensor, items: Tensor) -> Embedded:
        """Return these nodes' rows of `forward`, the last layer taken over their edges alone where that is less."""
        some, whole = graph.polynomial_rows(*self._combined(), self._weights, users, items), partial(self, graph)
        if some is None:
            return whole()  # type: ignore[no-any-return]
        own = self.user.weight[users], self.item.weight[items]
        return SomeEmbeddings(users, items, Embeddings(*some[:2], *own), whole)

    def by_layer(self, graph: BipartiteGraph) -> list[Embeddings]:
        """Return P^l x' for l = 0..L."""
        return linear_layers(graph, *self._combined(), self.layers)

    @property
    def _weights(self) -> Tensor:
        return torch.full((self.layers + 1,), 1 / (self.layers + 1))

    def _combined(self) -> tuple[Tensor, Tensor]:
        """Return x', [u, out] and [i, out]."""
        own, known = (self.user.weight, self.item.weight), (self.user_known, self.item_known)
        maps = self.get_parameter("user_map"), self.get_parameter("item_map")
        user, item = (self._beside(x, f, w) for x, f, w in zip(own, known, maps, strict=True))
        return user, item

    def _beside(self, rows: Tensor, known: Tensor, weight: Tensor) -> Tensor:
        """Return rows [n, d] with the projection of what is known of the first of them, [n, out]."""
        if not len(weight):
            return rows if self.combine == "add" else F.pad(rows, (0, self.width))
        more = F.pad(known.to(weight) @ weight, (0, 0, 0, len(rows) - len(known)))
        return rows + more if self.combine == "add" else torch.cat([rows, more], dim=1)

    def _take_in(self, side: str, rows: Singles) -> None:
        known, weight = torch.from_numpy(np.nan_to_num(rows)), self.get_parameter(f"{side}_map")
        if not len(weight):
            chance = torch.Generator().manual_seed(derive(self.seed, "features", side))
            start = self.scale * torch.randn(known.shape[1], self.width, generator=chance)
            setattr(self, f"{side}_map", nn.Parameter(start.to(weight)))
        elif len(weight) != known.shape[1]:
            raise GnnrecError(f"{side}s came with {len(weight)} features each and now come with {known.shape[1]}")
        setattr(self, f"{side}_known", F.normalize(known, dim=1) if self.normalise else known)
