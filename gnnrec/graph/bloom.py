"""A Bloom filter: most keys that are not in a set are told apart by two bits of one word, without a search."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BITS = 8
"""Bits per key. Two are set for each, in the same word, so that the second costs no far read: about 5 % of other keys pass."""
PIECE = 1 << 20
"""Keys hashed at a time while the filter is made."""
_WORD = np.uint64(64)
_HALF, _TOP6 = np.uint64(32), np.uint64(58)
_ODD = tuple(map(np.uint64, (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)))

BloomPositions = tuple[NDArray[np.int64], NDArray[np.int64]]


class BloomFilter:
    """What may be in a set of keys (Bloom 1970, in words as Putze, Sanders & Singler 2007).

    Args:
        keys: [e] of the set, at least one. Beyond 2^35 of them the words stay as many, and more others pass.
    """

    def __init__(self, keys: NDArray[np.int64]) -> None:
        self._words = np.uint64(min(BITS * len(keys) // 64 + 1, 2**32 - 1))
        flags = np.zeros(64 * int(self._words), bool)
        for start in range(0, len(keys), PIECE):
            for place in self._places(keys[start : start + PIECE]):
                flags[place] = True
        self._bits = np.packbits(flags, bitorder="little")

    def may_have(self, keys: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return False for keys that are certainly not in the set, [n]."""
        first, second = (self._bits[at >> 3] >> (at & 7).astype(np.uint8) for at in self._places(keys))
        found: NDArray[np.bool_] = (first & second & 1).view(np.bool_)
        return found

    def _places(self, keys: NDArray[np.int64]) -> BloomPositions:
        """Return two bits of one word for each key, [n] each: the upper parts of products with odd numbers."""
        key = keys.view(np.uint64)
        word = ((key * _ODD[0] >> _HALF) * self._words >> _HALF) * _WORD
        first, second = (word | (key * odd >> _TOP6) for odd in _ODD[1:])
        return first.view(np.int64), second.view(np.int64)
