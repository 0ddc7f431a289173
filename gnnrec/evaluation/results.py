"""The one table of results and what follows from it: the R matrix, means over increments, cost, the summary.

Letters: t the last increment a model absorbed (`trained_to`), k the increment scored (`evaluated_on`), T the last one.
Everything is a pure function of the table. What cannot be computed is null or NaN and printed as n/a, never filled in.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gnnrec.core.errors import GnnrecError, one_line

Floats = NDArray[np.float64]

SCHEMA = pl.Schema(
    {
        "experiment": pl.String(),
        "strategy": pl.String(),
        "scorer": pl.String(),
        "seed": pl.Int64(),
        "trained_to": pl.Int64(),
        "evaluated_on": pl.Int64(),
        "split": pl.String(),
        "segment": pl.String(),
        "metric": pl.String(),
        "value": pl.Float64(),
        "n": pl.Int64(),
    }
)
SPLITS = ("next", "test", "valid", "cost", "fit", "blend")
SEGMENTS = (
    "all",
    "known_user",
    "new_user",
    "returning_user",
    "known_item",
    "new_item",
    "head_item",
    "middle_item",
    "tail_item",
)
REFERENCE = "reference"
"""Scorer of the rows that train nothing: computed once, seed null, deviation n/a."""

_ROW = ["strategy", "scorer", "seed"]
_KEY = ["experiment", *_ROW, "trained_to", "evaluated_on", "split", "segment", "metric"]


def check(frame: pl.DataFrame) -> pl.DataFrame:
    """Return `frame` with the columns of `SCHEMA` in order, or say what is wrong with it.

    Refused: missing or extra columns, unknown splits or segments, a seed on a reference row or none elsewhere, and two
    values for one key. NaN becomes null.
    """
    if set(frame.columns) != set(SCHEMA):
        odd = sorted(set(frame.columns) ^ set(SCHEMA))
        raise GnnrecError(f"a table of results has the columns {', '.join(SCHEMA)}; these differ: {', '.join(odd)}")
    frame = frame.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())
    frame = frame.with_columns(pl.col("value").fill_nan(None))
    for column, allowed in (("split", SPLITS), ("segment", SEGMENTS)):
        odd = sorted(set(frame[column].drop_nulls().unique().to_list()) - set(allowed))
        if odd or frame[column].has_nulls():
            raise GnnrecError(f"unknown {column} '{one_line(odd[0]) if odd else None}'; allowed: {', '.join(allowed)}")
    if frame.filter((pl.col("scorer") == REFERENCE) != pl.col("seed").is_null()).height:
        raise GnnrecError("a row of results has no seed exactly when its scorer is 'reference'")
    if twice := frame.height - frame.select(_KEY).n_unique():
        raise GnnrecError(f"{twice} rows of results repeat the key of another row")
    return frame


# The R matrix ---------------------------------------------------------------------------------------------------------


def matrix(results: pl.DataFrame, strategy: str, scorer: str, seed: int | None, metric: str) -> Floats | None:
    """Return R [T+1, T+1] of one row: R[t, k] = `metric` on the test slice of k by the model that absorbed 0..t.

    NaN where it was not measured; None where the experiment has no test slices (``stream.split=next_half``). T is taken
    from the whole table, so a run that stopped early has NaN rows rather than a smaller matrix.
    """
    tests = results.filter((pl.col("split") == "test") & (pl.col("segment") == "all") & (pl.col("metric") == metric))
    return _matrix(tests, strategy, scorer, seed)


def _matrix(tests: pl.DataFrame, strategy: str, scorer: str, seed: int | None) -> Floats | None:
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


# Means over increments ------------------------------------------------------------------------------------------------


def next_mean(results: pl.DataFrame, metric: str, segment: str = "all", first: int = 1) -> pl.DataFrame:
    """Return strategy, scorer, seed, value, n: the headline, the unweighted mean of next[t] over t ≥ `first`.

    A row that lacks an increment some other row has is null: a mean over fewer increments would not compare. `n` is the
    sum over increments. ``first=3`` after a sweep (PROTOCOL.md rule 15).
    """
    return _over_increments(results, "next", metric, segment, first)


def cost_mean(results: pl.DataFrame, metric: str = "seconds", first: int = 1) -> pl.DataFrame:
    """Return strategy, scorer, seed, value, n: mean cost of an update over t ≥ `first`; the base (t = 0) is apart."""
    return _over_increments(results, "cost", metric, "all", first)


def _over_increments(results: pl.DataFrame, split: str, metric: str, segment: str, first: int) -> pl.DataFrame:
    rows = results.filter(
        (pl.col("split") == split) & (pl.col("metric") == metric) & (pl.col("segment") == segment),
        pl.col("trained_to") >= first,
        pl.col("value").is_not_null() & pl.col("value").is_not_nan(),
    )
    complete = pl.len() == rows["trained_to"].n_unique()
    average = pl.col("value").max() if metric.startswith("peak_") else pl.col("value").mean()
    return rows.group_by(_ROW, maintain_order=True).agg(
        pl.when(complete).then(average).alias("value"), pl.col("n").sum()
    )


def cost_ratio(
    results: pl.DataFrame, first: int = 1, budget: str = "converge", full: str = "full_retrain"
) -> pl.DataFrame:
    """Return strategy, scorer, seed, value = seconds(full_retrain) ÷ seconds(row), same scorer and seed.

    Null where full retraining did not run, where a row took no time, and under any budget but ``converge`` (rule 14).
    """
    seconds = cost_mean(results, "seconds", first)
    against = seconds.filter(pl.col("strategy") == full).select("scorer", "seed", full=pl.col("value"))
    known = (pl.col("value") > 0) & pl.lit(budget == "converge")
    ratio = pl.when(known).then(pl.col("full") / pl.col("value"))
    return seconds.join(against, on=["scorer", "seed"], how="left", maintain_order="left").select(*_ROW, value=ratio)


def pareto(cost: Floats, quality: Floats) -> NDArray[np.bool_]:
    """Return [n], whether no other point costs no more and is no worse, with one of both strict. NaN is never on it."""
    usable = np.isfinite(cost) & np.isfinite(quality)
    no_worse = (cost[None] <= cost[:, None]) & (quality[None] >= quality[:, None])
    strict = (cost[None] < cost[:, None]) | (quality[None] > quality[:, None])
    return usable & ~(no_worse & strict & usable[None]).any(axis=1)


def regret(cost: Floats, quality: Floats) -> Floats:
    """Return [n], regret at equal cost: max{quality_j : cost_j ≤ cost_i} − quality_i; NaN where either is missing."""
    usable = np.isfinite(cost) & np.isfinite(quality)
    affordable = np.where((cost[None] <= cost[:, None]) & usable[None], quality[None], -np.inf)
    return np.where(usable, affordable.max(axis=1, initial=-np.inf) - quality, np.nan)


def incomplete(results: pl.DataFrame) -> list[str]:
    """Return a sentence for every row of the comparison that lacks increments others have."""
    rows = results.filter((pl.col("split") == "next") & (pl.col("segment") == "all"))
    counts = rows.group_by(_ROW, maintain_order=True).agg(pl.col("trained_to").n_unique().alias("got"))
    want = rows["trained_to"].n_unique()
    return [
        f"{row['strategy']} / {row['scorer']}, seed {row['seed']}: {row['got']} of {want} increments; its means are n/a"
        for row in counts.filter(pl.col("got") < want).iter_rows(named=True)
    ]


# The summary ----------------------------------------------------------------------------------------------------------

_R_COLUMNS = ("forgetting", "bwt", "fwt", "intransigence", "learning_average", "retained_average", "h_mean", "aia")
_COSTS = ("bytes_kept", "edges_touched", "steps", "triplets", "peak_memory")


def summary(results: pl.DataFrame, k: int = 20, first: int = 1, budget: str = "converge") -> pl.DataFrame:
    """Return a row per strategy × scorer, reference rows last: for every quantity its mean over seeds and `_deviation`.

    Means over increments are unweighted (rule 6), then mean and deviation (n−1) over seeds; the deviation is null with
    one seed. Quantities: rating errors and ranking metrics @k of next (`recall@k_known`: known users only); forgetting,
    BWT and the other summaries of R, all of recall@k over all users; cost per update (of peak memory the largest);
    `vs_full`. Counts: `seeds`, `increments`, `users_known` and `users_all` (summed over increments); and `ceiling`, the
    share of relevant events on known items.
    """
    if (found := results["experiment"].n_unique()) > 1:
        raise GnnrecError(f"the table mixes {found} experiments: summarise them one at a time")
    base = results.select(_ROW).unique(maintain_order=True)
    columns = _quantities(results, k, first, budget)
    for name, frame in columns.items():
        base = _join(base, frame, name)
    counted = ("users_known", "users_all", "ceiling")
    seeds = base.group_by("strategy", "scorer", maintain_order=True).agg(
        pl.col("seed").n_unique().alias("seeds") - pl.col("seed").has_nulls().cast(pl.UInt32),
        *(e for name in columns if name not in counted for e in _mean_and_deviation(name)),
        *(pl.col(name).mean() for name in counted),
    )
    moves = results.filter((pl.col("split") == "next") & (pl.col("trained_to") >= first))["trained_to"].n_unique()
    return seeds.with_columns(increments=pl.lit(moves)).sort(pl.col("scorer") == REFERENCE, maintain_order=True)


def _mean_and_deviation(name: str) -> tuple[pl.Expr, pl.Expr]:
    return pl.col(name).mean(), pl.col(name).std(ddof=1).alias(f"{name}_deviation")


def _join(base: pl.DataFrame, frame: pl.DataFrame, name: str) -> pl.DataFrame:
    wanted = frame.select(*_ROW, pl.col("value").cast(pl.Float64).alias(name))
    return base.join(wanted, on=_ROW, how="left", nulls_equal=True, maintain_order="left")


def _quantities(results: pl.DataFrame, k: int, first: int, budget: str) -> dict[str, pl.DataFrame]:
    """Return name -> strategy, scorer, seed, value, in the order of the columns of the summary."""
    known, everyone = (
        next_mean(results, f"recall@{k}", "known_user", first),
        next_mean(results, f"recall@{k}", "all", first),
    )
    curves = _from_matrices(results, f"recall@{k}", first)
    columns = {
        "mse": next_mean(results, "mse", first=first),
        f"recall@{k}_known": known,
        f"recall@{k}_all": everyone,
        f"ndcg@{k}": next_mean(results, f"ndcg@{k}", first=first),
        "forgetting": curves.select(*_ROW, value="forgetting"),
        "seconds_per_update": cost_mean(results, "seconds", first),
        "vs_full": cost_ratio(results, first, budget),
        "rmse": next_mean(results, "rmse", first=first),
        "mae": next_mean(results, "mae", first=first),
    }
    columns |= {f"{m}@{k}": next_mean(results, f"{m}@{k}", first=first) for m in ("mrr", "hit_rate", "map")}
    columns |= {name: curves.select(*_ROW, value=name) for name in _R_COLUMNS if name != "forgetting"}
    columns |= {name: cost_mean(results, name, first) for name in _COSTS}
    columns["users_known"] = known.select(*_ROW, value="n")
    columns["users_all"] = everyone.select(*_ROW, value="n")
    columns["ceiling"] = next_mean(results, "ceiling", first=first)
    return columns


def _from_matrices(results: pl.DataFrame, metric: str, first: int) -> pl.DataFrame:
    """Return strategy, scorer, seed and `_R_COLUMNS`: one row per matrix R that exists."""
    tests = results.filter((pl.col("split") == "test") & (pl.col("segment") == "all") & (pl.col("metric") == metric))
    baseline = _matrix(tests, "decayed_popularity", REFERENCE, None)
    rows: list[dict[str, object]] = []
    for strategy, scorer, seed in tests.select(_ROW).unique(maintain_order=True).iter_rows():
        r = _matrix(tests, strategy, scorer, seed)
        if r is not None:
            full = _matrix(tests, "full_retrain", scorer, seed)
            rows.append(
                {"strategy": strategy, "scorer": scorer, "seed": seed, **_averages(r, baseline, full, first)},
            )
    schema = {name: SCHEMA[name] for name in _ROW} | dict.fromkeys(_R_COLUMNS, pl.Float64())
    return pl.DataFrame(rows, schema=schema).with_columns(pl.col(_R_COLUMNS).fill_nan(None))


def _averages(r: Floats, baseline: Floats | None, full: Floats | None, first: int) -> dict[str, float | None]:
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


def per_increment(results: pl.DataFrame, metric: str, segment: str = "all") -> pl.DataFrame:
    """Return strategy, scorer, evaluated_on, mean, deviation, n of next, over seeds; deviation null with one seed."""
    rows = results.filter(
        (pl.col("split") == "next") & (pl.col("metric") == metric) & (pl.col("segment") == segment),
        pl.col("value").is_not_null() & pl.col("value").is_not_nan(),
    )
    groups = rows.group_by("strategy", "scorer", "evaluated_on", maintain_order=True)
    frame = groups.agg(
        pl.col("value").mean().alias("mean"), pl.col("value").std(ddof=1).alias("deviation"), pl.col("n").max()
    )
    return frame.sort("evaluated_on", maintain_order=True)


def by_segment(results: pl.DataFrame, metric: str, first: int = 1) -> pl.DataFrame:
    """Return strategy, scorer and a column per segment that was measured: mean of next over increments, then seeds."""
    base = results.select(_ROW).unique(maintain_order=True)
    for segment in SEGMENTS:
        frame = next_mean(results, metric, segment, first)
        if frame.height:
            base = _join(base, frame, segment)
    names = [name for name in base.columns if name not in _ROW]
    means = base.group_by("strategy", "scorer", maintain_order=True).agg(pl.col(names).mean())
    return means.sort(pl.col("scorer") == REFERENCE, maintain_order=True)
