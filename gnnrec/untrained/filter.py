"""Graph filters: a user's row of the interaction matrix, smoothed over the items that users share.

Letters: n users asked for, u users, i items, k vectors.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from gnnrec.core.errors import GnnrecError
from gnnrec.counters.cosine import dense_product
from gnnrec.counters.gram import Gram, scaled_columns, scaled_rows, user_factors
from gnnrec.counters.similar import divided, nearest_items
from gnnrec.data.types import Floats, Interactions, Ints
from gnnrec.graph.csr import product, to_torch, with_long
from gnnrec.untrained.base import Untrained
from gnnrec.untrained.subspace import Subspace


class GraphFilter(Untrained):
    """s_u = linear · r_u f(P) + low_pass · r_u D_I^(−½) V Vᵀ D_I^(½), P = (D_I^(−b) G D_I^(−c))^∘s, G = Rᵀ D_U^(−2a) R.

    r_u is the user's row of R, D_U and D_I its sums, V the k leading right singular vectors of D_U^(−a) R D_I^(−½),
    f(P) = P or, of order 2, 2P − P². With a = b = c = ½ and low_pass 0.3 this is GF-CF (Shen et al., CIKM 2021); with
    linear 0, its ideal low-pass filter; with b = c = 1 − a and a power s, Turbo-CF (Park et al., SIGIR 2024); with a
    half-life, entries of R are Σ 2^(−age / h) over a pair's events (FIRE, Xia et al., WWW 2022, without side information).

    G changes by what is new alone (`gnnrec.counters.gram.Gram`). V starts from the last V and takes few passes, so it
    depends a little on the increments it came by; a deletion lets it start from chance again. A power or neighbours cost
    all of G's entries after every change, and a deletion under a half-life, neighbours or a power below 1 costs the history.

    Args:
        user_exponent: a.
        before: b, on the user's items; larger: popular ones of the history say less.
        after: c, on the candidates; smaller favours popular ones.
        linear: weight of r_u f(P); 0: none.
        low_pass: weight of the ideal low-pass filter; 0: none.
        vectors: k.
        order: 1 or 2, the degree of f.
        power: s, of each entry.
        neighbours: entries of P kept for each candidate; None: all.
        half_life: h in absorbed events; None: nothing decays.
        most_items: the most items for which order 2 is taken with all neighbours; it costs P's entries for each user.
        passes, warm: of `Subspace`.
        seed: of its start.
    """

    def __init__(
        self,
        user_exponent: float = 0.5,
        before: float = 0.5,
        after: float = 0.5,
        linear: float = 1.0,
        low_pass: float = 0.0,
        vectors: int = 256,
        order: int = 1,
        power: float = 1.0,
        neighbours: int | None = None,
        half_life: float | None = None,
        most_items: int = 20_000,
        passes: int = 8,
        warm: int = 2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if order not in (1, 2):
            raise GnnrecError(f"filter: order={order} must be 1 (P) or 2 (2P − P²)")
        if not linear and not low_pass:
            raise GnnrecError("filter: linear=0 and low_pass=0 leave nothing to score by; give one of them a weight")
        for name, value in (
            ("power", power),
            ("vectors", vectors),
            ("neighbours", neighbours),
            ("half_life", half_life),
            ("passes", passes),
        ):
            if value is not None and value <= 0:
                raise GnnrecError(f"filter: {name}={value} must be above 0")
        self.user_exponent, self.before, self.after = user_exponent, before, after
        self.linear, self.low_pass, self.order, self.power = linear, low_pass, order, power
        self.neighbours, self.half_life, self.most_items = neighbours, half_life, most_items
        self.subspace = Subspace(vectors, passes, warm, seed)
        self._gram = Gram(user_exponent, half_life)
        self._matrix: sparse.csr_matrix | None = None
        self._vectors: Tensor | None = None

    def cold(self) -> GraphFilter:
        """Return a copy whose singular vectors start from chance every time."""
        twin = copy.deepcopy(self)
        twin.subspace.warm = 0
        return twin

    def take_in(self, events: Interactions) -> None:
        """Count."""
        self._gram.absorb(events, self.num_users, self.num_items)
        self._matrix = self._vectors = None

    def take_out(self, events: Interactions) -> None:
        """Count what is left, anew where a difference of sums would not do."""
        if self.half_life is None and self.neighbours is None and self.power >= 1:
            self._gram.retract(events)
        else:  # ages change; and what rounding leaves of a sum that is gone would decide between neighbours, or have a root
            self._gram = Gram(self.user_exponent, self.half_life)
            for part in (*self._log, Interactions.empty()):
                self._gram.absorb(part, self.num_users, self.num_items)
        self._matrix = self._vectors = None
        self.subspace.forget()

    def rank(self, user: Ints) -> NDArray[np.float32]:
        """Return [n, i]."""
        rows, found = self._gram.rows(user), np.zeros((len(user), self.num_items), np.float32)
        if self.linear:
            found += np.float32(self.linear) * self._smoothed(rows)
        if self.low_pass:
            found += np.float32(self.low_pass) * self._projected(rows)
        return found

    def _smoothed(self, rows: sparse.csr_matrix) -> NDArray[np.float32]:
        """Return r_u f(P), [n, i]."""
        if self.order == 1 and self.power == 1 and self.neighbours is None:  # G's parts serve as they are
            found = dense_product(scaled_columns(rows, self._factors(-self.before)), self._gram.gram_parts)
            return found * self._factors(-self.after).astype(np.float32)
        matrix = self._filter()
        found = dense_product(rows, [matrix])
        if self.order == 1:
            return found
        twice = product(to_torch(with_long(matrix.T.tocsr())), torch.from_numpy(np.ascontiguousarray(found.T))).T
        result: NDArray[np.float32] = 2 * found - twice.numpy()
        return result

    def _filter(self) -> sparse.csr_matrix:
        """Return P, [i, i], once after every change."""
        if self.order > 1 and self.neighbours is None and self.num_items > self.most_items:
            raise GnnrecError(
                f"filter: order={self.order} over {self.num_items:,} items costs all pairs of items for every user; "
                f"most_items={self.most_items:,} are allowed: set neighbours, order=1, or a larger most_items"
            )
        if self._matrix is None:
            gram = self._gram.gram
            found = divided(gram, self._factors(self.before), self._factors(self.after))
            # A deletion may leave a crumb below 0 where two items share nobody any more; it has no power.
            found.data = np.maximum(found.data, 0) ** np.float32(self.power)
            self._matrix = found if self.neighbours is None else nearest_items(found, self.neighbours)
        return self._matrix

    def _projected(self, rows: sparse.csr_matrix) -> NDArray[np.float32]:
        """Return r_u D_I^(−½) V Vᵀ D_I^(½), [n, i]."""
        root = self._factors(0.5)
        if self._vectors is None:
            x = self._gram.matrix
            normal = scaled_columns(scaled_rows(x, user_factors(x, self.user_exponent)), 1 / root)
            self._vectors = self.subspace.refresh(normal)
        inner = torch.from_numpy(scaled_columns(rows, 1 / root) @ self._vectors.numpy())
        found: NDArray[np.float32] = (inner @ self._vectors.T).numpy() * root.astype(np.float32)
        return found

    def _factors(self, exponent: float) -> Floats:
        """Return D_I to a power, [i], 1 for items that nobody has."""
        taken = self._gram.taken
        factors: Floats = np.where(taken > 0, taken, 1.0) ** exponent
        return factors

    @property
    def nbytes(self) -> int:
        """Bytes of G, and of the basis where there is a low-pass part."""
        return (self._gram.nbytes if self.linear else 0) + self.subspace.basis.nbytes
