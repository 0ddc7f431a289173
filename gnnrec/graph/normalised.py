"""The normalised adjacency of one graph as matrices, ready for products.

Â = D_u^-1/2 · A · D_i^-1/2. Letters: u users, i items, d width, b rows asked for.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from gnnrec.data.types import Floats, Ints
from gnnrec.graph.adjacency import Adjacency, place_type
from gnnrec.graph.csr import product, to_scipy, to_torch
from gnnrec.graph.order import Order, Pair, order_of
from gnnrec.graph.segment import Segment

Values = NDArray[np.floating]

PIECE = 1 << 20
"""Values looked up at a time."""
WORTH = 32
"""Whole passes after which nodes are numbered afresh: it costs about what it saves in as many."""


class Operator:
    """Â and its transpose; tables that they are multiplied with go through `enter` before and `leave` after.

    Args:
        segments: of the graph, the oldest first.
        degree_user, degree_item: [u], [i].
        dtype: of the values, float32 or float64.
        device: where products are taken.
        weights: [e] of each segment's edges, in the order of its keys, above 0; Â is then that of the weighted A, and degrees
            are sums of weights. None: all weigh the same.
    """

    def __init__(
        self,
        segments: Sequence[Segment],
        degree_user: Ints,
        degree_item: Ints,
        dtype: torch.dtype,
        device: torch.device,
        weights: Sequence[Floats] | None = None,
    ) -> None:
        self._passes, self._asked = 0, False
        self._order: Order | None = None
        if weights is not None:
            shape = len(degree_user), len(degree_item)
            matrix = _weighted([s.by_user for s in segments], weights, shape).astype(_exact(dtype))
            self.to_user, self.to_item = (to_torch(m).to(device) for m in (matrix, matrix.T.tocsr()))
            return
        root_user, root_item = (_inverse_root(degree, dtype) for degree in (degree_user, degree_item))
        self.to_user = _matrix([s.by_user for s in segments], root_user, root_item).to(device)
        self.to_item = _matrix([s.by_item for s in segments], root_item, root_user).to(device)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of users and items, (u, i)."""
        return self.to_user.shape[0], self.to_user.shape[1]

    def arranged(self) -> Operator:
        """Return the operator that does the same sooner: another one where many passes were taken on the CPU."""
        if self._passes < WORTH or self._asked or self.to_user.device.type != "cpu":
            return self
        both = to_scipy(self.to_user), to_scipy(self.to_item)
        self._asked, order = True, order_of(*both)
        if order is None:
            return self
        # What has begun on this one ends on it: its backward knows nodes by their own numbers.
        found = copy.copy(self)
        found.to_user, found.to_item = map(to_torch, order.arranged(*both))
        found._order = order
        return found

    def enter(self, user: Tensor, item: Tensor) -> Pair:
        """Return tables by node, [u, d] and [i, d], as `pass_on` takes them."""
        return (user, item) if self._order is None else self._order.enter(user, item)

    def leave(self, user: Tensor, item: Tensor) -> Pair:
        """Return tables of `pass_on` by node."""
        return (user, item) if self._order is None else self._order.leave(user, item)

    def at(self, users: Tensor, items: Tensor) -> Pair:
        """Return where these nodes are in the tables of `pass_on`."""
        return (users, items) if self._order is None else self._order.at(users, items)

    def pass_on(self, user: Tensor, item: Tensor) -> Pair:
        """Return (Â · item, Âᵀ · user), [u, d] and [i, d]."""
        self._passes += 1
        return product(self.to_user, item), product(self.to_item, user)

    def rows(self, users: Tensor, items: Tensor) -> RowOperator:
        """Return the rows of Â of these users and of Âᵀ of these items, on the CPU."""
        at = self.at(users, items)
        return RowOperator(to_scipy(self.to_user)[at[0].numpy()], to_scipy(self.to_item)[at[1].numpy()])

    def picked(self, users: Tensor, items: Tensor) -> PickedOperator:
        """Return the same rows as part of whole products."""
        return PickedOperator(self, *self.at(users, items))

    def within(self, users: Tensor, items: Tensor) -> Inner:
        """Return Â between these users and items."""
        at = self.at(users, items)
        inner = to_scipy(self.to_user)[at[0].numpy()][:, at[1].numpy()]
        inner.sort_indices()
        return Inner(inner)


class Inner:
    """Â between some users and some items, and its transpose: passes can follow each other.

    Args:
        matrix: [t, t'], on the CPU; copied to where the tables are and to their type when first asked for.
    """

    def __init__(self, matrix: sparse.csr_matrix) -> None:
        self._matrix = matrix
        self._made: dict[tuple[torch.dtype, torch.device], Pair] = {}

    @property
    def num_edges(self) -> int:
        """Number of entries of Â that are held."""
        return int(self._matrix.nnz)

    def enter(self, user: Tensor, item: Tensor) -> Pair:
        """Return the tables as they are."""
        return user, item

    leave = enter

    def pass_on(self, user: Tensor, item: Tensor) -> Pair:
        """Return the products with both tables, [t, d] and [t', d]."""
        to_user, to_item = self._on(user)
        return product(to_user, item), product(to_item, user)

    def _on(self, x: Tensor) -> Pair:
        at = x.dtype, x.device
        if at not in self._made:
            both = self._matrix, self._matrix.T.tocsr()
            self._made[at] = to_torch(both[0]).to(x), to_torch(both[1]).to(x)
        return self._made[at]


class RowOperator:
    """Some rows of Â [b, i] and of Âᵀ [b', u], and the transposed product that their gradient needs; on the CPU.

    Args:
        to_user, to_item: the rows.
    """

    def __init__(self, to_user: sparse.csr_matrix, to_item: sparse.csr_matrix) -> None:
        self.to_user, self.to_item = to_user, to_item

    def pass_on(self, user: Tensor, item: Tensor) -> Pair:
        """Return the rows' products, [b, d] and [b', d]."""
        return product(to_torch(self.to_user), item), product(to_torch(self.to_item), user)

    def spread(self, user: Tensor, item: Tensor) -> Pair:
        """Return what gradients of the rows, [b, d] and [b', d], are for all nodes: [u, d], [i, d]."""
        to_user, to_item = self.to_item.tocsc().T, self.to_user.tocsc().T
        return product(to_torch(to_user), item), product(to_torch(to_item), user)


class PickedOperator:
    """As `RowOperator`, by products with the whole: for rows that have most of the edges.

    Args:
        operator: of the graph.
        users, items: [b], [b'] distinct numbers of the rows.
    """

    def __init__(self, operator: Operator, users: Tensor, items: Tensor) -> None:
        self._operator, self._users, self._items = operator, users, items

    def pass_on(self, user: Tensor, item: Tensor) -> Pair:
        """Return the rows' products, [b, d] and [b', d]."""
        to_user, to_item = self._operator.pass_on(user, item)
        return to_user.index_select(0, self._users), to_item.index_select(0, self._items)

    def spread(self, user: Tensor, item: Tensor) -> Pair:
        """Return what gradients of the rows, [b, d] and [b', d], are for all nodes: [u, d], [i, d]."""
        users, items = self._operator.shape
        every_user = user.new_zeros(users, user.shape[1]).index_copy_(0, self._users, user)
        every_item = item.new_zeros(items, item.shape[1]).index_copy_(0, self._items, item)
        return self._operator.pass_on(every_user, every_item)


def _inverse_root(degree: Ints, dtype: torch.dtype) -> Values:
    """Return degree^-1/2, 0 for a node without edges."""
    return np.where(degree > 0, 1 / np.sqrt(np.maximum(degree, 1)), 0.0).astype(_exact(dtype))


def _exact(dtype: torch.dtype) -> type[np.float32] | type[np.float64]:
    return np.float64 if dtype == torch.float64 else np.float32


def _matrix(adjacencies: Sequence[Adjacency], root: Values, other: Values) -> Tensor:
    """Return the matrix of values root[row] · other[column] at the edges."""
    edges = _joined(adjacencies, (len(root), len(other)))
    column, value = edges.indices, np.repeat(root, np.diff(edges.indptr))
    for start in range(0, len(column), PIECE):
        piece = slice(start, start + PIECE)
        value[piece] *= other[column[piece]]
    return to_torch(sparse.csr_matrix((value, column, edges.indptr), shape=edges.shape))


def _weighted(adjacencies: Sequence[Adjacency], weights: Sequence[Floats], shape: tuple[int, int]) -> sparse.csr_matrix:
    """Return D_u^-1/2 · W · D_i^-1/2, degrees being sums of weights, in double precision: weights differ by many powers."""
    edges = _joined(adjacencies, shape, weights)
    user, item = (np.asarray(edges.sum(axis)).ravel() for axis in (1, 0))
    root_user, root_item = (1 / np.sqrt(np.where(total > 0, total, 1)) for total in (user, item))
    # From left to right: w / √(d_u) is at most 1, while the product of two roots may be no number.
    value = edges.data * np.repeat(root_user, np.diff(edges.indptr)) * root_item[edges.indices]
    return sparse.csr_matrix((value, edges.indices, edges.indptr), shape=shape)


def _joined(
    adjacencies: Sequence[Adjacency], shape: tuple[int, int], values: Sequence[NDArray[Any]] | None = None
) -> sparse.csr_matrix:
    """Return the edges of all segments as one matrix, the small ones joined first; marks of 1 where there are no values.

    Three passes over the segments one after the other would cost more than this.
    """
    total: sparse.csr_matrix | None = None
    for n in reversed(range(len(adjacencies))):
        a = adjacencies[n]
        start = np.zeros(shape[0] + 1, place_type(len(a.target)))
        start[1:][a.node] = a.degree
        marks = np.ones(len(a.target), np.int8) if values is None else values[n]
        part = sparse.csr_matrix((marks, a.target, np.cumsum(start, dtype=start.dtype)), shape=shape)
        total = part if total is None else part + total
    return sparse.csr_matrix(shape, dtype=np.int8) if total is None else total
