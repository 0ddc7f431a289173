"""The leading right singular vectors of a matrix that changes little by little, by subspace iteration from the last ones.

Letters: u users, i items, k vectors, w columns iterated.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from gnnrec.core.seeds import generator
from gnnrec.graph.csr import product, to_torch, with_long

SPARE = 16
"""Columns iterated beyond k: the k-th converges by the gap to the last of these, not to its neighbour."""
LEAST = 1e-6
"""Squared singular values below this share of the largest are rounding, and their vectors arbitrary."""


class Subspace:
    """V, whose columns span what the matrix amplifies most.

    Args:
        vectors: k.
        passes: products with RᵀR from a start by chance.
        warm: products from the last basis; few suffice, as a small increment turns it little. 0: always start from chance.
        seed: of the start.
    """

    def __init__(self, vectors: int, passes: int = 8, warm: int = 2, seed: int = 0) -> None:
        self.k, self.passes, self.warm, self.seed = vectors, passes, warm, seed
        self.basis = torch.zeros(0, 0)

    def forget(self) -> None:
        """Start from chance next time, so that nothing of what the matrix was remains."""
        self.basis = torch.zeros(0, 0)

    def refresh(self, matrix: sparse.csr_matrix) -> Tensor:
        """Return V of R [u, i] as [i, k], fewer where R has fewer singular values above 0."""
        width = min(self.k + SPARE, *matrix.shape)
        r, transposed = (to_torch(with_long(x)) for x in (matrix, matrix.T.tocsr()))
        passes = self.warm if self._goes_on(width) else self.passes
        basis = self._start(matrix.shape[1], width)
        for _ in range(passes if width else 0):
            basis = torch.linalg.qr(product(transposed, product(r, basis)))[0]
        # Turned so that R's singular vectors stand apart (Rayleigh and Ritz): only then are the first k the leading ones.
        image = product(r, basis)
        value, turn = torch.linalg.eigh((image.T @ image).double())
        self.basis = basis @ turn.flip(1).float()
        strong = int((value > LEAST * value.max()).sum()) if width else 0
        return self.basis[:, : min(self.k, strong)]

    def _start(self, items: int, width: int) -> Tensor:
        """Return [i, w]: the last basis, at 0 for new items, which the first product fills; by chance where it does not fit."""
        if self._goes_on(width):
            return torch.cat([self.basis, torch.zeros(items - len(self.basis), width)])
        drawn = generator(self.seed, "subspace").standard_normal((items, width), np.float32)
        return torch.from_numpy(drawn)

    def _goes_on(self, width: int) -> bool:
        return bool(self.warm) and self.basis.shape[1] == width
