"""GC-MC: messages that differ by the value of the edge.

Letters: u users, i items, n nodes, d width, h columns of a message, r levels of values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gnnrec.core.errors import GnnrecError
from gnnrec.core.seeds import derive
from gnnrec.data.types import Floats
from gnnrec.encoders.base import Encoder, NewNodes
from gnnrec.encoders.chance import Chance, checked_share, dropped
from gnnrec.encoders.levels import checked_levels, found_levels, nearest_level
from gnnrec.encoders.tables import Embeddings
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.sums import EdgeSums

NORMALISE, ACCUMULATE = ("left", "symmetric"), ("sum", "stack")


class GCMC(Encoder):
    """van den Berg, Kipf & Welling, "Graph convolutional matrix completion" (arXiv 1706.02263), the encoder.

    h_u = ReLU(accum_r Σ_{i ∈ N_r(u)} W_r x_i / c_ui), e_u = W h_u; items likewise. N_r(u) are the edges of level r, c_ui is d_u
    (left) or √(d_u d_i) (symmetric) with degrees over all levels, accum a sum or a stacking. A node without edges is at 0.

    Departs from the paper in that x_i is a row of d columns that all levels share, which W_r [d, h] maps: one-hot ids, the
    paper's input, make W_r a table with a row of h columns for each node, so that a new node would need r rows. The dense layer
    has no activation, as in the authors' code; the same weights serve users and items.

    Args:
        width: d, of rows and of the read-out.
        hidden: h.
        levels: ascending values that edges are grouped by, each with the nearest; None: those of the first events, which needs
            graph.values=true; none of them, []: all edges alike.
        normalise: "left" or "symmetric".
        accumulate: "sum" or "stack".
        dropout: share of nodes whose messages are all dropped in training.
        scale: standard deviation of random initial rows.
        seed: of initial weights (Xavier) and of dropout.

    Raises:
        GnnrecError: an unknown way to normalise or accumulate, or levels that do not ascend.
    """

    values: Tensor

    def __init__(
        self,
        width: int = 64,
        hidden: int = 64,
        levels: Sequence[float] | None = None,
        normalise: str = "left",
        accumulate: str = "sum",
        dropout: float = 0.0,
        scale: float = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__(width, scale, layers=1)
        for key, value, allowed in (("normalise", normalise, NORMALISE), ("accumulate", accumulate, ACCUMULATE)):
            if value not in allowed:
                raise GnnrecError(f"encoder.{key}='{value}' must be one of {', '.join(allowed)}")
        self.hidden, self.normalise, self.accumulate, self.seed = hidden, normalise, accumulate, seed
        self.dropout, self.chance = checked_share("dropout", dropout), Chance(seed)
        self.register_buffer("values", torch.empty(0))
        self.by_level = nn.Parameter(torch.empty(0, width, hidden))
        self.dense = nn.Parameter(torch.empty(0, width))
        self.reads_values = levels is None or len(levels) > 1
        if levels is not None:
            self._open(checked_levels(levels or [0.0], "encoder.levels"))
        self._cache: tuple[BipartiteGraph, _Levelled] | None = None

    def grow(self, new: NewNodes) -> None:
        """Append the new nodes' rows; the first edges name the levels where none are named."""
        super().grow(new)
        if not len(self.values) and new.graph.num_edges:
            self._open(found_levels(new.graph.values(), "encoder.levels"))

    def forward(self, graph: BipartiteGraph) -> Embeddings:
        """Return [u, d] and [i, d], and the input rows."""
        own = self.user.weight, self.item.weight
        if not len(self.values):  # no edge has been seen
            return Embeddings(torch.zeros_like(own[0]), torch.zeros_like(own[1]), *own)
        user: Tensor
        item: Tensor
        user, item = own
        if self.training and self.dropout:
            chance = self.chance.generator()
            user, item = (dropped(x, self.dropout, chance, rows=True) for x in own)
        edges = self._edges(graph)
        scale_user, scale_item = (torch.from_numpy(x).to(user).unsqueeze(1) for x in edges.scales)
        if self.normalise == "symmetric":
            user, item = user * scale_user, item * scale_item
        each = list(zip(edges.levels, self.by_level, strict=True))
        to_user = self._read_out([sums.to_users(item @ w) for sums, w in each], scale_user)
        return Embeddings(to_user, self._read_out([sums.to_items(user @ w) for sums, w in each], scale_item), *own)

    def __getstate__(self) -> dict[str, Any]:
        """Return what copies and pickles hold: everything but the edges, which are the graph's."""
        return {**self.__dict__, "_cache": None}

    def _read_out(self, messages: list[Tensor], scale: Tensor) -> Tensor:
        """Return W ReLU(accum_r) of each level's sum of messages, [n, d]."""
        total = torch.stack(messages).sum(0) if self.accumulate == "sum" else torch.cat(messages, dim=1)
        return (total * scale).relu() @ self.dense

    def _open(self, values: Tensor) -> None:
        """Make the weights of these levels."""
        self.values, start = values, torch.Generator().manual_seed(derive(self.seed, "weights"))
        columns = self.hidden * (len(values) if self.accumulate == "stack" else 1)
        each = [_xavier(self.width, self.hidden, start) for _ in values]
        self.by_level, self.dense = nn.Parameter(torch.stack(each)), nn.Parameter(_xavier(columns, self.width, start))

    def _edges(self, graph: BipartiteGraph) -> _Levelled:
        """Return the graph's edges by level, built once per graph."""
        if self._cache is None or self._cache[0] is not graph:
            power = -1.0 if self.normalise == "left" else -0.5
            self._cache = graph, _Levelled.of(graph, self.values.cpu() if self.reads_values else None, power)
        return self._cache[1]


@dataclass(frozen=True, slots=True)
class _Levelled:
    """The edges of each level, and what sums over all edges of a user [u] and of an item [i] are scaled by."""

    levels: list[EdgeSums]
    scales: tuple[Floats, Floats]

    @staticmethod
    def of(graph: BipartiteGraph, values: Tensor | None, power: float) -> _Levelled:
        """Return the edges grouped by the nearest of these values, in one group where None; scales are degree^power."""
        (user, item), weight, shape = graph.edges(), graph.weights(), (graph.num_users, graph.num_items)
        level, count = np.zeros(len(user), np.int64), 1
        if values is not None:
            level, count = nearest_level(torch.from_numpy(graph.values()), values).numpy(), len(values)
        groups = [level == r for r in range(count)]
        sums = [EdgeSums(user[g], item[g], weight[g], shape, graph.device) for g in groups]
        degrees = (np.sum([s.totals[side] for s in sums], axis=0) for side in (0, 1))
        scale_user, scale_item = (np.where(d > 0, d, 1.0) ** power for d in degrees)
        return _Levelled(sums, (scale_user, scale_item))


def _xavier(rows: int, columns: int, chance: torch.Generator) -> Tensor:
    return nn.init.xavier_uniform_(torch.empty(rows, columns), generator=chance)
