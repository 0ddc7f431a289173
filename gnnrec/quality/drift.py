"""Have the events changed? Two sets of counts compared by size of the change and by whether chance explains it.

PSI alone is no test: on equal populations it exceeds 0.1 always where samples are small and never where they are large.
Under equal populations PSI ≈ (1/n + 1/m) · χ² with B − 1 degrees of freedom (Yurdakul & Naranjo, "Statistical properties of
the population stability index", 2020), so its p-value can be had; small samples get theirs from permutations. Events are
taken to be independent; those of one user are not quite, which makes real streams look a little more changed than they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
EXPECTED = 5
"""Fewest events expected in a bin of the smaller sample."""
SMALL = 500
"""Samples below this size get a permutation null."""
PERMUTATIONS = 999
POPULAR = 100
"""Items, or values, with a bin of their own."""
QUANTILES = 20
"""Bins of values that are more than `POPULAR`."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How far two sets of counts differ.

    Attributes:
        psi: Σ (p − q) ln(p / q), shares with half an event added to each bin.
        js: Jensen-Shannon divergence, in [0, 1] (base 2).
        p_value: chance of such a PSI, or a larger one, in equal populations.
        n, m: events of the reference and of the new counts.
        bins: compared, after merging.
    """

    psi: float
    js: float
    p_value: float
    n: int
    m: int
    bins: int


def compare(reference: Floats, new: Floats, seed: int = 0) -> Drift | None:
    """Compare counts over the same bins, [b] each; None where nothing can be said: no events, or one bin after merging.

    Args:
        reference, new: events by bin.
        seed: of the permutations.
    """
    n, m = int(reference.sum()), int(new.sum())
    if not n or not m:
        return None
    a, b = _merged(reference, new)
    if len(a) < 2:
        return None
    psi = float(_psi(a, b))
    chance = float(stats.chi2.sf(psi / (1 / n + 1 / m), len(a) - 1))
    p = chance
    if min(n, m) < SMALL:
        p = _permuted(a, b, psi, seed)
        if p <= 1 / (PERMUTATIONS + 1):  # as far as permutations can tell; how much further, the asymptotic null says
            p = min(p, chance)
    return Drift(psi, _js(a, b), p, n, m, len(a))


def popularity(reference: pl.DataFrame, new: pl.DataFrame) -> tuple[Floats, Floats]:
    """Return the counts of the most popular items, and of all others together, [POPULAR + 1] each.

    Popular is who has most events in both together: chosen by one side alone, its luckiest items would look like a change.

    Args:
        reference, new: key and count.
    """
    both = reference.join(new, on="key", how="full", coalesce=True, suffix="_new").fill_null(0)
    both = both.sort(pl.col("count") + pl.col("count_new"), "key", descending=[True, False])
    a, b = (both[c].to_numpy().astype(np.float64) for c in ("count", "count_new"))
    return _tailed(a), _tailed(b)


def values(reference: pl.DataFrame, new: pl.DataFrame) -> tuple[Floats, Floats]:
    """Return the counts of each value, [b] each; of `QUANTILES` equally filled ranges where there are many values.

    Args:
        reference, new: key (a number) and count.
    """
    both = reference.join(new, on="key", how="full", coalesce=True, suffix="_new").fill_null(0).sort("key")
    a, b = (both[c].to_numpy().astype(np.float64) for c in ("count", "count_new"))
    if len(a) <= POPULAR:
        return a, b
    total = np.cumsum(a + b)
    bin_of = np.minimum((QUANTILES * (total - (a + b) / 2) / total[-1]).astype(np.int64), QUANTILES - 1)
    first, second = (np.bincount(bin_of, x, QUANTILES).astype(np.float64) for x in (a, b))
    return first, second


def adjusted(p_values: Floats) -> Floats:
    """Return Benjamini-Hochberg's p-values: below α, at most a share α of the alarms is expected to be false."""
    return np.asarray(stats.false_discovery_control(p_values)) if len(p_values) else p_values


def _tailed(counts: Floats) -> Floats:
    return np.append(counts[:POPULAR], counts[POPULAR:].sum())


def _merged(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Join bins, the rarest first, until each is expected `EXPECTED` times in the smaller sample."""
    pooled = a + b
    need = EXPECTED * pooled.sum() / min(a.sum(), b.sum())
    order = np.argsort(-pooled, kind="stable")
    enough = int((pooled[order] >= need).sum())
    rest = order[enough:]
    a2, b2 = np.append(a[order[:enough]], a[rest].sum()), np.append(b[order[:enough]], b[rest].sum())
    if enough and (a2 + b2)[-1] < need:  # what is left over joins the rarest bin
        a2, b2 = (np.append(x[:-2], x[-2:].sum()) for x in (a2, b2))
    return a2, b2


def _psi(a: Floats, b: Floats) -> Floats:
    """Return the PSI of counts [..., b], [...]."""
    p, q = ((x + 0.5) / (x + 0.5).sum(-1, keepdims=True) for x in (a, b))
    return np.asarray(((p - q) * np.log(p / q)).sum(-1))


def _js(a: Floats, b: Floats) -> float:
    p, q = a / a.sum(), b / b.sum()
    middle = (p + q) / 2
    both = [
        np.where(x > 0, x * np.log2(np.where(x > 0, x, 1) / np.where(middle > 0, middle, 1)), 0).sum() for x in (p, q)
    ]
    return float(sum(both) / 2)


def _permuted(a: Floats, b: Floats, psi: float, seed: int) -> float:
    """Return the share of random divisions of all events into samples of these sizes whose PSI is as large."""
    rng = np.random.default_rng(seed)
    pooled = (a + b).astype(np.int64)
    drawn = rng.multivariate_hypergeometric(pooled, int(a.sum()), size=PERMUTATIONS, method="count")
    as_large = int((_psi(drawn.astype(np.float64), (pooled - drawn).astype(np.float64)) >= psi - 1e-12).sum())
    return (as_large + 1) / (PERMUTATIONS + 1)
