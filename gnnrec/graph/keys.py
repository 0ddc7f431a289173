"""Edges as single numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnrec.data.types import Ints

EdgeKeys = NDArray[np.int64]


def edge_key(user: Ints, item: Ints) -> EdgeKeys:
    """Return user · 2^32 + item, [n]: sorted keys are sorted by user, then item."""
    return (user << 32) | item


def distinct(keys: EdgeKeys) -> EdgeKeys:
    """Return the keys in order, each once; `np.unique` looks them up in a hash table first, which takes longer."""
    keys = np.sort(keys)
    fresh = np.ones(len(keys), bool)
    np.not_equal(keys[1:], keys[:-1], out=fresh[1:])
    return keys[fresh]
