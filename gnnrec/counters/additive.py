"""A sparse matrix to which small ones are added: kept as few parts, so that adding costs what is added."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from gnnrec.data.types import Ints

MERGE_RATIO = 4
"""A part is merged into its predecessor when that is less than this many times larger: O(log entries) remain."""

LEAST = 1e-30
"""What is scaled below this is 0."""


class Additive:
    """The sum of some sparse matrices of counts."""

    def __init__(self) -> None:
        self.shape = (0, 0)
        self.parts: tuple[sparse.csr_matrix, ...] = ()
        """Matrices of one shape whose sum this is, the largest first; an entry may lie in several."""

    def enlarge(self, shape: tuple[int, int]) -> None:
        """Add empty rows and columns."""
        if shape != self.shape:
            self.shape, self.parts = shape, tuple(_enlarged(part, shape) for part in self.parts)

    def add(self, change: sparse.csr_matrix) -> None:
        """Add a matrix of the present shape; what becomes 0 is no entry any more, at the latest in `total`."""
        if not change.nnz:
            return
        parts = (*self.parts, change)
        while len(parts) > 1 and parts[-2].nnz < MERGE_RATIO * parts[-1].nnz:
            parts = (*parts[:-2], (parts[-2] + parts[-1]).tocsr())
        self.parts = parts

    def scale(self, factor: float) -> None:
        """Multiply the sum by a factor, 0 or more; what becomes too small to matter is 0. It costs the entries."""
        for part in self.parts:
            part.data *= np.float32(factor)
            part.data[np.abs(part.data) < LEAST] = 0  # below, products leave the range of floats or crawl at its edge

    def rows(self, index: Ints) -> sparse.csr_matrix:
        """Return some rows of the sum, [n, columns]."""
        found = sparse.csr_matrix((len(index), self.shape[1]), dtype=np.float32)
        for part in reversed(self.parts):
            found = found + part[index]
        return found

    @property
    def total(self) -> sparse.csr_matrix:
        """The sum as one matrix without zeros among its entries; it costs their number, and the parts stay."""
        total = sparse.csr_matrix(self.shape, dtype=np.float32)
        for part in reversed(self.parts):
            total = (total + part).tocsr()
        return total


def _enlarged(matrix: sparse.csr_matrix, shape: tuple[int, int]) -> sparse.csr_matrix:
    """Return `matrix` with empty rows and columns added, sharing its entries; the old object stays as it was."""
    start = np.pad(matrix.indptr, (0, shape[0] - matrix.shape[0]), mode="edge")
    return sparse.csr_matrix((matrix.data, matrix.indices, start), shape=shape)
