"""Levels of values, such as one to five stars: numbers that events and edges are grouped by.

Letters: n values, r levels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Floats, Singles

MOST = 32
"""Levels that values may have where none are named: values of more are no levels but measurements."""


def found_levels(values: Floats | Singles, key: str) -> Tensor:
    """Return the distinct values, ascending, [r].

    Raises:
        GnnrecError: there are more than `MOST`.
    """
    levels = np.unique(values.astype(np.float32))
    if len(levels) > MOST:
        raise GnnrecError(
            f"values have {len(levels)} levels, and at most {MOST} are told apart by themselves; name them by {key}, as in "
            f"{key}=[1,2,3,4,5]: a value belongs to the nearest"
        )
    return torch.from_numpy(levels)


def checked_levels(levels: Sequence[float], key: str) -> Tensor:
    """Return named levels, [r].

    Raises:
        GnnrecError: they do not ascend.
    """
    found = torch.tensor([float(x) for x in levels])
    if bool((found.diff() <= 0).any()):
        raise GnnrecError(f"{key}={list(levels)} must ascend")
    return found


def nearest_level(value: Tensor, levels: Tensor) -> Tensor:
    """Return the number of the nearest level of each value, the lower of two as near, [n]."""
    middle = (levels[1:] + levels[:-1]) / 2
    return torch.bucketize(value.to(levels), middle)
