"""Items near those that the user has: ItemKNN with the settings of the literature."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnrec.counters.itemknn import ItemKNN
from gnnrec.data.types import Interactions, Ints
from gnnrec.untrained.base import Untrained


class NearestItems(Untrained):
    """ItemKNN (Sarwar et al., WWW 2001; Deshpande & Karypis, TOIS 2004): `gnnrec.counters.itemknn.ItemKNN` has the formula.

    The count of shared users changes by what is new; with a setting other than the plain one, the neighbours are cut anew
    after every change, which costs the entries of the Gram matrix.

    Args:
        neighbours: kept per item; None: all.
        shrinkage: what few users share counts less.
        asymmetry: 0 to 1, ½ is the cosine.
        exponent: larger, users of many items count less.
        tf_idf: weigh users by the rarity of what they take instead.
    """

    def __init__(
        self,
        neighbours: int | None = None,
        shrinkage: float = 0.0,
        asymmetry: float = 0.5,
        exponent: float = 0.0,
        tf_idf: bool = False,
    ) -> None:
        super().__init__()
        self.counts = ItemKNN(neighbours, shrinkage, asymmetry, exponent, tf_idf)

    def take_in(self, events: Interactions) -> None:
        """Count."""
        self.counts.absorb(events, self.num_users, self.num_items)

    def take_out(self, events: Interactions) -> None:
        """Count what is left."""
        self.counts.retract(events)

    def rank(self, user: Ints) -> NDArray[np.float32]:
        """Return [n, i]."""
        return self.counts.known_scores(user)

    @property
    def nbytes(self) -> int:
        """Bytes of the Gram matrix."""
        return self.counts.nbytes
