"""ItemKNN whose co-occurrence counts grow with the log."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gnnrec.data.types import Interactions, Ints


class ItemKNN:
    """score(u, i) = Σ_{j in N(u), j ≠ i} cos(i, j), cos over the binary item columns, no shrinkage, all neighbours.

    The Gram matrix G = XᵀX is additive: new entries D beside old ones O of the touched users add OᵀD + DᵀO + DᵀD. It is
    brought up to date when somebody asks for it: a row that serves no blend never pays for it.
    """

    def __init__(self) -> None:
        self._matrix = sparse.csr_matrix((0, 0), dtype=np.float32)
        self._gram = sparse.csr_matrix((0, 0), dtype=np.float32)
        self._pending: list[Interactions] = []
        self._shape = (0, 0)

    def absorb(self, events: Interactions, num_users: int, num_items: int) -> None:
        """Add the events' distinct new pairs, and room for new nodes."""
        self._shape = (num_users, num_items)
        self._pending.append(events)

    @property
    def matrix(self) -> sparse.csr_matrix:
        """The distinct pairs absorbed, X, [u, i]."""
        self.settle()
        return self._matrix

    @property
    def gram(self) -> sparse.csr_matrix:
        """Users that two items share, G, [i, i]."""
        self.settle()
        return self._gram

    def settle(self) -> None:
        """Bring the counts up to date with what was absorbed."""
        if not self._pending:
            return
        events, self._pending = Interactions.concat(self._pending), []
        self._matrix = _enlarged(self._matrix, self._shape)
        self._gram = _enlarged(self._gram, (self._shape[1], self._shape[1]))
        new = self._new_entries(events)
        if not new.nnz:
            return
        touched = np.flatnonzero(np.diff(new.indptr))
        fresh, old = new[touched], self._matrix[touched]
        cross = old.T @ fresh
        self._gram = (self._gram + cross + cross.T + fresh.T @ fresh).tocsr()
        self._matrix = (self._matrix + new).tocsr()

    def _new_entries(self, events: Interactions) -> sparse.csr_matrix:
        ones = np.ones(len(events), np.float32)
        new = sparse.csr_matrix((ones, (events.user, events.item)), shape=self._shape)
        new.data[:] = 1
        new = new - new.multiply(self._matrix)
        new.eliminate_zeros()
        return new

    def scores(self, user: Ints) -> NDArray[np.float32]:
        """Return [n, i]; users without a number here, or without events, score 0 everywhere."""
        users, items = self.matrix.shape
        rows = self.matrix[np.minimum(user, max(users - 1, 0))] if users else sparse.csr_matrix((len(user), items))
        rows = sparse.diags((user < users).astype(np.float32)) @ rows
        root = 1 / np.sqrt(np.maximum(self.gram.diagonal(), 1)).astype(np.float32)
        scaled = sparse.csr_matrix(rows @ sparse.diags(root) @ self.gram)
        dense = np.asarray(scaled.toarray()) * root[None, :]
        seen = rows.nonzero()
        dense[seen] -= 1.0
        result: NDArray[np.float32] = dense.astype(np.float32, copy=False)
        return result

    @property
    def nbytes(self) -> int:
        """Bytes that must be kept for the next update: the Gram matrix (the pairs are the graph's edges)."""
        return int(self.gram.data.nbytes + self.gram.indices.nbytes + self.gram.indptr.nbytes)


def _enlarged(matrix: sparse.csr_matrix, shape: tuple[int, int]) -> sparse.csr_matrix:
    """Return `matrix` with empty rows and columns added, sharing its entries; the old object stays as it was."""
    start = np.pad(matrix.indptr, (0, shape[0] - matrix.shape[0]), mode="edge")
    return sparse.csr_matrix((matrix.data, matrix.indices, start), shape=shape)
