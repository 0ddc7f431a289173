"""Pairs absorbed and what their items share, kept as events come and go."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from gnnrec.counters.additive import Additive
from gnnrec.data.types import Floats, Interactions, Ints


class Gram:
    """The matrix X of the pairs absorbed, and G = Xᵀ D_u^(−2a) X, D_u the sums of X's rows.

    Without a half-life an entry of X is 1 where the pair has an event; with one it is Σ 2^(−age / h) over the pair's events.
    Where users' rows O become N, G changes by NᵀD_N^(−2a)N − OᵀD_O^(−2a)O. With a = 0 that costs what is new times what
    these users had; else the squares of what they had, which, where most users come again, is all there is. Everybody
    else's share is as it was, or, where X decays by γ, γ^(2−2a) times that: one pass over G. It is brought up to date when
    somebody asks for it: who never asks never pays.

    Args:
        exponent: a; 0 counts the users that two items share, exactly.
        half_life: h, in absorbed events; None: nothing decays. What decays cannot be retracted: absorb what stays anew.
    """

    def __init__(self, exponent: float = 0.0, half_life: float | None = None) -> None:
        self.exponent, self.half_life = exponent, half_life
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
        return self._entries(self._counts.total)

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
        """Users of each item, [i]: the sums of X's columns."""
        self.settle()
        return self._taken

    def rows(self, user: Ints) -> sparse.csr_matrix:
        """Return the rows of X of these users, [n, i], all of them with a number here."""
        self.settle()
        return self._entries(self._counts.rows(user))

    def settle(self) -> None:
        """Bring the counts up to date with what was absorbed and retracted."""
        pending, self._pending = self._pending, []
        # One by one: the parts, and with them the last digits of scores, are to be the same whenever somebody asked.
        for sign, events in pending:
            self._change(sign, events)

    def _change(self, sign: int, events: Interactions) -> None:
        self._counts.enlarge(self._shape)
        self._gram.enlarge((self._shape[1], self._shape[1]))
        weight = self._decay(sign, len(events))
        change = sparse.csr_matrix((weight, (events.user, events.item)), shape=self._shape)
        touched = np.flatnonzero(np.diff(change.indptr))
        before = self._counts.rows(touched)
        old = self._entries(before)
        fresh = (self._entries(before + change[touched]) - old).tocsr()
        self._counts.add(change)
        taken = np.bincount(fresh.indices, fresh.data, minlength=self._shape[1]).astype(np.float64)
        self._taken = taken + np.pad(self._taken, (0, self._shape[1] - len(self._taken)))
        self._gram.add(self._difference(old, fresh))

    def _decay(self, sign: int, n: int) -> Floats:
        """Let what is there grow older by n events, and return their own weights, the oldest first, [n]."""
        if self.half_life is None:
            return np.full(n, sign, np.float32)
        assert sign > 0, "what decays cannot be retracted"
        faded = float(np.exp2(-n / self.half_life))
        self._counts.scale(faded)
        self._gram.scale(faded ** (2 - 2 * self.exponent))
        self._taken = self._taken * faded
        weight: Floats = np.exp2(-np.arange(n - 1, -1, -1) / self.half_life).astype(np.float32)
        return weight

    def _difference(self, old: sparse.csr_matrix, fresh: sparse.csr_matrix) -> sparse.csr_matrix:
        """Return by how much G changes where rows O become O + F: OᵀWF + FᵀWO + FᵀWF + OᵀΔO, Δ what the weights W change by."""
        before, after = (user_factors(rows, 2 * self.exponent) for rows in (old, old + fresh))
        weighted = scaled_rows(fresh, after)
        cross = old.T @ weighted
        change = (cross + cross.T + fresh.T @ weighted).tocsr()
        if not self.exponent:  # then what users had before costs nothing, and whole numbers stay whole
            return change
        return (change + old.T @ scaled_rows(old, after - before)).tocsr()

    def _entries(self, sums: sparse.csr_matrix) -> sparse.csr_matrix:
        return sums if self.half_life is not None else _marks(sums)

    @property
    def nbytes(self) -> int:
        """Bytes that must be kept for the next update: the Gram matrix (the pairs are the graph's edges)."""
        gram = self.gram
        return int(gram.data.nbytes + gram.indices.nbytes + gram.indptr.nbytes)


def user_factors(rows: sparse.csr_matrix, exponent: float) -> Floats:
    """Return D_u^(−exponent), [n], 1 for rows without an entry."""
    total = np.asarray(rows.sum(1), np.float64).ravel()
    factors: Floats = np.where(total > 0, total, 1.0) ** -exponent
    return factors


def scaled_rows(rows: sparse.csr_matrix, factors: Floats) -> sparse.csr_matrix:
    """Return the rows, each times its factor, in single precision."""
    data = (rows.data * np.repeat(factors, np.diff(rows.indptr))).astype(np.float32)
    return sparse.csr_matrix((data, rows.indices, rows.indptr), shape=rows.shape)


def scaled_columns(matrix: sparse.csr_matrix, factors: Floats) -> sparse.csr_matrix:
    """Return the matrix, each column times its factor, in single precision."""
    data = (matrix.data * factors[matrix.indices]).astype(np.float32)
    return sparse.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def _marks(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return 1 where a count is not 0."""
    return sparse.csr_matrix((np.ones_like(counts.data), counts.indices, counts.indptr), shape=counts.shape)
