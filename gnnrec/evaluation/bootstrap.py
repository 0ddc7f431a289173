"""Resampled differences between rows of the table, with users as one factor through all increments and seeds.

Letters: n pairs, u users, t increments, s seeds, c couples of rows, b resamples. The statistic is the one of the table:
the mean over seeds of the unweighted mean over increments of the mean over users, for errors over their events.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnnrec.core.seeds import generator
from gnnrec.evaluation.pairs import Ints, Key, Singles, UserPairs

Floats = NDArray[np.float64]
Couple = tuple[Key, Key]

FEWEST = 5
"""Fewest increments from which anything is said about others."""
_BLOCK = 32_000_000
"""Largest number of weights held at once (float32: 128 MB)."""


@dataclass(frozen=True, slots=True)
class Draws:
    """Differences of couples, as observed and resampled.

    Attributes:
        cells: [c, t, s] observed difference per increment and seed; NaN where the two rows have no pair in common.
        observed: [c] the statistic.
        narrow: [b, c] users drawn: for these increments and seeds.
        wide: [b, c] users, increments and seeds drawn: for others like them; NaN below `FEWEST` increments.
    """

    cells: Floats
    observed: Floats
    narrow: Floats
    wide: Floats

    def turned(self) -> Draws:
        """Return these draws negated: of an error less is better, and of its negative more."""
        return Draws(-self.cells, -self.observed, -self.narrow, -self.wide)


def draw(pairs: UserPairs, couples: Sequence[Couple], resamples: int, seed: int = 0) -> Draws:
    """Return the resampled differences of `couples`, all from the same draws, so that they can be corrected together.

    One draw of users serves every increment and seed, crossed with a draw of increments and one of seeds (pigeonhole
    bootstrap, Owen 2007): a user who is easy to please is so in all of them. Of t increments and of s seeds t−1 and s−1
    are drawn, which makes the variance of a mean of few levels unbiased (Rao & Wu 1988); one seed stays as it is.

    Rows, not couples, are resampled and then subtracted: the work grows with the rows of the table. Beside the table
    itself at most `_BLOCK` weights, once more those of an increment's users, its columns, and [b, c] results are held.
    """
    columns = _Columns.find(pairs, couples)
    cells = columns.differences(columns.cells(pairs)[None])[0].swapaxes(1, 2)  # [c, t, s]
    increments, seeds = np.isfinite(cells).any(axis=2), np.isfinite(cells).any(axis=1)
    users, crossed = generator(seed, "bootstrap"), generator(seed, "crossed")
    narrow, wide = np.empty((resamples, len(couples))), np.empty((resamples, len(couples)))
    for part in _parts(resamples, max(pairs.users, columns.a.size, cells.shape[1] ** 2)):
        chances = crossed.random((part.stop - part.start, sum(cells.shape[1:])))
        weights = _multinomial(users, len(chances), pairs.users)
        plain, moved = columns.means(pairs, weights, chances[:, : cells.shape[1]])
        narrow[part] = _mean(columns.differences(plain), axis=2)
        wide[part] = _over_seeds(columns.differences(moved), seeds, chances[:, cells.shape[1] :])
    wide[:, increments.sum(axis=1) < FEWEST] = np.nan
    return Draws(cells, _mean(_mean(cells, axis=1), axis=1), narrow, wide)


@dataclass(frozen=True, slots=True)
class _Columns:
    """The k distinct columns that couples are made of: a row under a seed on the pairs that both rows have.

    Columns that are equal value by value are one, so that equal rows differ by exactly nothing.

    Attributes:
        lines: of each column its values [n].
        of: [k] number of each column's pattern.
        patterns: of each pattern [n], what a pair weighs where both rows have it, else 0.
        a, b: [c, s] columns of the couple's two rows; −1 where they have no pair in common.
    """

    lines: list[Singles]
    of: Ints
    patterns: list[Singles]
    a: Ints
    b: Ints

    @staticmethod
    def find(pairs: UserPairs, couples: Sequence[Couple]) -> _Columns:
        """Return the columns of `couples`."""
        digests = {key: [_digest(line) for line in pairs.value[key]] for key in {k for both in couples for k in both}}
        weight = np.float32(1) if pairs.weight is None else pairs.weight
        patterns: dict[bytes, Singles] = {}
        columns: dict[tuple[bytes, bytes], Singles] = {}
        seeds = len(next(iter(pairs.value.values()), ()))
        places = np.full((2, len(couples), seeds), -1, np.int64)
        for c, both in enumerate(couples):
            for s in range(seeds):
                have = np.isfinite(pairs.value[both[0]][s]) & np.isfinite(pairs.value[both[1]][s])
                if not have.any():
                    continue
                pattern = _digest(have)
                patterns.setdefault(pattern, have * weight)
                for side, key in enumerate(both):
                    name = (digests[key][s], pattern)
                    columns.setdefault(name, pairs.value[key][s])
                    places[side, c, s] = list(columns).index(name)
        of = np.array([list(patterns).index(pattern) for _, pattern in columns], np.int64)
        return _Columns(list(columns.values()), of, list(patterns.values()), *places)

    def differences(self, columns: Floats) -> Floats:
        """Return [b, c, s, …] first minus second of columns [b, k, …]; NaN where a couple has no such seed."""
        padded = np.concatenate([columns, np.full_like(columns[:, :1], np.nan)], axis=1)
        return np.asarray(padded[:, self.a] - padded[:, self.b])

    def of_increment(self, block: slice) -> tuple[Singles, Singles]:
        """Return weighted values [k, m], 0 where missing, and patterns [p, m] of the m pairs of one increment."""
        have = np.stack([pattern[block] for pattern in self.patterns])
        filled = np.empty((len(self.lines), have.shape[1]), np.float32)
        for k, line in enumerate(self.lines):
            weight = have[self.of[k]]
            filled[k] = np.where(weight > 0, line[block] * weight, np.float32(0))
        return filled, have

    def cells(self, pairs: UserPairs) -> Floats:
        """Return [k, t], the mean over users, or over their events, as observed."""
        found = []
        for block in pairs.blocks():
            values, have = self.of_increment(block)
            with np.errstate(invalid="ignore"):
                found.append(values.sum(axis=1, dtype=np.float64) / have.sum(axis=1, dtype=np.float64)[self.of])
        return np.stack(found, axis=1)

    def means(self, pairs: UserPairs, weights: Singles, chances: Floats) -> tuple[Floats, Floats]:
        """Return twice [b, k], the mean over increments of the weighted mean over users, or over their events.

        First with the increments as they are, then as `chances` [b, t] draw them from those that a pattern has.
        """
        blocks = pairs.blocks()
        drawn = np.stack([_drawn(self._increments(p, blocks), chances) for p in range(len(self.patterns))])  # [p, b, t]
        sums, counts = np.zeros((2, len(weights), len(self.lines))), np.zeros((2, len(weights), len(self.patterns)))
        for t, block in enumerate(blocks):
            values, have = self.of_increment(block)
            w = weights[:, pairs.user[block]]
            total = w @ have.T
            mean = (w @ values.T) / np.maximum(total, 1)[:, self.of]
            for i, times in enumerate((np.ones_like(total), drawn[:, :, t].T)):
                counts[i] += (share := np.where(total > 0, times, 0))
                sums[i] += share[:, self.of] * mean
        with np.errstate(invalid="ignore"):
            plain, moved = sums / counts[:, :, self.of]
        return plain, moved

    def _increments(self, pattern: int, blocks: Sequence[slice]) -> NDArray[np.bool_]:
        return np.array([bool(self.patterns[pattern][block].any()) for block in blocks])


def _over_seeds(differences: Floats, present: NDArray[np.bool_], chances: Floats) -> Floats:
    """Return [b, c], the mean of differences [b, c, s] over seeds drawn among those `present` [c, s] of a couple."""
    weights = np.stack([_drawn(seeds, chances) for seeds in present], axis=1)
    have = np.isfinite(differences) & (weights > 0)
    total, count = np.where(have, differences * weights, 0).sum(axis=2), np.where(have, weights, 0).sum(axis=2)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def _drawn(present: NDArray[np.bool_], chances: Floats) -> Floats:
    """Return [b, m], how often each of m levels is drawn: one draw fewer than levels are present, at least one."""
    own = np.flatnonzero(present)
    draws = max(len(own) - 1, min(len(own), 1))
    picked = own[(chances[:, :draws] * len(own)).astype(np.int64)]
    return np.asarray((picked[:, :, None] == np.arange(len(present))).sum(axis=1), dtype=np.float64)


def _digest(array: NDArray[np.generic]) -> bytes:
    return hashlib.blake2b(array.tobytes(), digest_size=16).digest()


def _multinomial(rng: np.random.Generator, rows: int, users: int) -> Singles:
    """Return [rows, users], how often each user is drawn in `users` draws with replacement."""
    weights = np.empty((rows, users), np.float32)
    for row in weights:
        row[:] = np.bincount(rng.integers(users, size=users, dtype=np.int32), minlength=users)
    return weights


def _parts(total: int, width: int) -> Iterator[slice]:
    """Yield slices that make up `total`, each times `width` within `_BLOCK`."""
    size = max(1, min(total, _BLOCK // max(1, width)))
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))


def _mean(values: Floats, axis: int) -> Floats:
    """Mean over what is there; NaN, without a warning, where nothing is."""
    have = np.isfinite(values)
    total, count = np.where(have, values, 0).sum(axis=axis), have.sum(axis=axis)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan), dtype=np.float64)
