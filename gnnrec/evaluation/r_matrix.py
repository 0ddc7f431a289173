"""The R matrix of one row of the table, R[t, k], and what it says of learning and forgetting.

Letters: t the last increment a model absorbed (`trained_to`), k the increment whose test slice was scored, T the last one.
All functions take R [T+1, T+1] with NaN where nothing was measured; the base (k = 0) is left out of every average.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SUMMARIES = ("forgetting", "bwt", "fwt", "intransigence", "learning_average", "retained_average", "h_mean", "aia")
"""What is averaged from R, in the order of the summary's columns."""


def matrix(results: pl.DataFrame, strategy: str, scorer: str, seed: int | None, metric: str) -> Floats | None:
    """Return R [T+1, T+1] of one row: R[t, k] = `metric` on the test slice of k by the model that absorbed 0..t.

    NaN where it was not measured; None where the experiment has no test slices (``stream.split=next_half``). T is taken
    from the whole table, so a run that stopped early has NaN rows rather than a smaller matrix.
    """
    tests = results.filter((pl.col("split") == "test") & (pl.col("segment") == "all") & (pl.col("metric") == metric))
    return of(tests, strategy, scorer, seed)


def of(tests: pl.DataFrame, strategy: str, scorer: str, seed: int | None) -> Floats | None:
    """Return `matrix` from rows that hold one metric on test slices, all users, and nothing else."""
    own = (pl.col("strategy") == strategy) & (pl.col("scorer") == scorer) & pl.col("seed").eq_missing(pl.lit(seed))
    cells = tests.filter(own & pl.col("value").is_not_null())
    if not cells.height:
        return None
    r = np.full((int(_last(tests)) + 1,) * 2, np.nan)
    r[cells["trained_to"].to_numpy(), cells["evaluated_on"].to_numpy()] = cells["value"].to_numpy()
    return r


def _last(tests: pl.DataFrame) -> int:
    return max(int(tests[c].max()) for c in ("trained_to", "evaluated_on"))  # type: ignore[arg-type]


def measured(r: Floats, first: int = 1) -> NDArray[np.int64]:
    """Return the increments k ≥ `first` whose test slice was ever scored; an empty slice is left out for every row."""
    columns = np.flatnonzero(np.isfinite(r).any(axis=0))
    return columns[columns >= first]


def _mean(values: Floats) -> float:
    """Mean that is NaN when empty or when any term is missing."""
    return float(np.mean(values)) if values.size else float("nan")


def learning_average(r: Floats, first: int = 1) -> float:
    """LA = 1/T Σ_{j=1..T} R[j, j]: each increment as scored right after it was absorbed (CCD, CSTRec)."""
    j = measured(r, first)
    return _mean(r[j, j])


def retained_average(r: Floats, first: int = 1, at: int | None = None) -> float:
    """RA(t) = 1/t Σ_{j=1..t} R[t, j], at t = T by default: the last increment is included (CCD, CSTRec have both)."""
    t = len(r) - 1 if at is None else at
    j = measured(r, first)
    return _mean(r[t, j[j <= t]])


def h_mean(r: Floats, first: int = 1) -> float:
    """H = 2·LA·RA / (LA + RA), the harmonic mean of learning and retained average; 0 when both are 0."""
    learnt, retained = learning_average(r, first), retained_average(r, first)
    return 0.0 if learnt + retained == 0 else 2 * learnt * retained / (learnt + retained)


def acc(r: Floats, first: int = 1) -> float:
    """ACC = 1/T Σ_{j=1..T} R[T, j] (Lopez-Paz & Ranzato 2017), which is RA(T)."""
    return retained_average(r, first)


def aia(r: Floats, first: int = 1) -> float:
    """AIA = 1/T Σ_{t=1..T} (1/t Σ_{j≤t} R[t, j]), the average incremental value; empty test slices are left out."""
    return _mean(np.array([retained_average(r, first, at=int(t)) for t in measured(r, first)]))


def bwt(r: Floats, first: int = 1) -> float:
    """BWT = 1/(T−1) Σ_{j<T} (R[T, j] − R[j, j]) (Lopez-Paz & Ranzato 2017).

    A diagnostic only: old test slices are past behaviour.
    """
    j = _before_last(r, first)
    return _mean(r[-1, j] - r[j, j])


def fwt(r: Floats, reference: Floats, first: int = 1) -> float:
    """FWT = 1/(T−1) Σ_{j=2..T} (R[j−1, j] − b_j) with b_j = `reference`[j−1, j].

    Departs from Lopez-Paz & Ranzato (2017): b is decayed popularity, not a random initialisation.
    """
    j = measured(r, first + 1)
    return _mean(r[j - 1, j] - reference[j - 1, j])


def forgetting(r: Floats, first: int = 1) -> float:
    """F = mean over j<T of max_{l<T} R[l, j] − R[T, j], of a metric where more is better (Chaudhry et al. 2018).

    l runs over every measured model, those before j included. n/a when a model from j on was not scored on j.
    """
    j = _before_last(r, first)
    complete = [bool(np.isfinite(r[column:, column]).all()) for column in j]
    if not all(complete) or not len(j):
        return float("nan")
    return _mean(np.nanmax(r[:-1, j], axis=0) - r[-1, j])


def intransigence(r: Floats, full_retrain: Floats, first: int = 1) -> float:
    """I = 1/T Σ_{t=1..T} (R*[t, t] − R[t, t]) with R* of cold full retraining (Chaudhry et al. 2018)."""
    j = measured(r, first)
    return _mean(full_retrain[j, j] - r[j, j])


def staleness(r: Floats, deltas: int = 4, first: int = 1) -> Floats:
    """Return [δ] = mean over k of R[k−δ, k] for δ = 1..`deltas`: how a model decays while it is not updated.

    Every δ uses the same increments k ≥ `deltas` (drift between increments would otherwise look like decay).
    """
    deltas = min(deltas, len(r) - 1)
    k = measured(r, max(first, deltas))
    return np.array([_mean(r[k - d, k]) for d in range(1, deltas + 1)])


def _before_last(r: Floats, first: int) -> NDArray[np.int64]:
    j = measured(r, first)
    return j[j < len(r) - 1]


def averages(r: Floats, baseline: Floats | None, full: Floats | None, first: int) -> dict[str, float | None]:
    """Return every average of `SUMMARIES` by name; None where the row it is measured against did not run."""
    return {
        "forgetting": forgetting(r, first),
        "bwt": bwt(r, first),
        "fwt": None if baseline is None else fwt(r, baseline, first),
        "intransigence": None if full is None else intransigence(r, full, first),
        "learning_average": learning_average(r, first),
        "retained_average": retained_average(r, first),
        "h_mean": h_mean(r, first),
        "aia": aia(r, first),
    }
