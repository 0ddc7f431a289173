"""How alike two items are, from what they share: each item with its nearest, as a sparse matrix.

Letters: i items, k neighbours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gnnrec.data.types import Floats


def divided(gram: sparse.csr_matrix, row: Floats, column: Floats, shrinkage: float = 0.0) -> sparse.csr_matrix:
    """Return G_ji / (row_j · column_i + shrinkage), [i, i], in single precision; row_j and column_i are [i]."""
    of_row = np.repeat(row, np.diff(gram.indptr))
    data = (gram.data / (of_row * column[gram.indices] + shrinkage)).astype(np.float32)
    return sparse.csr_matrix((data, gram.indices, gram.indptr), shape=gram.shape)


def without_diagonal(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return the matrix with nothing on its diagonal: an item is no neighbour of itself."""
    return _where(matrix, _row_of(matrix) != matrix.indices)


def nearest_items(matrix: sparse.csr_matrix, neighbours: int) -> sparse.csr_matrix:
    """Return the matrix with the k largest entries of each column, of equal ones those of the items numbered first."""
    columns = matrix.tocsc()
    columns.sort_indices()
    keep = np.zeros(columns.nnz, bool)
    size = np.diff(columns.indptr)
    for start, n in zip(columns.indptr[:-1].tolist(), size.tolist(), strict=True):
        keep[start : start + n] = _largest(columns.data[start : start + n], neighbours)
    column = np.repeat(np.arange(len(size)), size)[keep]
    return sparse.csr_matrix((columns.data[keep], (columns.indices[keep], column)), shape=matrix.shape)


def _largest(values: NDArray[np.float32], k: int) -> NDArray[np.bool_]:
    """Return which values are among the k largest, of equal ones the first."""
    if len(values) <= k:
        return np.ones(len(values), bool)
    edge = np.partition(values, len(values) - k)[len(values) - k]
    above = values > edge
    at_edge = np.flatnonzero(values == edge)[: k - int(above.sum())]
    above[at_edge] = True
    result: NDArray[np.bool_] = above
    return result


def _row_of(matrix: sparse.csr_matrix) -> NDArray[np.int64]:
    row: NDArray[np.int64] = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return row


def _where(matrix: sparse.csr_matrix, keep: NDArray[np.bool_]) -> sparse.csr_matrix:
    index = (matrix.data[keep], (_row_of(matrix)[keep], matrix.indices[keep]))
    return sparse.csr_matrix(index, shape=matrix.shape)
