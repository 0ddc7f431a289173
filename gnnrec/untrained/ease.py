"""EASE: the linear autoencoder in closed form.

Letters: n users asked for, i items, m items in the model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from gnnrec.core.errors import GnnrecError
from gnnrec.counters.itemknn import ItemKNN
from gnnrec.data.types import Interactions, Ints
from gnnrec.untrained.base import Untrained


class EASE(Untrained):
    """s_u = x_u B, B_ij = −P_ij / P_jj, B_jj = 0, P = (XᵀX + λI)⁻¹ (Steck, WWW 2019).

    XᵀX changes by what is new alone; P is inverted anew after every change, m³ for m items.

    Departure: beyond `most_items`, B is that of the most popular ones, of equal ones those numbered first. The others are
    ranked by ItemKNN (cosine, all neighbours) below every item of the model.

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
        self._solved: tuple[Ints, NDArray[np.float32]] | None = None

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
        inside, weights = self.model
        found = np.asarray(self._counts.rows(user)[:, inside] @ weights, np.float32)
        if len(inside) == self.num_items:
            return found
        result = self._counts.scores(user)
        # ItemKNN's scores are 0 or more: shifted to end below the lowest of the model, they rank among themselves.
        result += (found.min(1) - result.max(1) - np.float32(1.0))[:, None]
        result[:, inside] = found
        return result

    @property
    def model(self) -> tuple[Ints, NDArray[np.float32]]:
        """The items in the model, ascending, [m], and B, [m, m]; made once after every change."""
        if self._solved is None:
            taken = self._counts.taken
            inside = np.sort(np.argsort(-taken, kind="stable")[: self.most_items])
            gram = self._counts.gram[inside][:, inside].toarray()
            self._solved = inside, solved(gram, self.l2)
        return self._solved

    @property
    def nbytes(self) -> int:
        """Bytes of the Gram matrix."""
        return self._counts.nbytes


def solved(gram: NDArray[np.float32], l2: float) -> NDArray[np.float32]:
    """Return B of G = XᵀX, [m, m], in place of G."""
    gram[np.diag_indices_from(gram)] += l2
    # Of a positive definite matrix Cholesky's factor is enough: half the work of a general inverse, and half its memory.
    factor, failed = linalg.lapack.spotrf(gram.T, lower=1, overwrite_a=1)
    if failed:
        raise GnnrecError(f"ease: XᵀX + l2·I cannot be inverted in single precision with l2={l2}; give a larger l2")
    inverse, _ = linalg.lapack.spotri(factor, lower=1, overwrite_c=1)
    for j in range(len(inverse)):  # the other half mirrors it
        inverse[j, j + 1 :] = inverse[j + 1 :, j]
    inverse /= -np.diag(inverse).copy()
    inverse[np.diag_indices_from(inverse)] = 0
    weights: NDArray[np.float32] = inverse
    return weights
