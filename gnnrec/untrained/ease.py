"""EASE: the linear autoencoder in closed form.

Letters: n users asked for, i items, m items in the model, o others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import linalg, sparse

from gnnrec.core.errors import GnnrecError
from gnnrec.counters.itemknn import ItemKNN
from gnnrec.data.types import Interactions, Ints
from gnnrec.graph.csr import product, to_torch, with_long
from gnnrec.untrained.base import Untrained


@dataclass(frozen=True, slots=True)
class Solution:
    """B and what it takes to score items beyond it.

    Attributes:
        inside, outside: ascending items in the model, [m], and the others, [o].
        weights: B, [m, m].
        diagonal: of P, [m].
        shared: XᵀX between the others and those in the model, [o, m].
    """

    inside: Ints
    outside: Ints
    weights: NDArray[np.float32]
    diagonal: NDArray[np.float32]
    shared: sparse.csr_matrix

    def __deepcopy__(self, memo: object) -> Solution:
        """Return itself: it is replaced, never changed, and as large as everything else together."""
        return self


class EASE(Untrained):
    """s_u = x_u B, B_ij = −P_ij / P_jj, B_jj = 0, P = (XᵀX + λI)⁻¹ (Steck, WWW 2019).

    XᵀX changes by what is new alone; P is inverted anew after every change, m³ for m items.

    Departure: beyond `most_items`, B is that of the m most popular ones, of equal ones those numbered first. Every other item
    is regressed on these by the same ridge, B_·j = P XᵀX_·j, at the cost of what it shares with them for each user.

    Args:
        l2: λ.
        most_items: m at most; memory is 4 m² bytes and some, and time m³.
    """

    def __init__(self, l2: float = 200.0, most_items: int = 12_000) -> None:
        super().__init__()
        if l2 <= 0:
            raise GnnrecError(f"ease: l2={l2} must be above 0, or the matrix has no inverse; 100 to 1000 are usual")
        if most_items < 1:
            raise GnnrecError(f"ease: most_items={most_items} must be 1 or more")
        self.l2, self.most_items = l2, most_items
        self._counts = ItemKNN()
        self._solved: Solution | None = None

    def take_in(self, events: Interactions) -> None:
        """Count."""
        self._counts.absorb(events, self.num_users, self.num_items)
        self._solved = None

    def take_out(self, events: Interactions) -> None:
        """Count what is left."""
        self._counts.retract(events)
        self._solved = None

    def rank(self, user: Ints) -> NDArray[np.float32]:
        """Return [n, i]."""
        model = self.model
        x = self._counts.rows(user)[:, model.inside]
        found = np.asarray(x @ model.weights, np.float32)
        if not len(model.outside):
            return found
        result = np.zeros((len(user), self.num_items), np.float32)
        result[:, model.inside] = found
        # x P from x B: of P, B lacks the diagonal alone, and has each column over it.
        spread = torch.from_numpy(np.ascontiguousarray(((x.toarray() - found) * model.diagonal).T, np.float32))
        result[:, model.outside] = product(to_torch(model.shared), spread).T.numpy()
        return result

    @property
    def model(self) -> Solution:
        """The solution; made once after every change."""
        if self._solved is None:
            gram, order = self._counts.gram, np.argsort(-self._counts.taken, kind="stable")
            inside, outside = (np.sort(x) for x in (order[: self.most_items], order[self.most_items :]))
            shared = with_long(gram[outside][:, inside])
            self._solved = Solution(inside, outside, *solved(gram[inside][:, inside].toarray(), self.l2), shared)
        return self._solved

    @property
    def nbytes(self) -> int:
        """Bytes of the Gram matrix."""
        return self._counts.nbytes


def solved(gram: NDArray[np.float32], l2: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return B of G = XᵀX, [m, m], in place of G, and the diagonal of P, [m]."""
    gram[np.diag_indices_from(gram)] += l2
    # Of a positive definite matrix Cholesky's factor is enough: half the work of a general inverse, and half its memory.
    factor, failed = linalg.lapack.spotrf(gram.T, lower=1, overwrite_a=1)
    if failed:
        raise GnnrecError(f"ease: XᵀX + l2·I cannot be inverted in single precision with l2={l2}; give a larger l2")
    inverse, _ = linalg.lapack.spotri(factor, lower=1, overwrite_c=1)
    for j in range(len(inverse)):  # the other half mirrors it
        inverse[j, j + 1 :] = inverse[j + 1 :, j]
    diagonal = np.diag(inverse).copy()
    inverse /= -diagonal
    inverse[np.diag_indices_from(inverse)] = 0
    return inverse, diagonal
