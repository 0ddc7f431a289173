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
        self._scaled: _Scaled | None = None

    def forward(self, graph: BipartiteGraph) -> Embeddings:
        """Return the embeddings of every node of `graph`, of which the edges are not read."""
        layers = self.outputs(graph)
        user, item = (torch.stack([layer[kind] for layer in layers]).mean(0) for kind in (0, 1))
        if self.share and self.past.near is not None and not self.training:
            user = self._beside_nearest(user)
        return Embeddings(user, item, self.user.weight, self.item.weight)

    def outputs(self, graph: BipartiteGraph) -> list[RowPair]:
        """Return h_0 to h_L, [u, d] and [i, d] each."""
        x, here = (self.user.weight, self.item.weight), self._here()
        found: list[RowPair] = [x]
        for weight, was in zip(self.mix.weight, here.old, strict=True):
            brought = here.block.propagate(here.news[0] * found[-1][0], here.news[1] * found[-1][1])
            user, item = (weight[0] * w + weight[1] * n * b for w, n, b in zip(was, here.news, brought, strict=True))
            found.append((user, item))
        return found

    def _here(self) -> _Scaled:
        """Return the past where the rows are, with as many; made once for them."""
        sizes, device = (len(self.user.weight), len(self.item.weight)), self.user.weight.device
        if self._scaled is None or self._scaled.of != (sizes, device):
            self._scaled = _Scaled.of_past(self.past, sizes, device)
        return self._scaled

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


@dataclass(frozen=True, slots=True)
class _Scaled:
    """A past for so many nodes on a device.

    Attributes:
        of: numbers of users and items, and the device.
        block: the new edges.
        old: √(d(t−1) / d(t)) · h_l(t−1) of every layer, [u, d] and [i, d].
        news: √(new degree / d(t)), [u, 1] and [i, 1]: before and behind a pass over the new edges alone.
    """

    of: tuple[tuple[int, int], torch.device]
    block: BipartiteGraph
    old: list[RowPair]
    news: RowPair

    @staticmethod
    def of_past(past: PastGraph, sizes: tuple[int, int], device: torch.device) -> _Scaled:
        block = resized(past.block, *sizes).to(device)
        now, then = ([_padded(d, n) for d, n in zip(pair, sizes, strict=True)] for pair in (past.now, past.then))
        old = [_share(a, b) for a, b in zip(then, now, strict=True)]
        news = [_share(a, b).to(device) for a, b in zip(degrees(block), now, strict=True)]
        layers = [
            tuple((o * _padded(w, len(o))).to(device) for o, w in zip(old, was, strict=True)) for was in past.layers
        ]
        return _Scaled((sizes, device), block, [(u, i) for u, i in layers], (news[0], news[1]))


def _share(part: Tensor, whole: Tensor) -> Tensor:
    """Return √(part / whole) as a column, 0 where there is nothing, [n, 1]."""
    return (part / whole.clamp(min=1)).clamp(max=1).sqrt().unsqueeze(1)


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
