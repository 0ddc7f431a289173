"""Initial rows of new nodes: the orthogonal axis `init=two_hop_mean|neighbour_mean|random|zero|spectral`.

A policy says where tables start, at the base and at every cold restart, and what rows the nodes get that are numbered later.
"Old" nodes are those with a row; a new node without a usable neighbour gets its random row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor

from gnnrec.core.errors import above_zero
from gnnrec.data.types import Ints
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.sample import some_neighbours

MOST = 1024
"""Old neighbours of one neighbour that a two-hop mean averages."""

RowPair = tuple[Tensor, Tensor]


class Initial(ABC):
    """Rows of nodes that have none."""

    def start(self, random: RowPair, graph: BipartiteGraph) -> RowPair:
        """Return [u, d] and [i, d] where no node has a row: `random` itself."""
        return random

    @abstractmethod
    def rows(self, random: RowPair, old: RowPair, graph: BipartiteGraph) -> RowPair:
        """Return rows of the nodes numbered after `old`, as many as `random` has."""


class Random(Initial):
    """N(0, scale²) rows, a function of (seed, external id)."""

    def rows(self, random: RowPair, old: RowPair, graph: BipartiteGraph) -> RowPair:
        """Return the fall-back rows themselves."""
        return random


class Zero(Initial):
    """Rows of zeros: after one propagation a node with edges still gets its neighbours' message."""

    def rows(self, random: RowPair, old: RowPair, graph: BipartiteGraph) -> RowPair:
        """Return zeros."""
        return torch.zeros_like(random[0]), torch.zeros_like(random[1])


class NeighbourMean(Initial):
    """Mean of the old neighbours' rows: a new user's is the mean of its items', and the reverse."""

    def rows(self, random: RowPair, old: RowPair, graph: BipartiteGraph) -> RowPair:
        """Return one-hop means."""
        user = _neighbour_mean(_new_nodes(old[0], random[0]), old[1], graph, of_users=True)
        item = _neighbour_mean(_new_nodes(old[1], random[1]), old[0], graph, of_users=False)
        return _filled(user, random[0]), _filled(item, random[1])


class TwoHopMean(Initial):
    """Mean over neighbours of the mean of their old neighbours' rows, which are nodes of the same kind.

    An item that a million users have would cost a million rows for each increment that brings it a new user, and no sum of
    them can be kept, since training moves the rows. Of a neighbour's old neighbours at most `MOST` are averaged, drawn evenly
    by a hash (`some_neighbours`): the standard error of a mean of 1,024 is 3 % of the rows' spread.

    The "2hop_mean" of the GraphSANE code line; departs from it in the fall-back, which is the node's own random row
    rather than a mean of random nodes.
    """

    def rows(self, random: RowPair, old: RowPair, graph: BipartiteGraph) -> RowPair:
        """Return two-hop means."""
        user = _two_hop_mean(old[0], random[0], graph, of_users=True)
        return user, _two_hop_mean(old[1], random[1], graph, of_users=False)


def _two_hop_mean(old: Tensor, random: Tensor, graph: BipartiteGraph, of_users: bool) -> Tensor:
    position, neighbour = graph.neighbours(_new_nodes(old, random), of_users)
    middle, back = np.unique(neighbour, return_inverse=True)
    mean = _mean(*_rows_of(old, *some_neighbours(graph, middle, not of_users, len(old), MOST)), len(middle))
    keep = ~mean.isnan().any(dim=1).numpy(force=True)[back]
    return _filled(_mean(*_rows_of(mean, position[keep], back[keep]), len(random)), random)


def _neighbour_mean(node: Ints, rows: Tensor, graph: BipartiteGraph, of_users: bool) -> Tensor:
    """Return the mean row of each node's neighbours that have one, [n, d]; NaN where there is none."""
    position, neighbour = graph.neighbours(node, of_users)
    keep = neighbour < len(rows)
    return _mean(*_rows_of(rows, position[keep], neighbour[keep]), len(node))


def _rows_of(table: Tensor, position: Ints, node: Ints) -> tuple[Ints, Tensor]:
    return position, table[torch.from_numpy(node).to(table.device)]


def _mean(position: Ints, rows: Tensor, size: int) -> Tensor:
    """Return the mean of `rows` by position, [size, d]; NaN where there is none."""
    at = torch.from_numpy(position).to(rows.device)
    total = rows.new_zeros(size, rows.shape[1]).index_add_(0, at, rows)
    return total / torch.bincount(at, minlength=size).unsqueeze(1)


def _filled(rows: Tensor, fallback: Tensor) -> Tensor:
    return torch.where(rows.isnan(), fallback.to(rows), rows)


def _new_nodes(old: Tensor, new: Tensor) -> Ints:
    return np.arange(len(old), len(old) + len(new))


class Spectral(Initial):
    """Tables start at the leading singular vectors of the normalised adjacency; later nodes get two-hop means.

    Â ≈ U Σ Vᵀ by randomised subspace iteration (Halko, Martinsson & Tropp, SIAM Review 2011). Low frequencies carry the
    signal (Shen et al., "How powerful is graph convolution for recommendation?", CIKM 2021), so training starts where
    descent would arrive after many epochs. Column k is √n · scale · √σ times that of U or V, so that the tables have the
    spread of random ones.

    Args:
        passes: subspace iterations.
    """

    def __init__(self, passes: int = 4) -> None:
        above_zero("init", passes=passes)
        self.passes, self.later = passes, TwoHopMean()

    def start(self, random: RowPair, graph: BipartiteGraph) -> RowPair:
        """Return singular vectors."""
        return spectral_rows(graph, random, self.passes) if graph.num_edges else random

    def rows(self, random: RowPair, old: RowPair, graph: BipartiteGraph) -> RowPair:
        """Return two-hop means."""
        return self.later.rows(random, old, graph)


def spectral_rows(graph: BipartiteGraph, random: RowPair, passes: int) -> RowPair:
    """Return [u, d] and [i, d] scaled singular vectors; `random` is where the iteration starts, and sets the spread.

    Where there are fewer users or items than columns, the columns left over stay random.
    """
    basis = random[1]
    for _ in range(passes):
        user, _ = graph.propagate(_like(basis, random[0]), basis)
        left = torch.linalg.qr(user).Q
        _, item = graph.propagate(left, _like(left, random[1]))
        basis = torch.linalg.qr(item).Q
    user, _ = graph.propagate(_like(basis, random[0]), basis)
    left, sigma, right = torch.linalg.svd(user, full_matrices=False)
    item = basis @ right.T
    size = float(random[0].square().mean().sqrt())
    parts = (left * sigma.sqrt(), random[0]), (item * sigma.sqrt(), random[1])
    user, item = (torch.cat([x * size * len(x) ** 0.5, rest[:, x.shape[1] :]], dim=1) for x, rest in parts)
    return user, item


def _like(columns: Tensor, rows: Tensor) -> Tensor:
    """Return zeros, as many rows and columns as these have."""
    return columns.new_zeros(len(rows), columns.shape[1])
