"""Is a difference larger than chance? Every pair that is spoken of, paired by user, one correction per metric over all of them.

Test and interval are of one kind: p is below 1 − level exactly where the interval leaves out 0, as both come from the
same resamples (single-step max-t: Westfall & Young 1993, with the bootstrap's deviation as the standard error).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy import stats

from gnnrec.core.errors import GnnrecError, nearest
from gnnrec.evaluation import noninferiority
from gnnrec.evaluation.bootstrap import Couple, Draws, draw
from gnnrec.evaluation.pairs import Key, UserPairs, paired, paired_errors
from gnnrec.evaluation.results import REFERENCE
from gnnrec.evaluation.simultaneous import corrected

FULL = "full_retrain"
REFERENCES = (FULL, "fine_tune")
"""Strategies that every row is set against, where they ran."""
ERROR = "mse"
"""The metric of `compare_errors`, of which less is better."""

OTHER = " ← the other comparison"
"""Marks a row of the comparison that is set against."""

_NAMES = ("strategy", "scorer", "reference", "reference_scorer", "metric")
_NUMBERS = ("difference", "low", "high", "p", "wide_low", "wide_high", "wide_p", "detectable")
_COUNTS = ("users", "increments", "seeds")
_SCHEMA = pl.Schema(
    {
        **dict.fromkeys(_NAMES, pl.String()),
        **dict.fromkeys(_NUMBERS, pl.Float64()),
        **dict.fromkeys(_COUNTS, pl.Int64()),
        **noninferiority.SCHEMA,
    }
)


def compare(
    per_user: pl.DataFrame,
    metric: str = "recall@20",
    *,
    references: Sequence[str] = REFERENCES,
    best: Key | None = None,
    first: int = 1,
    known: bool = False,
    resamples: int = 10_000,
    level: float = 0.95,
    margin: float = noninferiority.MARGIN,
    seed: int = 0,
) -> pl.DataFrame:
    """Return the difference of every pair that a page speaks of, with intervals and p corrected over all of them.

    Each of `references` that ran is set against every row under the same scorer and every row that trains nothing
    (scorer ``reference``); `best` (strategy, scorer) against every other row of the table. Only the next increment is
    used (evaluated_on = trained_to + 1, trained_to ≥ `first`), pairs that both rows have, all users or the `known` ones.

    Columns: strategy, scorer, reference, reference_scorer, metric; difference = row − reference; low, high, p: for these
    increments and seeds (users resampled); wide_low, wide_high, wide_p: for others like them (users, increments and
    seeds resampled), n/a below five increments; detectable: least difference found with power 0.8; users, increments,
    seeds; and where the reference is full retraining those of gnnrec.evaluation.noninferiority for `margin`.

    Raises:
        GnnrecError: no column `metric`, or `best` has no values per user.
    """
    pairs = paired(per_user, metric, first, known)
    couples = spoken_of(pairs, references, best)
    return _tested(pairs, metric, couples, resamples=resamples, level=level, margin=margin, seed=seed)


def set_against(
    one: pl.DataFrame,
    other: pl.DataFrame,
    metric: str = "recall@20",
    *,
    first: int = 1,
    resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> pl.DataFrame:
    """Return what `compare` does, of each row of one comparison and the row of that name of another on the same data.

    Args:
        one, other: values per user; the difference is one − other.
        metric, first, resamples, level, seed: as of `compare`.
    """
    marked = other.with_columns(pl.col("strategy") + OTHER)
    pairs = paired(pl.concat([one, marked], how="diagonal_relaxed"), metric, first)
    couples = [(row, (row[0] + OTHER, row[1])) for row in pairs.value if (row[0] + OTHER, row[1]) in pairs.value]
    met = [(a, b) for a, b in couples if _meet(pairs, a, b)]
    found = _tested(pairs, metric, met, resamples=resamples, level=level, margin=noninferiority.MARGIN, seed=seed)
    return found.with_columns(pl.col("reference").str.strip_suffix(OTHER))


def compare_errors(
    predictions: pl.DataFrame,
    *,
    references: Sequence[str] = REFERENCES,
    best: Key | None = None,
    first: int = 1,
    resamples: int = 10_000,
    level: float = 0.95,
    margin: float = noninferiority.MARGIN,
    seed: int = 0,
) -> pl.DataFrame:
    """Return what `compare` does, of the MSE: users are resampled, and bring all their events along.

    Args:
        predictions: of the models and of the reference rows; a blend predicts what its model does.
        references, best, first, resamples, level, margin, seed: as of `compare`; `best` is the row with the lowest MSE, set
            against nobody where its errors are too large to be tested.

    Raises:
        GnnrecError: the predictions do not tell their users.
    """
    pairs = paired_errors(predictions, first)
    couples = spoken_of(pairs, references, best if best in pairs.value else None)
    return _tested(pairs, ERROR, couples, resamples=resamples, level=level, margin=margin, seed=seed)


def _tested(
    pairs: UserPairs,
    metric: str,
    couples: Sequence[Couple],
    *,
    resamples: int,
    level: float,
    margin: float,
    seed: int,
) -> pl.DataFrame:
    """Test couples of rows."""
    if not couples:
        return pl.DataFrame(schema=_SCHEMA)
    draws = draw(pairs, couples, resamples, seed)
    low, high, p, reach = corrected(draws.observed, draws.narrow, level)
    wide_low, wide_high, wide_p, _ = corrected(draws.observed, draws.wide, level)
    named = {
        "strategy": [row[0] for row, _ in couples],
        "scorer": [row[1] for row, _ in couples],
        "reference": [base[0] for _, base in couples],
        "reference_scorer": [base[1] for _, base in couples],
        "metric": [metric] * len(couples),
    }
    numbers = {"difference": draws.observed, "low": low, "high": high, "p": p}
    numbers |= {"wide_low": wide_low, "wide_high": wide_high, "wide_p": wide_p}
    numbers["detectable"] = reach + stats.norm.ppf(0.8) * draws.narrow.std(axis=0, ddof=1)
    against = np.array([pairs.mean(base) if base[0] == FULL else np.nan for _, base in couples])
    counts = _counts(pairs, couples, draws)
    judged = draws.turned() if metric == ERROR else draws
    told = noninferiority.judge(judged, margin * against, level, counts["users"])
    return pl.DataFrame(named | numbers | counts | told, schema=_SCHEMA, nan_to_null=True)


def spoken_of(pairs: UserPairs, references: Sequence[str] = REFERENCES, best: Key | None = None) -> list[Couple]:
    """Return the couples (row, reference) that `compare` tests, each pair once, those that have pairs in common.

    Raises:
        GnnrecError: `best` is no row.
    """
    rows = list(pairs.value)
    if best is not None and best not in rows:
        raise GnnrecError(f"no values by user of '{best[0]}' to compare with{nearest(best[0], {s for s, _ in rows})}")
    bases = [row for name in references for row in rows if row[0] == name]
    couples: dict[frozenset[Key], Couple] = {}
    for base in [*bases, *([best] if best else [])]:
        for row in rows:
            like = base == best or row[1] in (base[1], REFERENCE)
            if row != base and like and _meet(pairs, row, base):
                couples.setdefault(frozenset((row, base)), (row, base))
    return list(couples.values())


def _counts(pairs: UserPairs, couples: Sequence[Couple], draws: Draws) -> dict[str, list[int]]:
    """Return how many users, increments and seeds each couple rests on."""
    shared = [(np.isfinite(pairs.value[a]) & np.isfinite(pairs.value[b])).any(axis=0) for a, b in couples]
    present = np.isfinite(draws.cells)
    return {
        "users": [len(np.unique(pairs.user[have])) for have in shared],
        "increments": present.any(axis=2).sum(axis=1).tolist(),
        "seeds": present.any(axis=1).sum(axis=1).tolist(),
    }


def _meet(pairs: UserPairs, one: Key, other: Key) -> bool:
    return bool((np.isfinite(pairs.value[one]) & np.isfinite(pairs.value[other])).any())
