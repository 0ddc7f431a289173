"""Is a difference larger than chance? Paired by user: bootstrap intervals, Wilcoxon tests, Holm's correction.

Letters: n pairs (a pair is one user in one increment), s seeds, c comparisons, b resamples, t increments, u users.
The statistic is the one of the table: the unweighted mean over increments of the mean over users, seeds averaged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from gnnrec.core.errors import GnnrecError, nearest
from gnnrec.core.seeds import generator

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]

_BLOCK = 32_000_000
"""Largest number of weights held at once (float32: 128 MB)."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """What is compared, sorted by increment.

    Attributes:
        user: [n] number of the user.
        increment: [n] number of the increment, 0..t−1, ascending.
        value: row of the table (strategy, scorer) -> [s, n]; NaN where a seed did not run. A reference row has the same
            values for every seed.
    """

    user: Ints
    increment: Ints
    value: dict[tuple[str, str], Singles]

    def blocks(self) -> list[slice]:
        """Return the slice of pairs of every increment."""
        edges = np.searchsorted(self.increment, np.arange(int(self.increment.max(initial=-1)) + 2))
        return [slice(int(a), int(b)) for a, b in pairwise(edges)]


def compare(
    per_user: pl.DataFrame,
    reference: str = "fine_tune",
    metric: str = "recall@20",
    *,
    first: int = 1,
    known: bool = False,
    resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> pl.DataFrame:
    """Return, for every row of the table, its difference from `reference` under the same scorer, with intervals.

    A row without training (scorer ``reference``) is set against every scorer of `reference`. Only the next increment is
    used (evaluated_on = trained_to + 1, trained_to ≥ `first`), pairs both rows have, all users or the `known` ones.

    Columns: strategy, scorer, reference, reference_scorer, metric; difference; low, high (bootstrap by user, for these
    seeds and increments); wide_low, wide_high (bootstrap over increments, seeds and users: for others like them); p
    (Wilcoxon over users, Holm-corrected over the comparisons with one reference scorer); detectable (least difference
    found with power 0.8); users, increments, seeds.
    """
    pairs = paired(per_user, metric, first, known)
    if reference not in (allowed := {strategy for strategy, _ in pairs.value}):
        raise GnnrecError(f"no per-user values of '{reference}' to compare with{nearest(reference, allowed)}")
    couples = [
        (row, base)
        for base in pairs.value
        if base[0] == reference
        for row in pairs.value
        if row != base and row[1] in (base[1], "reference") and _meet(pairs.value[row], pairs.value[base])
    ]
    if not couples:
        return pl.DataFrame(schema=_SCHEMA)
    deltas = np.stack([pairs.value[row] - pairs.value[base] for row, base in couples])
    named = {
        "strategy": [row[0] for row, _ in couples],
        "scorer": [row[1] for row, _ in couples],
        "reference": [base[0] for _, base in couples],
        "reference_scorer": [base[1] for _, base in couples],
        "metric": [metric] * len(couples),
    }
    numbers = _uncertainty(deltas, pairs, resamples, level, seed) | _counts(np.isfinite(deltas), pairs)
    numbers["p"] = _holm_by_group(numbers["p"], np.array(named["reference_scorer"]))
    return pl.DataFrame({name: (named | numbers)[name] for name in _SCHEMA}, schema=_SCHEMA)


def _uncertainty(
    deltas: Singles, pairs: Pairs, resamples: int, level: float, seed: int
) -> dict[str, NDArray[np.generic]]:
    """Return the difference, both intervals, the raw p and the detectable difference of [c, s, n], each [c]."""
    averaged, tail = _over_seeds(deltas), 100 * (1 - level) / 2
    drawn = bootstrap(averaged, pairs, resamples, seed)
    wide = hierarchical_bootstrap(deltas, pairs, resamples, seed)
    low, high = np.percentile(drawn, [tail, 100 - tail], axis=0)
    wide_low, wide_high = np.nanpercentile(wide, [tail, 100 - tail], axis=0)
    return {
        "difference": _statistic(averaged, pairs),
        "low": low,
        "high": high,
        "wide_low": wide_low,
        "wide_high": wide_high,
        "p": np.array([wilcoxon(users) for users in _by_user(averaged, pairs.user)]),
        "detectable": detectable(drawn.std(axis=0, ddof=1)),
    }


def _counts(present: NDArray[np.bool_], pairs: Pairs) -> dict[str, NDArray[np.generic]]:
    """Return how many users, increments and seeds [c] the comparisons [c, s, n] rest on."""
    return {
        "users": np.array([len(np.unique(pairs.user[p.any(axis=0)])) for p in present]),
        "increments": np.array([len(np.unique(pairs.increment[p.any(axis=0)])) for p in present]),
        "seeds": np.array([int(p.any(axis=1).sum()) for p in present]),
    }


def compare_each(
    per_user: pl.DataFrame,
    references: Sequence[str] = ("fine_tune", "full_retrain"),
    metric: str = "recall@20",
    *,
    first: int = 1,
) -> pl.DataFrame:
    """Return `compare` against each of `references` that ran, stacked; Holm's correction is within one reference."""
    present = set(per_user["strategy"].unique().to_list())
    tables = [compare(per_user, name, metric, first=first) for name in references if name in present]
    return pl.concat([pl.DataFrame(schema=_SCHEMA), *tables])


_SCHEMA = pl.Schema(
    {name: pl.String() for name in ("strategy", "scorer", "reference", "reference_scorer", "metric")}
    | {n: pl.Float64() for n in ("difference", "low", "high", "wide_low", "wide_high", "p", "detectable")}
    | {name: pl.Int64() for name in ("users", "increments", "seeds")}
)


def _meet(a: Singles, b: Singles) -> bool:
    return bool((np.isfinite(a) & np.isfinite(b)).any())


def paired(per_user: pl.DataFrame, metric: str, first: int = 1, known: bool = False) -> Pairs:
    """Return `metric` on the next increment, every row of the table on the same pairs (user, increment)."""
    need = ["strategy", "scorer", "seed", "trained_to", "evaluated_on", "user", metric, *(["known"] if known else [])]
    if missing := [name for name in need if name not in per_user.columns]:
        raise GnnrecError(f"the per-user table has no column {missing[0]}{nearest(missing[0], per_user.columns)}")
    rows = per_user.filter(
        (pl.col("trained_to") >= first) & (pl.col("evaluated_on") == pl.col("trained_to") + 1),
        pl.col("known") if known else pl.lit(True),
    ).select(
        "strategy", "scorer", "seed", pl.col(metric).cast(pl.Float32), increment="evaluated_on", user=pl.col("user")
    )
    index = rows.select("increment", "user").unique().sort("increment", "user").with_row_index("pair")
    rows = rows.join(index, on=["increment", "user"])
    seeds = sorted(rows["seed"].drop_nulls().unique().to_list()) or [None]
    value: dict[tuple[str, str], Singles] = {}
    for (strategy, scorer, one), part in rows.group_by("strategy", "scorer", "seed", maintain_order=True):
        array = value.setdefault((str(strategy), str(scorer)), np.full((len(seeds), index.height), np.nan, np.float32))
        place = slice(None) if one is None else slice(seeds.index(one), seeds.index(one) + 1)
        array[place, part["pair"].to_numpy()] = part[metric].to_numpy()
    return Pairs(_dense(index["user"]), _dense(index["increment"]), value)


def _dense(column: pl.Series) -> Ints:
    return column.rank("dense").to_numpy().astype(np.int64) - 1


def bootstrap(deltas: Singles, pairs: Pairs, resamples: int, seed: int = 0) -> Floats:
    """Return [b, c] resampled statistics of paired differences [c, n]: users are drawn with replacement.

    A user keeps all increments it occurs in (Efron & Tibshirani 1993, paired by cluster). Drawing u users with
    replacement is drawing multinomial weights, so a block of resamples is one matrix product per increment.
    """
    rng, users = generator(seed, "bootstrap"), int(pairs.user.max(initial=-1)) + 1
    filled, present = _filled(deltas)
    drawn = [
        _means_by_increment(_multinomial(rng, size, users), filled, present, pairs) for size in _sizes(resamples, users)
    ]
    return np.concatenate(drawn)


def _means_by_increment(weights: Singles, filled: Singles, present: Singles, pairs: Pairs) -> Floats:
    """Return [b, c], the mean over increments of the weighted mean over users; those without pairs are left out."""
    cells = []
    for block in pairs.blocks():
        w = weights[:, pairs.user[block]]
        with np.errstate(invalid="ignore", divide="ignore"):
            cells.append((w @ filled[:, block].T) / (w @ present[:, block].T))
    return np.asarray(_nanmean(np.stack(cells), axis=0), dtype=np.float64)


def hierarchical_bootstrap(deltas: Singles, pairs: Pairs, resamples: int, seed: int = 0, pool: int = 500) -> Floats:
    """Return [b, c] resampled statistics of differences [c, s, n]: increments, seeds and users are all drawn anew.

    Increments and seeds are crossed, as the same seeds run through all increments (pigeonhole bootstrap, Owen 2007).
    Users are drawn inside each (increment, seed): `pool` means are made beforehand, a resample takes one at random.
    """
    rng = generator(seed, "hierarchical")
    c, s, _ = deltas.shape
    blocks = pairs.blocks()
    cells = np.stack([_cell_pool(rng, deltas[:, :, block], pool) for block in blocks])  # [t, pool, c·s]
    cells = cells.reshape(len(blocks), pool, c, s)
    out = []
    for size in _sizes(resamples, len(blocks) * c * s):
        t = rng.integers(len(blocks), size=(size, len(blocks), 1))
        k = rng.integers(s, size=(size, 1, s))
        at = rng.integers(pool, size=(size, len(blocks), s))
        out.append(_nanmean(_nanmean(cells[t, at, :, k], axis=2), axis=1))
    return np.concatenate(out).astype(np.float64)


def _cell_pool(rng: np.random.Generator, deltas: Singles, pool: int) -> Singles:
    """Return [pool, c·s] bootstrap means over the users of one increment, of differences [c, s, users]."""
    filled, present = _filled(deltas.reshape(-1, deltas.shape[2]))
    parts = [_multinomial(rng, size, filled.shape[1]) for size in _sizes(pool, filled.shape[1])]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.concatenate([(w @ filled.T) / (w @ present.T) for w in parts])


def wilcoxon(differences: NDArray[np.floating]) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test on [u] differences; NaN with fewer than 6 non-zero ones.

    Zeros are dropped (Wilcoxon 1945; most users tie at no hit), ties corrected for, normal
    approximation.
    """
    nonzero = differences[np.isfinite(differences) & (differences != 0)]
    if len(nonzero) < 6:
        return float("nan")
    return float(stats.wilcoxon(nonzero.astype(np.float64), method="approx").pvalue)


def holm(p: Floats) -> Floats:
    """Return Holm's (1979) adjusted p: the i-th smallest of m is max_{j≤i} min(1, (m−j+1)·p_(j)). NaN stays NaN."""
    adjusted, index = np.full(len(p), np.nan), np.flatnonzero(np.isfinite(p))
    order = index[np.argsort(p[index], kind="stable")]
    steps = np.minimum(1.0, p[order] * np.arange(len(order), 0, -1))
    adjusted[order] = np.maximum.accumulate(steps) if len(order) else steps
    return adjusted


def detectable(standard_error: Floats, level: float = 0.95, power: float = 0.8) -> Floats:
    """Return the minimal detectable difference (z_{1−α/2} + z_{power}) · SE of a two-sided test."""
    z = float(stats.norm.ppf(1 - (1 - level) / 2) + stats.norm.ppf(power))
    return np.asarray(z * standard_error, dtype=np.float64)


def _holm_by_group(p: NDArray[np.generic], groups: NDArray[np.str_]) -> Floats:
    adjusted = np.empty(len(p))
    for group in np.unique(groups):
        adjusted[groups == group] = holm(p[groups == group].astype(np.float64))
    return adjusted


def _statistic(deltas: Singles, pairs: Pairs) -> Floats:
    """Return [c], the mean over increments of the mean over users of differences [c, n]."""
    cells = np.stack([_nanmean(deltas[:, block].astype(np.float64), axis=1) for block in pairs.blocks()])
    return np.asarray(_nanmean(cells, axis=0), dtype=np.float64)


def _by_user(deltas: Singles, user: Ints) -> Iterator[Floats]:
    """Yield for every comparison the mean difference [u] of each user over its increments; NaN where it has none."""
    for row in deltas:
        have = np.isfinite(row)
        count = np.bincount(user[have], minlength=int(user.max()) + 1)
        total = np.bincount(user[have], weights=row[have], minlength=len(count))
        yield np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _over_seeds(deltas: Singles) -> Singles:
    return _nanmean(deltas, axis=1)


def _filled(deltas: Singles) -> tuple[Singles, Singles]:
    present = np.isfinite(deltas)
    return np.where(present, deltas, np.float32(0)), present.astype(np.float32)


def _multinomial(rng: np.random.Generator, rows: int, users: int) -> Singles:
    """Return [rows, users] counts of `users` draws with replacement per row."""
    weights = np.empty((rows, users), np.float32)
    for row in weights:
        row[:] = np.bincount(rng.integers(users, size=users, dtype=np.int32), minlength=users)
    return weights


def _sizes(total: int, width: int) -> list[int]:
    """Return block sizes that add up to `total`, each times `width` within `_BLOCK`."""
    size = max(1, min(total, _BLOCK // max(1, width)))
    return [size] * (total // size) + ([total % size] if total % size else [])


def _nanmean(values: NDArray[np.floating], axis: int) -> NDArray[np.float32]:
    """Mean over what is there; NaN, without a warning, where nothing is."""
    have = np.isfinite(values)
    total, count = np.where(have, values, 0).sum(axis=axis), have.sum(axis=axis)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean.astype(values.dtype)
