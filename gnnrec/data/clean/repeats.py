"""Which of several events of a (user, item) pair count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnrec.data.types import Ints

_BITS = 22


def kept_rows(columns: Mapping[str, NDArray[Any]], repeats: str) -> tuple[Ints | None, int, int]:
    """Return the rows that count, ascending (None: all), the number of duplicates, and of repeats.

    A duplicate equals an earlier row in user, item, value and time. Of a pair's other rows the first, the last, or all count.

    Args:
        columns: user and item numbers, value and time where there are such, in the order of the log.
        repeats: first, last or all.
    """
    twice = _twice(_pairs(columns))
    if not len(twice):
        return None, 0, 0
    pair = _pairs(columns)
    several = _among(pair, twice)
    # Few rows share their pair with another one; only these are compared.
    keys = [columns[c][several] for c in ("value", "time") if c in columns]
    order = np.lexsort((several, *keys, pair[several]))
    ranked = [k[order] for k in (*keys, pair[several])]
    fresh = np.ones(len(order), bool)
    fresh[1:] = np.any([r[1:] != r[:-1] for r in ranked], axis=0)
    single = np.sort(several[order[fresh]])
    chosen = single if repeats == "all" else _one_each(single, pair[single], last=repeats == "last")
    keep = np.ones(len(pair), bool)
    keep[several] = False
    keep[chosen] = True
    duplicate = len(several) - len(single)
    dropped = len(several) - len(chosen)
    return np.flatnonzero(keep) if dropped else None, duplicate, dropped - duplicate


def _pairs(columns: Mapping[str, NDArray[Any]]) -> Ints:
    pair: Ints = columns["user"].astype(np.int64) << 32
    pair |= columns["item"]
    return pair


def _twice(pair: Ints) -> Ints:
    """Return the pairs that occur more than once, ascending; `pair` is sorted in place."""
    pair.sort()  # sorting values takes a fraction of the time and memory of ranking rows
    return np.unique(pair[1:][pair[1:] == pair[:-1]])


def _among(pair: Ints, twice: Ints) -> Ints:
    """Return the rows that have one of these pairs, ascending."""
    # A search costs ten times this look-up, which rules out nearly all.
    marked = np.zeros(1 << _BITS, bool)
    marked[_slot(twice)] = True
    likely: Ints = np.flatnonzero(marked[_slot(pair)])
    at = np.searchsorted(twice, pair[likely])
    found: Ints = likely[twice[np.minimum(at, len(twice) - 1, out=at)] == pair[likely]]
    return found


def _slot(pair: Ints) -> Ints:
    """Return a number of `_BITS` bits for each pair, the same for the same pair."""
    mixed = pair.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed >>= np.uint64(64 - _BITS)
    return mixed.view(np.int64)


def _one_each(row: Ints, pair: Ints, last: bool) -> Ints:
    """Return the first or the last row of each pair; `row` ascends."""
    if last:
        _, at = np.unique(pair[::-1], return_index=True)
        return row[::-1][at]
    _, at = np.unique(pair, return_index=True)
    return row[at]
