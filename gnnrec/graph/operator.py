"""The normalised adjacency of one graph as matrices, ready for products.

Â = D_u^-1/2 · A · D_i^-1/2 is a sum over segments. Letters: u users, i items, d width, r nodes with an edge, b rows asked for.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from gnnrec.data.types import Ints
from gnnrec.graph.adjacency import Adjacency
from gnnrec.graph.segment import Segment

Values = NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some rows of a matrix: `csr` [r, columns] holds those numbered `node` [r]; None: the first r."""

    node: Tensor | None
    csr: Tensor

    def add_to(self, out: Tensor, x: Tensor, alpha: float) -> None:
        """Add alpha times this part of the product with x [columns, d] to out [rows, d]."""
        if self.node is None:
            out[: len(self.csr)].addmm_(self.csr, x, alpha=alpha)
        else:
            part = out.new_empty(len(self.csr), x.shape[1]).addmm_(self.csr, x, beta=0)
            out.index_add_(0, self.node, part, alpha=alpha)


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """A sparse matrix [rows, columns] as the sum of its blocks."""

    blocks: tuple[Block, ...]
    height: int

    def add_to(self, out: Tensor, x: Tensor, alpha: float = 1.0) -> None:
        """Add alpha times the product with x [columns, d] to out [rows, d]."""
        for block in self.blocks:
            block.add_to(out, x, alpha)

    def product(self, x: Tensor) -> Tensor:
        """Return the product with x [columns, d], [rows, d]; what the first block writes is not cleared beforehand."""
        first = self.blocks[0]
        if first.node is not None:
            self.add_to(out := x.new_zeros(self.height, x.shape[1]), x)
            return out
        out, covered = x.new_empty(self.height, x.shape[1]), len(first.csr)
        out[:covered].addmm_(first.csr, x, beta=0)
        out[covered:].zero_()
        for block in self.blocks[1:]:
            block.add_to(out, x, 1.0)
        return out

    def select(self, adjacencies: Sequence[Adjacency], row: Ints) -> sparse.csr_matrix:
        """Return the rows `row` as one matrix [b, columns]; on the CPU."""
        total: sparse.csr_matrix | None = None
        for block, adjacency in zip(self.blocks, adjacencies, strict=True):
            at = adjacency.rows(row)
            part = _scipy(block.csr)[at[at >= 0]]
            if len(part.indptr) <= len(row):
                count = np.zeros(len(row), np.int32)
                count[at >= 0] = np.diff(part.indptr)
                start = np.concatenate([[0], np.cumsum(count)]).astype(np.int32)
                part = sparse.csr_matrix((part.data, part.indices, start), shape=(len(row), part.shape[1]))
            total = part if total is None else total + part
        assert total is not None
        return total


class Operator:
    """Â and its transpose.

    Args:
        segments: of the graph.
        degree_user, degree_item: [u], [i].
        dtype: of the values, float32 or float64.
        device: where products are taken.
    """

    def __init__(
        self,
        segments: Sequence[Segment],
        degree_user: Ints,
        degree_item: Ints,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        root_user, root_item = _inverse_root(degree_user), _inverse_root(degree_item)
        self._by_user, self._by_item = [s.by_user for s in segments], [s.by_item for s in segments]
        to_user = (_block(a, root_user, root_item, dtype, device) for a in self._by_user)
        to_item = (_block(a, root_item, root_user, dtype, device) for a in self._by_item)
        self.to_user = Matrix(tuple(to_user), len(degree_user))
        self.to_item = Matrix(tuple(to_item), len(degree_item))

    def add_pass(
        self, into: tuple[Tensor, Tensor], user: Tensor, item: Tensor, alpha: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Add alpha · (Â · item, Âᵀ · user) in place to `into`, [u, d] and [i, d], and return it."""
        self.to_user.add_to(into[0], item, alpha)
        self.to_item.add_to(into[1], user, alpha)
        return into

    def product_pass(self, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        """Return (Â · item, Âᵀ · user), [u, d] and [i, d]."""
        return self.to_user.product(item), self.to_item.product(user)

    def rows(self, users: Ints, items: Ints) -> RowOperator:
        """Return the rows of Â of these users and of Âᵀ of these items, on the CPU."""
        return RowOperator(self.to_user.select(self._by_user, users), self.to_item.select(self._by_item, items))

    def within(self, users: Ints, items: Ints) -> Inner:
        """Return Â between these users and items."""
        inner = self.to_user.select(self._by_user, users)[:, items]
        inner.sort_indices()
        return Inner(inner)


class Inner:
    """Â between some users and some items, and its transpose: passes can follow each other.

    Args:
        matrix: [t, t'], on the CPU; copied to where the tables are and to their type when first asked for.
    """

    def __init__(self, matrix: sparse.csr_matrix) -> None:
        self._matrix = matrix
        self._made: dict[tuple[torch.dtype, torch.device], tuple[Tensor, Tensor]] = {}

    @property
    def num_edges(self) -> int:
        """Number of entries of Â that are held."""
        return int(self._matrix.nnz)

    def add_pass(
        self, into: tuple[Tensor, Tensor], user: Tensor, item: Tensor, alpha: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Add alpha times the products to `into`, [t, d] and [t', d], and return it."""
        to_user, to_item = self._on(user)
        into[0].addmm_(to_user, item, alpha=alpha)
        into[1].addmm_(to_item, user, alpha=alpha)
        return into

    def _on(self, x: Tensor) -> tuple[Tensor, Tensor]:
        at = x.dtype, x.device
        if at not in self._made:
            both = self._matrix, self._matrix.T.tocsr()
            self._made[at] = _torch(both[0]).to(x), _torch(both[1]).to(x)
        return self._made[at]


class RowOperator:
    """Some rows of Â [b, i] and of Âᵀ [b', u], and the transposed product that their gradient needs; on the CPU.

    Args:
        to_user, to_item: the rows.
    """

    def __init__(self, to_user: sparse.csr_matrix, to_item: sparse.csr_matrix) -> None:
        self.to_user, self.to_item = to_user, to_item

    def add_pass(
        self, into: tuple[Tensor, Tensor], user: Tensor, item: Tensor, alpha: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Add alpha times the rows' products to `into`, [b, d] and [b', d], and return it."""
        into[0].addmm_(_torch(self.to_user), item, alpha=alpha)
        into[1].addmm_(_torch(self.to_item), user, alpha=alpha)
        return into

    def spread(self, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        """Return what gradients of the rows, [b, d] and [b', d], are for all nodes: [u, d], [i, d]."""
        to_user, to_item = self.to_item.tocsc().T, self.to_user.tocsc().T
        out_user = user.new_empty(to_user.shape[0], user.shape[1]).addmm_(_torch(to_user), item, beta=0)
        return out_user, item.new_empty(to_item.shape[0], item.shape[1]).addmm_(_torch(to_item), user, beta=0)


def _inverse_root(degree: Ints) -> Values:
    """Return degree^-1/2, 0 for a node without edges."""
    return np.where(degree > 0, 1 / np.sqrt(np.maximum(degree, 1)), 0.0)


def _block(a: Adjacency, root: Values, other: Values, dtype: torch.dtype, device: torch.device) -> Block:
    exact = np.float64 if dtype == torch.float64 else np.float32
    value = np.repeat(root.astype(exact)[a.node], a.degree)
    value *= other.astype(exact)[a.target]
    matrix = sparse.csr_matrix((value, a.target, a.start), shape=(len(a.node), len(other)), copy=False)
    node = None if a.dense else torch.from_numpy(a.node.astype(np.int64)).to(device)
    return Block(node, _torch(matrix).to(device))


def _torch(matrix: sparse.csr_matrix) -> Tensor:
    """Return a scipy CSR matrix as a tensor that shares its memory."""
    _warn_in_silence()
    start, column, value = (torch.from_numpy(x) for x in (matrix.indptr, matrix.indices, matrix.data))
    return torch.sparse_csr_tensor(start, column, value, matrix.shape, check_invariants=False)


@cache
def _warn_in_silence() -> None:
    """Let torch say now, once per process, that its CSR layout is beta; products are tested here against dense ones."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        start, column = torch.tensor([0, 0]), torch.empty(0, dtype=torch.int64)
        torch.sparse_csr_tensor(start, column, torch.empty(0), (1, 1), check_invariants=False)


def _scipy(csr: Tensor) -> sparse.csr_matrix:
    parts = (csr.values().numpy(), csr.col_indices().numpy(), csr.crow_indices().numpy())
    return sparse.csr_matrix(parts, shape=tuple(csr.shape), copy=False)
