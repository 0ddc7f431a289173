"""What a user's earlier ratings say beyond biases: item neighbours on residuals, without training.

Letters: n pairs, u users, i items.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy import sparse

from gnnrec.data.types import Floats, Interactions, Ints
from gnnrec.objectives.bias import BiasTerms

BLOCK = 65_536
"""Pairs predicted at a time."""


class ResidualNeighbours:
    """μ + b_u + b_i + Σ_j s_ij r_uj / (k + Σ_j |s_ij|), j over the items that the user has rated; ranks nothing.

    r are residuals of absorbed ratings against the biases as they stand, s_ij = cos(r_·i, r_·j) · n_ij / (n_ij + λ) with n_ij
    users who rated both. Koren, "Factor in the neighbors" (TKDD 2010), sections 2.1 and 3; departs in biases with a memory, a
    cosine in the correlation's place, all neighbours, and k.

    Args:
        absorbed: the events.
        biases: that absorbed them, with the memory that a model's have.
        num_users, num_items: known nodes.
        shrinkage: λ, in users.
        pull: k, towards no interaction.
    """

    scores = None

    def __init__(
        self,
        absorbed: Interactions,
        biases: BiasTerms,
        num_users: int,
        num_items: int,
        shrinkage: float = 50.0,
        pull: float = 0.3,
    ) -> None:
        self.absorbed, self.biases, self.shape = absorbed, biases, (num_users, num_items)
        self.shrinkage, self.pull = shrinkage, pull

    @cached_property
    def residuals(self) -> sparse.csr_matrix:
        """Residuals of absorbed ratings, [u, i]; of a pair that came several times, their sum."""
        events = self.absorbed
        left = events.value - self.biases.partial(events.user, events.item).double().numpy()
        return sparse.csr_matrix((left, (events.user, events.item)), shape=self.shape)

    @cached_property
    def similar(self) -> sparse.csr_matrix:
        """s, [i, i], without a diagonal; costs the pairs of items that users share."""
        x = self.residuals
        rated = sparse.csr_matrix((np.ones(x.nnz), x.indices, x.indptr), shape=x.shape)
        products, shared = (x.T @ x).tocoo(), (rated.T @ rated).tocsr()
        length = np.sqrt(np.asarray(x.multiply(x).sum(0)).ravel())
        both = np.asarray(shared[products.row, products.col]).ravel()
        over = np.maximum(length[products.row] * length[products.col], np.finfo(float).tiny)
        value = np.where(products.row == products.col, 0.0, products.data / over * both / (both + self.shrinkage))
        return sparse.csr_matrix((value, (products.row, products.col)), shape=products.shape)

    def interaction(self, user: Ints, item: Ints) -> Floats:
        """Return what the pairs' ratings are expected to be beyond biases, [n]; every user and item must be known."""
        found = np.zeros(len(user))
        for start in range(0, len(user), BLOCK):
            at = slice(start, start + BLOCK)
            own, near = self.residuals[user[at]], self.similar[item[at]]  # s is symmetric
            rated = sparse.csr_matrix((np.ones(own.nnz), own.indices, own.indptr), shape=own.shape)
            weight = np.asarray(rated.multiply(abs(near)).sum(1)).ravel()
            found[at] = np.asarray(own.multiply(near).sum(1)).ravel() / (weight + self.pull)
        return found

    def predict(self, user: Ints, item: Ints) -> Floats:
        """Return [n]; every user and item must be known."""
        result: Floats = self.biases.partial(user, item).double().numpy() + self.interaction(user, item)
        return result
