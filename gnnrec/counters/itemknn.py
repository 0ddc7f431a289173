"""ItemKNN whose co-occurrence counts grow with the log."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gnnrec.core.errors import GnnrecError
from gnnrec.counters.cosine import cosine_scores, dense_product, inverse_roots
from gnnrec.counters.gram import Gram, scaled_rows
from gnnrec.counters.similar import divided, nearest_items, without_diagonal
from gnnrec.data.types import Floats, Interactions, Ints


class ItemKNN(Gram):
    """score(u, i) = Σ_{j in N(u), j ≠ i} G_ji / (G_jj^α · G_ii^(1−α) + shrinkage), over the k items j nearest to i.

    As it stands, that is the cosine of binary item columns, with no shrinkage and all neighbours: G is brought up to date
    by what is new alone. Any other setting weighs and cuts all of G's entries anew once something has changed. (BM25 weighs
    by user as tf-idf does, and by item by a factor that the cosine takes out again.)

    Args:
        neighbours: k; None: all.
        shrinkage: 0 or more; larger: what few users share counts less.
        asymmetry: α from 0 to 1; ½ is the cosine, less favours popular items of the history, more popular candidates.
        exponent: a of G = Xᵀ D_u^(−2a) X: larger, users of many items count less.
        tf_idf: weigh users by log(i / (1 + their items)) instead; G is then made anew from all pairs.
    """

    def __init__(
        self,
        neighbours: int | None = None,
        shrinkage: float = 0.0,
        asymmetry: float = 0.5,
        exponent: float = 0.0,
        tf_idf: bool = False,
    ) -> None:
        super().__init__(exponent)
        if neighbours is not None and neighbours < 1:
            raise GnnrecError(f"ItemKNN: neighbours={neighbours} must be 1 or more, or null for all")
        if shrinkage < 0:
            raise GnnrecError(f"ItemKNN: shrinkage={shrinkage} must be 0 or more")
        if not 0 <= asymmetry <= 1:
            raise GnnrecError(f"ItemKNN: asymmetry={asymmetry} must lie between 0 and 1; 0.5 is the cosine")
        self.neighbours, self.shrinkage, self.asymmetry, self.tf_idf = neighbours, shrinkage, asymmetry, tf_idf
        self._similar: sparse.csr_matrix | None = None

    @property
    def plain(self) -> bool:
        """Whether scores are Σ cos over everything, so that they come from G's parts as they are."""
        return (
            self.neighbours is None and not (self.shrinkage or self.exponent or self.tf_idf) and self.asymmetry == 0.5
        )

    def known_scores(self, user: Ints) -> NDArray[np.float32]:
        """Return [n, i]; users without a number here, or without events, score 0 everywhere."""
        self.settle()
        known = user < self._shape[0]
        found = self._scores(self.rows(user[known]))
        if known.all():
            return found
        result = np.zeros((len(user), self._shape[1]), np.float32)
        result[known] = found
        return result

    def _scores(self, rows: sparse.csr_matrix) -> NDArray[np.float32]:
        if self.plain:
            return cosine_scores(rows, self.gram_parts, inverse_roots(self._taken))
        return dense_product(rows, [self.similar])

    @property
    def similar(self) -> sparse.csr_matrix:
        """What item j says for item i, [i, i], the nearest alone; it costs G's entries once after every change."""
        self.settle()
        if self._similar is None:
            gram = self._weighted()
            # Of an item that nobody takes any more, sums of floats may leave a crumb: it is like nothing.
            norm = np.where(self._taken > 0, gram.diagonal().astype(np.float64), np.inf)
            powers = norm**self.asymmetry, norm ** (1 - self.asymmetry)
            found = without_diagonal(divided(gram, *powers, self.shrinkage))
            self._similar = found if self.neighbours is None else nearest_items(found, self.neighbours)
        return self._similar

    def _weighted(self) -> sparse.csr_matrix:
        if not self.tf_idf:
            return self.gram
        x = self.matrix
        weighted = scaled_rows(x, rarity(np.diff(x.indptr), x.shape[1]))
        return (weighted.T @ weighted).tocsr()

    def _change(self, sign: int, events: Interactions) -> None:
        super()._change(sign, events)
        self._similar = None


def rarity(sizes: NDArray[np.integer], num_items: int) -> Floats:
    """Return log(i / (1 + items of each user)), at least 0, [u]: tf-idf with users as words."""
    found: Floats = np.maximum(np.log(max(num_items, 1) / (1.0 + sizes)), 0.0)
    return found
