"""Is a row at least as good as full retraining, within a stated margin? Yes, no, or cannot tell and what would tell.

Letters: c couples (row − full retraining), t increments, s seeds, u users, b resamples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gnnrec.evaluation.bootstrap import Draws
from gnnrec.evaluation.simultaneous import one_sided

Floats = NDArray[np.float64]

MARGIN = 0.01
"""What a row may lose of full retraining's value and still count as at least as good."""
MOST = 1_000
"""More increments or seeds than this are no advice."""
TIMES = 100
"""Nor are so many times the users that there were."""
SCHEMA: dict[str, pl.DataType] = {
    "margin": pl.Float64(),
    "as_good": pl.String(),
    "increments_to_tell": pl.Int64(),
    "seeds_to_tell": pl.Int64(),
    "users_to_tell": pl.Int64(),
}


def judge(draws: Draws, margin: Floats, level: float = 0.95, users: Sequence[int] = ()) -> dict[str, list[object]]:
    """Return the columns of `SCHEMA` for couples whose second row is full retraining, null for the others.

    `as_good`: "yes" where the lower one-sided bound of the difference lies above −margin, "no" where the upper one lies
    below it, else "cannot tell"; bounds are of the resamples that speak of other increments and seeds, corrected over
    these couples together. Where it cannot be told: the number of increments, of seeds, or of users, at which the difference
    as it was observed would decide it; null where that number alone would not.

    Args:
        draws: of all couples.
        margin: [c], in the units of the metric; NaN for couples with another reference.
        level: of each of the two bounds.
        users: [c], how many each couple rests on; none: nothing is said of users.
    """
    columns: dict[str, list[object]] = {name: [None] * len(margin) for name in SCHEMA}
    asked = np.flatnonzero(np.isfinite(margin))
    if not len(asked):
        return columns
    below, above = one_sided(draws.observed[asked], draws.wide[:, asked], level)
    error = draws.wide[:, asked].std(axis=0, ddof=1)
    for i, c in enumerate(asked):
        gap = draws.observed[c] + margin[c]
        said = "yes" if gap > below[i] else "no" if gap < -above[i] else "cannot tell"
        columns["margin"][c], columns["as_good"][c] = float(margin[c]), said
        if said == "cannot tell" and np.isfinite(error[i]) and error[i] > 0:
            wanted = (gap / (below[i] if gap > 0 else above[i])) ** 2 * error[i] ** 2
            columns["increments_to_tell"][c], columns["seeds_to_tell"][c] = _to_tell(draws.cells[c], error[i], wanted)
            if users:
                own = min(float(draws.narrow[:, c].var(ddof=1)), error[i] ** 2)
                columns["users_to_tell"][c] = _number(users[int(c)], own, error[i], wanted, TIMES * users[int(c)])
    return columns


def _to_tell(cells: Floats, error: float, wanted: float) -> tuple[int | None, int | None]:
    """Return how many increments, and how many seeds, bring the variance of the mean of `cells` [t, s] down to `wanted`.

    What an average over increments takes off falls with their number, the rest stays; likewise for seeds.
    """
    with np.errstate(invalid="ignore"):
        by_increment, by_seed = np.nanmean(cells, axis=1), np.nanmean(cells, axis=0)
    return _enough(by_increment, error, wanted), _enough(by_seed, error, wanted)


def _enough(levels: Floats, error: float, wanted: float) -> int | None:
    levels = levels[np.isfinite(levels)]
    if len(levels) < 2:
        return None
    return _number(len(levels), min(float(levels.var(ddof=1)) / len(levels), error**2), error, wanted, MOST)


def _number(have: int, own: float, error: float, wanted: float, most: int) -> int | None:
    """Return how many instead of `have` bring the variance error² down to `wanted`, where the part `own` falls with them."""
    left = wanted - (error**2 - own)
    if not left > 0 or own / left * have > most:
        return None
    return max(math.ceil(have * own / left), have + 1)
