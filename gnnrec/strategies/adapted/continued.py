"""LightGCN continued: layers of before, shrunk by degrees that have grown, and what new edges bring to them.

Letters: u users, i items, n nodes of one kind, d width, L layers, k nearest.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gnnrec.data.types import Interactions
from gnnrec.encoders.initial import RowPair
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.encoders.tables import Embeddings, pick
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.strategies.adapted.adapted import Adapted


@dataclass(frozen=True, slots=True)
class PastGraph:
    """What is kept of the graph before an increment, and the increment's own edges.

    Attributes:
        layers: outputs 1 to L as they were, each [u', d] and [i', d] of the nodes there were.
        then, now: degrees of all edges, before [u'], [i'] and with the increment [u], [i].
        block: the pairs that are new with the increment.
        near: [u', k] the nearest users with a new edge, of every user without; None: none are looked up.
    """

    layers: list[RowPair]
    then: RowPair
    now: RowPair
    block: BipartiteGraph
    near: Tensor | None = None


class Mix(nn.Module):
    """How much of a layer is old and how much is news: [L, 2], ones at the start, which is the plain sum.

    Args:
        layers: L.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(layers, 2))


class Continued(Adapted):
    """h_l(t) = a_l · √(d(t−1) / d(t)) · h_l(t−1) + b_l · Â_Δ h_{l−1}(t), h_0 = x; the read-out is the mean over layers.

    Â_Δ has the increment's new edges with the degrees of all edges. Where a = b = 1, and no neighbour of before has a new edge,
    one layer is that of the whole graph. Costs the increment's edges.

    Args:
        inner: whose rows are x.
        mix: a and b.
        past: what is continued.
        share: A: users without a new edge are read out as (1 − A) of themselves and A of the mean of the nearest with one; not
            in training.
    """

    def __init__(self, inner: LightGCN, mix: Mix, past: PastGraph, share: float = 0.0) -> None:
        super().__init__(inner)
        self.mix, self.past, self.share = mix, past, share

    def forward(self, graph: BipartiteGraph) -> Embeddings:
        """Return the embeddings of every node of `graph`, of which the edges are not read."""
        layers = self.outputs(graph)
        user, item = (torch.stack([layer[kind] for layer in layers]).mean(0) for kind in (0, 1))
        if self.share and self.past.near is not None and not self.training:
            user = self._beside_nearest(user)
        return Embeddings(user, item, self.user.weight, self.item.weight)

    def outputs(self, graph: BipartiteGraph) -> list[RowPair]:
        """Return h_0 to h_L, [u, d] and [i, d] each."""
        x = self.user.weight, self.item.weight
        sizes, device = (len(x[0]), len(x[1])), x[0].device
        block = resized(self.past.block, *sizes).to(device)
        now = [_padded(d, n).to(device) for d, n in zip(self.past.now, sizes, strict=True)]
        then = [_padded(d, n).to(device) for d, n in zip(self.past.then, sizes, strict=True)]
        own = [d.to(x[0]) for d in (block.degree_user.to(device), block.degree_item.to(device))]
        old = [(a / b.clamp(min=1)).clamp(max=1).sqrt().unsqueeze(1) for a, b in zip(then, now, strict=True)]
        news = [(a / b.clamp(min=1)).clamp(max=1).sqrt().unsqueeze(1) for a, b in zip(own, now, strict=True)]
        found: list[RowPair] = [x]
        for weight, was in zip(self.mix.weight, self.past.layers, strict=True):
            brought = block.propagate(news[0] * found[-1][0], news[1] * found[-1][1])
            user, item = (
                weight[0] * o * _padded(w.to(device), len(o)) + weight[1] * n * b
                for o, w, n, b in zip(old, was, news, brought, strict=True)
            )
            found.append((user, item))
        return found

    def by_layer(self, graph: BipartiteGraph) -> list[Embeddings]:
        """Return h_0 to h_L, each beside the input rows."""
        return [Embeddings(*layer, self.user.weight, self.item.weight) for layer in self.outputs(graph)]

    def _beside_nearest(self, user: Tensor) -> Tensor:
        near = self.past.near
        assert near is not None
        quiet = (self.past.block.degree_user[: len(near)] == 0).to(user.device).unsqueeze(1)
        mean = torch.stack([pick(user, column) for column in near.to(user.device).T]).mean(0)
        moved = (1 - self.share) * user[: len(near)] + self.share * mean
        return torch.cat([torch.where(quiet, moved, user[: len(near)]), user[len(near) :]])


def resized(graph: BipartiteGraph, users: int, items: int) -> BipartiteGraph:
    """Return the graph with room for so many nodes."""
    return graph.extend(Interactions.empty(), users, items)


def degrees(graph: BipartiteGraph) -> RowPair:
    """Return the degrees of users and items as single-precision numbers."""
    return graph.degree_user.float(), graph.degree_item.float()


def _padded(rows: Tensor, count: int) -> Tensor:
    """Return the rows with zeros below for nodes that came later, [count, …]."""
    more = rows.new_zeros(max(count - len(rows), 0), *rows.shape[1:])
    return torch.cat([rows, more])
