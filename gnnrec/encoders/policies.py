"""Initial rows of new nodes that weigh how much is known of them: `init=shrunk_mean|fold_in`.

Letters: u users, i items, n new nodes, e edges of new nodes, d width, L layers.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Ints
from gnnrec.encoders.initial import MOST, Initial, NeighbourMean, RowPair, TwoHopMean
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.sample import some_neighbours

SOLVED = 256
"""Systems of [d, d] that are solved at a time."""


class ShrunkMean(Initial):
    """(k · m + κ · g) / (k + κ): the mean of what is near, drawn towards that of all old rows the less of it there is.

    m is the mean of the old neighbours' rows (one hop) or of nodes of the same kind behind them (two hops, `TwoHopMean`), k the
    node's edges to neighbours that m was taken over, g the mean of all old rows of the kind that m is of. A node without a
    usable neighbour starts at g and not at a random row. Not published as far as is known: shrinkage of known means.

    Costs what the mean costs, and once per increment a pass over the old rows for g.

    Args:
        pull: κ, in edges.
        hops: 1 or 2.

    Raises:
        GnnrecError: hops is neither, or pull is negative.
    """

    def __init__(self, pull: float = 2.0, hops: int = 2) -> None:
        if hops not in (1, 2) or pull < 0:
            raise GnnrecError(f"init.hops must be 1 or 2 and init.pull 0 or more, got {hops} and {pull}")
        self.pull, self.hops = pull, hops
        self.mean: Initial = NeighbourMean() if hops == 1 else TwoHopMean()

    def rows(self, random: RowPair, old: RowPair, graph: BipartiteGraph) -> RowPair:
        """Return shrunk means; random rows where no node has a row of the kind."""
        unknown = torch.full_like(random[0], torch.nan), torch.full_like(random[1], torch.nan)
        near = self.mean.rows(unknown, old, graph)
        return self._shrunk(near, random, old, graph, 0), self._shrunk(near, random, old, graph, 1)

    def _shrunk(self, near: RowPair, random: RowPair, old: RowPair, graph: BipartiteGraph, side: int) -> Tensor:
        averaged = old[side] if self.hops == 2 else old[1 - side]
        if not len(averaged):
            return random[side]
        found, known = near[side], ~near[side].isnan().any(dim=1)
        count = self._edges(len(old[side]) + np.arange(len(found)), old, graph, side).to(found) * known
        count = count.unsqueeze(1)
        if not self.pull:
            return torch.where(known.unsqueeze(1), found, averaged.mean(0))
        return (count * found.nan_to_num() + self.pull * averaged.mean(0)) / (count + self.pull)

    def _edges(self, node: Ints, old: RowPair, graph: BipartiteGraph, side: int) -> Tensor:
        """Return how many neighbours of each node the mean is taken over, [n]."""
        position, neighbour = graph.neighbours(node, side == 0)
        if self.hops == 1:
            usable = neighbour < len(old[1 - side])
        else:
            middle, back = np.unique(neighbour, return_inverse=True)
            reached, _ = some_neighbours(graph, middle, side == 1, len(old[side]), 1)
            usable = np.isin(np.arange(len(middle)), reached)[back]
        return torch.from_numpy(np.bincount(position[usable], minlength=len(node)))


class FoldIn(Initial):
    """x = c · (Y_Nᵀ Y_N + w · YᵀY + λI)^-1 Y_Nᵀ 1: the row by which the old neighbours' embeddings Y_N [k, d] score 1.

    Y [·, d] are embeddings of the other side's old nodes: means over layers 0..L of old rows, propagated over the graph in
    which new nodes have rows of 0. With w = 0 that is ridge regression; with w > 0 a step of implicit ALS, in which all pairs
    score 0 with weight w (Hu, Koren & Volinsky, ICDM 2008, as written by Rendle et al., "Revisiting the performance of iALS",
    RecSys 2022). A score of 1 means nothing to a model that ranks, hence c: the least-squares scale by which folding in old
    nodes, `MOST` evenly chosen at most, comes closest to the rows they have; 0 where they do not resemble them. A node without
    an old neighbour gets its random row. Not published as far as is known against embeddings of a graph neural network.

    Costs per increment: L passes over the whole graph and w's YᵀY, then e · d² and n · d³; `MOST` neighbours of a node at most.

    Args:
        layers: L, as the encoder's; 0 for encoders that pass no messages.
        ridge: λ, in mean square lengths of Y's rows: it weighs as much as so many events along a direction. Rows of a graph's
            encoder are much alike, and below 1 the solution lies in directions that they hardly have.
        unobserved: w.

    Raises:
        GnnrecError: ridge is not above 0, or another number is negative.
    """

    def __init__(self, layers: int = 3, ridge: float = 5.0, unobserved: float = 0.0) -> None:
        if ridge <= 0 or unobserved < 0 or layers < 0:
            raise GnnrecError(
                f"init.ridge must be above 0, init.unobserved and init.layers 0 or more, got {ridge}, {unobserved}, {layers}"
            )
        self.layers, self.ridge, self.unobserved = layers, ridge, unobserved

    def rows(self, random: RowPair, old: RowPair, graph: BipartiteGraph) -> RowPair:
        """Return solutions; random rows for nodes without an old neighbour."""
        z, new = (
            self._propagated(random, old, graph),
            [len(o) + np.arange(len(r)) for o, r in zip(old, random, strict=True)],
        )
        user = self.folded(new[0], random[0], old[0], z[1], graph, True)
        return user, self.folded(new[1], random[1], old[1], z[0], graph, False)

    def _propagated(self, random: RowPair, old: RowPair, graph: BipartiteGraph) -> RowPair:
        """Return the old nodes' embeddings."""
        user, item = (torch.cat([x, torch.zeros_like(y)]) for x, y in zip(old, random, strict=True))
        weights = torch.full((self.layers + 1,), 1 / (self.layers + 1))
        user, item = graph.polynomial(user, item, weights)
        return user[: len(old[0])], item[: len(old[1])]

    def folded(
        self, node: Ints, random: Tensor, own: Tensor, other: Tensor, graph: BipartiteGraph, of_users: bool
    ) -> Tensor:
        """Return the rows of some nodes of one kind, [n, d].

        Args:
            node: [n] numbers, of any node.
            random: [n, d] for nodes without an old neighbour.
            own: [o, d] rows of old nodes of the kind, by which solutions are scaled.
            other: [o', d] embeddings of old nodes of the other kind.
            graph: has the edges.
            of_users: whether the kind is users.
        """
        if not (len(node) and len(own) and len(other)):
            return random
        base = self.base(other)
        scale = self.scale(own, other, graph, of_users)
        found = _solved(node, other, base, graph, of_users)
        return torch.where(found.any(dim=1, keepdim=True), scale * found, random.to(found))

    def base(self, other: Tensor) -> Tensor:
        """Return w · YᵀY + λI for embeddings of the other side, [d, d]."""
        level = float(other.square().sum(1).mean())
        one = torch.eye(other.shape[1]).to(other)
        return self.unobserved * (other.T @ other) + max(self.ridge * level, 1e-12) * one

    def scale(self, own: Tensor, other: Tensor, graph: BipartiteGraph, of_users: bool, most: int = MOST) -> Tensor:
        """Return c by `most` old nodes, []; arguments as those of `folded`."""
        sample = np.unique(np.linspace(0, len(own) - 1, min(most, len(own))).astype(np.int64))
        known = _solved(sample, other, self.base(other), graph, of_users)
        rows, at = own[torch.from_numpy(sample).to(own.device)], known.any(dim=1)
        return ((known * rows)[at].sum() / known[at].square().sum()).nan_to_num().clamp(min=0)


def _solved(node: Ints, other: Tensor, base: Tensor, graph: BipartiteGraph, of_users: bool) -> Tensor:
    """Return (Y_Nᵀ Y_N + base)^-1 Y_Nᵀ 1 for each node, [n, d]; 0 where it has no old neighbour."""
    position, neighbour = some_neighbours(graph, node, of_users, len(other), MOST)
    near = other[torch.from_numpy(neighbour).to(other.device)]
    parts = torch.split(near, np.bincount(position, minlength=len(node)).tolist())
    found = []
    for start in range(0, len(parts), SOLVED):
        some = parts[start : start + SOLVED]
        grams, sums = torch.stack([base + y.T @ y for y in some]), torch.stack([y.sum(0) for y in some])
        found.append(torch.linalg.solve(grams, sums))
    return torch.cat(found)
