"""A recommender as tables, and the scorer that they make: what ranks without run folder, store or configuration.

Letters: n users asked for, u users, i items, d width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from gnnrec.counters.cosine import inverse_roots
from gnnrec.data.types import Floats, Ints, Singles
from gnnrec.evaluation.settings import MaskedPairs
from gnnrec.objectives.base import Factors
from gnnrec.scorers.blend import BlendScorer, BlendWeights
from gnnrec.scorers.model import Scorer, to_width


@dataclass(frozen=True, slots=True)
class Taken:
    """What users have taken.

    Attributes:
        rows: 1 for every pair, [u, i].
        columns: the same, [i, u].
    """

    rows: sparse.csr_matrix
    columns: sparse.csr_matrix

    @staticmethod
    def of(start: Ints, item: NDArray[np.integer], num_items: int) -> Taken:
        """Return it from where each user's items begin, [u + 1], and the items, user by user."""
        ones = np.ones(len(item), np.float32)
        rows = sparse.csr_matrix((ones, item.astype(np.int32), start), shape=(len(start) - 1, num_items))
        return Taken(rows, rows.T.tocsr())

    def masked(self, user: Ints) -> MaskedPairs:
        """Return the (row of `user`, item) pairs that are taken; a number that is nobody's has none."""
        inside = np.flatnonzero(user < self.rows.shape[0])
        found = self.rows[user[inside]]
        return np.repeat(inside, np.diff(found.indptr)), found.indices.astype(np.int64)


@dataclass(frozen=True, slots=True)
class Tables:
    """What a served list is computed from.

    Attributes:
        factors: of the model's scores.
        counts: [i] events by which users without history are ranked.
        recent: [i] events that the blend adds; None: no blend.
        weights: of the blend; None likewise.
        taken: what users have taken.
    """

    factors: Factors
    counts: Floats
    recent: Floats | None
    weights: BlendWeights | None
    taken: Taken

    def scorer(self) -> Scorer:
        """Return what serves."""
        return self._blended(
            TableModel(self.factors, self.counts, np.diff(self.taken.rows.indptr) > 0), self.taken.rows
        )

    def scorer_of(self, vector: Tensor, items: Ints) -> Scorer:
        """Return what serves user 0 with this vector [d] who has taken these items and is in no table."""
        bias = self.factors.user_bias
        alone = Factors(vector[None], self.factors.item, bias.mean().nan_to_num().expand(1), self.factors.item_bias)
        row = sparse.csr_matrix(
            (np.ones(len(items), np.float32), items, np.array([0, len(items)])), shape=(1, self.taken.rows.shape[1])
        )
        return self._blended(TableModel(alone, self.counts, np.ones(1, bool)), row)

    def _blended(self, model: TableModel, rows: sparse.csr_matrix) -> Scorer:
        if self.weights is None or self.recent is None:
            return model
        return BlendScorer(model, StoredCounts(self.recent, StoredCosine(rows, self.taken)), self.weights)


class TableModel:
    """A model's ranking scores from its factors, as `ModelScorer` has them from embeddings and objective.

    Args:
        factors: of the scores.
        counts: [i] of users without history.
        has_edge: [u] whether the user has an absorbed event.
    """

    def __init__(self, factors: Factors, counts: Floats, has_edge: NDArray[np.bool_]) -> None:
        self.factors, self.has_edge = factors, has_edge
        self._popularity = torch.from_numpy(counts).float()

    def scores(self, user: Ints, num_items: int) -> Tensor:
        """Return [n, num_items]."""
        inside = user < len(self.has_edge)
        known = inside & self.has_edge[np.where(inside, user, 0)] if len(self.has_edge) else inside
        at = torch.from_numpy(user[known])
        f = self.factors
        ranked = torch.addmm(f.item_bias.expand(len(at), -1), f.user[at], f.item.T).add_(f.user_bias[at, None])
        if known.all():
            return to_width(ranked, num_items)
        found = self._popularity.expand(len(user), -1).clone()
        found[torch.from_numpy(known)] = ranked
        return to_width(found, num_items)

    def predict(self, user: Ints, item: Ints) -> None:
        """Predict nothing."""


@dataclass(frozen=True, slots=True)
class StoredCounts:
    """The counters that a blend reads, of one half-life."""

    recent: Floats
    companion: StoredCosine

    @property
    def popularity(self) -> StoredCounts:
        """These."""
        return self

    def at(self, half_life: float) -> Floats:
        """Return the counts, [i]."""
        return self.recent


class StoredCosine:
    """ItemKNN as it stands, by products with what everybody has taken: no [i, i] to make, keep or load.

    A user costs the pairs of all who share an item with them.

    Args:
        rows: what the users asked for have taken, [u', i].
        taken: what everybody has.
    """

    def __init__(self, rows: sparse.csr_matrix, taken: Taken) -> None:
        self.rows, self.taken = rows, taken
        self._root = inverse_roots(np.diff(taken.columns.indptr).astype(np.float64))

    def known_scores(self, user: Ints) -> Singles:
        """Return [n, i]; users without a number here, or without items, score 0 everywhere."""
        known = np.flatnonzero(user < self.rows.shape[0])
        rows = self.rows[user[known]]
        near = sparse.csr_matrix((self._root[rows.indices], rows.indices, rows.indptr), rows.shape)
        found = np.zeros((len(user), rows.shape[1]), np.float32)
        found[known] = ((near @ self.taken.columns) @ self.taken.rows).toarray() * self._root
        # An item is no neighbour of itself.
        found[known[np.repeat(np.arange(len(known)), np.diff(rows.indptr))], rows.indices] -= 1
        return found


def weights_of(saved: Mapping[str, float | None] | None) -> BlendWeights | None:
    """Return a blend's weights as JSON has them."""
    return None if saved is None else BlendWeights.of(saved)


def fold(factors: Factors, items: Ints, ridge: float, scale: float) -> Tensor:
    """Return c · (Y_Nᵀ Y_N + λI)⁻¹ Y_Nᵀ 1, the vector of somebody who has taken these items, [d].

    Where scores are by angle, it has the length of all vectors.

    Args:
        factors: Y are those of items.
        items: N, at least one.
        ridge: λ.
        scale: c.
    """
    near = factors.item[torch.from_numpy(items)]
    one = torch.eye(near.shape[1])
    found: Tensor = scale * torch.linalg.solve(near.T @ near + ridge * one, near.sum(0))
    size = float(found.norm())
    return found if factors.length is None or not size or not math.isfinite(size) else found * (factors.length / size)
