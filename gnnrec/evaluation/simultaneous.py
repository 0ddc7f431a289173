"""Intervals and p of one kind that hold for all couples of a page together (single-step max-t, Westfall & Young 1993).

Letters: c couples, b resamples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnrec.core.errors import GnnrecError

Floats = NDArray[np.float64]


def corrected(observed: Floats, drawn: Floats, level: float = 0.95) -> tuple[Floats, Floats, Floats, Floats]:
    """Return low, high, p and half the interval's width of `observed` [c] from `drawn` [b, c], for all c together.

    With m_b the largest |drawn − observed| / deviation over the couples, p = (1 + #{m_b ≥ |observed| / deviation}) / (b + 1),
    and the interval reaches as many deviations as the m that p = 1 − level belongs to, so that p < 1 − level exactly where
    it leaves out 0. All are NaN for a couple that was not resampled; p alone where every user gets the same.

    Raises:
        GnnrecError: too few resamples for the level.
    """
    error, steps = _steps(observed, drawn)
    largest = np.sort(np.abs(steps).max(axis=1, initial=0.0))
    reach = error * _quantile(largest, level)
    with np.errstate(invalid="ignore", divide="ignore"):
        size = np.abs(observed) / error
    p = (1 + len(drawn) - np.searchsorted(largest, size, side="left")) / (len(drawn) + 1)
    return observed - reach, observed + reach, np.where(np.isnan(size), np.nan, p), reach


def one_sided(observed: Floats, drawn: Floats, level: float = 0.95) -> tuple[Floats, Floats]:
    """Return how far below and how far above `observed` [c] its one-sided bounds lie, for all c together."""
    error, steps = _steps(observed, drawn)
    below, above = (np.sort((side * steps).max(axis=1, initial=0.0)) for side in (1, -1))
    return error * _quantile(below, level), error * _quantile(above, level)


def _steps(observed: Floats, drawn: Floats) -> tuple[Floats, Floats]:
    """Return the deviation [c] of `drawn` [b, c] and its distances from `observed` in deviations, of couples that move.

    A couple with so few users that a resample in a hundred finds none of them is NaN.
    """
    lost = np.isnan(drawn)
    usable = lost.mean(axis=0) < 0.01
    centred = np.where(lost, 0.0, drawn - observed)
    error = np.where(usable, centred.std(axis=0, ddof=1), np.nan)
    moves = error > 0
    return error, centred[:, moves] / error[moves]


def _quantile(ascending: Floats, level: float) -> float:
    """Return the largest value that is reached by chance with a p above 1 − level."""
    if (rank := int((1 - level) * (len(ascending) + 1)) - 1) < 0:
        raise GnnrecError(f"resamples={len(ascending)} are too few for a level of {level}; more are needed")
    return float(ascending[-1 - rank])
