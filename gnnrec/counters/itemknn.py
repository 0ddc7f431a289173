"""ItemKNN whose co-occurrence counts grow with the log."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gnnrec.counters.additive import Additive
from gnnrec.counters.cosine import cosine_scores, inverse_roots
from gnnrec.data.types import Floats, Interactions, Ints


class ItemKNN:
    """score(u, i) = Σ_{j in N(u), j ≠ i} cos(i, j), cos over the binary item columns, no shrinkage, all neighbours.

    The Gram matrix G = XᵀX is additive: of the users whose pairs change by D, so that O becomes O + D, it changes by
    OᵀD + DᵀO + DᵀD. It is brought up to date when somebody asks for it: a row that serves no blend never pays for it.
    """

    def __init__(self) -> None:
        self._counts, self._gram = Additive(), Additive()
        self._pending: list[tuple[int, Interactions]] = []
        self._shape = (0, 0)
        self._taken: Floats = np.zeros(0)

    def absorb(self, events: Interactions, num_users: int, num_items: int) -> None:
        """Add the events' distinct new pairs, and room for new nodes."""
        self._shape = (num_users, num_items)
        self._pending.append((1, events))

    def retract(self, events: Interactions) -> None:
        """Take out events that were absorbed: a pair goes with the last of its events."""
        self._pending.append((-1, events))

    @property
    def matrix(self) -> sparse.csr_matrix:
        """The distinct pairs absorbed, X, [u, i]; it costs their number."""
        self.settle()
        return _marks(self._counts.total)

    @property
    def gram(self) -> sparse.csr_matrix:
        """Users that two items share, G, [i, i]; it costs its entries."""
        self.settle()
        return self._gram.total

    @property
    def gram_parts(self) -> tuple[sparse.csr_matrix, ...]:
        """Few matrices whose sum is G, [i, i] each."""
        self.settle()
        return self._gram.parts

    @property
    def taken(self) -> Floats:
        """Users of each item, [i]: the diagonal of G."""
        self.settle()
        return self._taken

    def rows(self, user: Ints) -> sparse.csr_matrix:
        """Return the rows of X of these users, [n, i], all of them with a number here."""
        self.settle()
        return _marks(self._counts.rows(user))

    def settle(self) -> None:
        """Bring the counts up to date with what was absorbed and retracted."""
        pending, self._pending = self._pending, []
        # One by one: the parts, and with them the last digits of scores, are to be the same whenever somebody asked.
        for sign, events in pending:
            self._change(sign, events)

    def _change(self, sign: int, events: Interactions) -> None:
        self._counts.enlarge(self._shape)
        self._gram.enlarge((self._shape[1], self._shape[1]))
        ones = np.full(len(events), sign, np.float32)
        change = sparse.csr_matrix((ones, (events.user, events.item)), shape=self._shape)
        touched = np.flatnonzero(np.diff(change.indptr))
        before = self._counts.rows(touched)
        old = _marks(before)
        fresh = (_marks(before + change[touched]) - old).tocsr()
        self._counts.add(change)
        taken = np.bincount(fresh.indices, fresh.data, minlength=self._shape[1]).astype(np.float64)
        self._taken = taken + np.pad(self._taken, (0, self._shape[1] - len(self._taken)))
        cross = old.T @ fresh
        self._gram.add((cross + cross.T + fresh.T @ fresh).tocsr())

    def scores(self, user: Ints) -> NDArray[np.float32]:
        """Return [n, i]; users without a number here, or without events, score 0 everywhere."""
        self.settle()
        known = user < self._shape[0]
        found = cosine_scores(self.rows(user[known]), self.gram_parts, inverse_roots(self._taken))
        if known.all():
            return found
        result = np.zeros((len(user), self._shape[1]), np.float32)
        result[known] = found
        return result

    @property
    def nbytes(self) -> int:
        """Bytes that must be kept for the next update: the Gram matrix (the pairs are the graph's edges)."""
        gram = self.gram
        return int(gram.data.nbytes + gram.indices.nbytes + gram.indptr.nbytes)


def _marks(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return 1 where a count is not 0."""
    return sparse.csr_matrix((np.ones_like(counts.data), counts.indices, counts.indptr), shape=counts.shape)
