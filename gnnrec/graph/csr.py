"""Sparse matrices in rows: torch's CSR tensors that share memory with scipy's, and their products with dense tables."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional as F

from gnnrec.graph.taken import count


def to_torch(matrix: sparse.csr_matrix) -> Tensor:
    """Return a scipy CSR matrix as a tensor that shares its memory."""
    _warn_in_silence()
    start, column, value = (torch.from_numpy(x) for x in (matrix.indptr, matrix.indices, matrix.data))
    return torch.sparse_csr_tensor(start, column, value, matrix.shape, check_invariants=False)


def to_scipy(csr: Tensor) -> sparse.csr_matrix:
    """Return a CSR tensor on the CPU as a scipy matrix that shares its memory."""
    parts = (csr.values().numpy(), csr.col_indices().numpy(), csr.crow_indices().numpy())
    return sparse.csr_matrix(parts, shape=tuple(csr.shape), copy=False)


def with_long(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return a scipy CSR matrix with the 64-bit indices and single precision that `product` takes."""
    start, column = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64)
    found = sparse.csr_matrix(matrix.shape, dtype=np.float32)
    # Its constructor would make the indices short again.
    found.indptr, found.indices, found.data = start, column, matrix.data.astype(np.float32)
    return found


def product(csr: Tensor, x: Tensor) -> Tensor:
    """Return the product of csr [r, c] with x [c, d], [r, d]; its callers know its gradient."""
    x = x.detach()
    count(csr.col_indices().numel())
    if x.device.type != "cpu":
        return x.new_zeros(len(csr), x.shape[1]).addmm_(csr, x, beta=0)
    # A weighted sum over bags of rows is the same product, and torch's kernel for it (FBGEMM, single precision, rows that
    # lie together) takes a third of the time.
    return F.embedding_bag(
        csr.col_indices(),
        x.contiguous(),
        csr.crow_indices(),
        mode="sum",
        per_sample_weights=csr.values(),
        include_last_offset=True,
    )


@cache
def _warn_in_silence() -> None:
    """Let torch say now, once per process, that its CSR layout is beta; products are tested here against dense ones."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        start, column = torch.tensor([0, 0]), torch.empty(0, dtype=torch.int64)
        torch.sparse_csr_tensor(start, column, torch.empty(0), (1, 1), check_invariants=False)
