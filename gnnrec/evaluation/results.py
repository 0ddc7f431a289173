"""The one table of results and what follows from it: means over increments, cost, the summary.

Letters: t the last increment a model absorbed (`trained_to`), k the increment scored (`evaluated_on`), T the last one.
Everything is a pure function of the table. What cannot be computed is null or NaN and printed as n/a, never filled in.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.evaluation import r_matrix

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
SPLITS = ("next", "test", "valid", "cost", "fit", "blend", "policy", "beyond")
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


def public(frame: pl.DataFrame, least: int) -> pl.DataFrame:
    """Return the table without figures of fewer than `least` users (of a predicted value: events), which are null."""
    few = pl.col("split").is_in(["next", "test", "valid", "beyond"]) & (pl.col("n") < least)
    return frame.with_columns(value=pl.when(few).then(None).otherwise("value"))


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


def epochs_mean(results: pl.DataFrame, first: int = 1) -> pl.DataFrame:
    """Return strategy, scorer, seed, value: mean epochs of an update, one number for all scorers of a trained model.

    Where it is recorded for one scorer (split ``fit``) or for each (split ``cost``).
    """
    counted = results.filter(pl.col("split").is_in(["cost", "fit"]), metric="epochs")
    once = counted.unique(["strategy", "seed", "trained_to"], maintain_order=True).with_columns(split=pl.lit("cost"))
    mean = _over_increments(once, "cost", "epochs", "all", first).drop("scorer")
    rows = results.select(_ROW).unique(maintain_order=True)
    return rows.join(mean, on=["strategy", "seed"], maintain_order="left")


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


def model_off(results: pl.DataFrame, first: int = 1) -> pl.DataFrame:
    """Return strategy, scorer, seed, value: the share of increments t ≥ `first` whose blend left the model out (α = 0)."""
    rows = results.filter(
        (pl.col("split") == "blend") & (pl.col("metric") == "alpha") & (pl.col("segment") == "all"),
        pl.col("trained_to") >= first,
        pl.col("value").is_not_null() & pl.col("value").is_not_nan(),
    )
    return rows.group_by(_ROW, maintain_order=True).agg((pl.col("value") == 0).mean().alias("value"))


def cost_ratio(
    results: pl.DataFrame, first: int = 1, budget: str = "converge", full: str = "full_retrain"
) -> pl.DataFrame:
    """Return strategy, scorer, seed, value = seconds(full_retrain) ÷ seconds(row), same scorer and seed.

    Null where full retraining did not run, where a row took no time, and under the budget ``equal`` (rule 14).
    """
    seconds = cost_mean(results, "seconds", first)
    against = seconds.filter(pl.col("strategy") == full).select("scorer", "seed", full=pl.col("value"))
    known = (pl.col("value") > 0) & pl.lit(budget != "equal")
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


def regrets(results: pl.DataFrame, metric: str, first: int = 1) -> pl.DataFrame:
    """Return strategy, scorer, to_fixed, to_oracle: how far each row is below what choosing could have had, means over seeds.

    `to_fixed` is the distance of its mean over increments to that of the best strategy of the same scorer and seed, `to_oracle`
    to the mean of the best one at every increment: what a selector of strategies is scored by. Rows that lack an increment, and
    reference rows, are left out.
    """
    rows = results.filter(
        (pl.col("split") == "next") & (pl.col("metric") == metric) & (pl.col("segment") == "all"),
        (pl.col("trained_to") >= first) & (pl.col("scorer") != REFERENCE),
        pl.col("value").is_not_null() & pl.col("value").is_not_nan(),
    )
    whole = rows.filter(pl.len().over(_ROW) == rows["trained_to"].n_unique())
    best = whole.with_columns(most=pl.col("value").max().over("scorer", "seed", "trained_to"))
    means = best.group_by(_ROW, maintain_order=True).agg(pl.col("value").mean(), pl.col("most").mean())
    fixed = pl.col("value").max().over("scorer", "seed")
    each = means.with_columns(to_fixed=fixed - pl.col("value"), to_oracle=pl.col("most") - pl.col("value"))
    return each.group_by("strategy", "scorer", maintain_order=True).agg(pl.col("to_fixed", "to_oracle").mean())


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

_COSTS = ("bytes_kept", "edges_touched", "steps", "triplets", "rows_rewritten", "churn", "peak_memory")


def summary(results: pl.DataFrame, k: int = 20, first: int = 1, budget: str = "converge") -> pl.DataFrame:
    """Return a row per strategy × scorer, reference rows last: for every quantity its mean over seeds and `_deviation`.

    Means over increments are unweighted (rule 6), then mean and deviation (n−1) over seeds; the deviation is null with
    one seed. Quantities: rating errors and ranking metrics @k of next (`recall@k_known`: known users only); forgetting,
    BWT and the other summaries of R, all of recall@k over all users; cost per update (of peak memory the largest), each
    scorer's own; `vs_full`; `model_off`, the share of increments whose blend left the model out. Counts: `seeds`,
    `increments`, `users_known` and `users_all` (summed over increments); and `ceiling`, the share of relevant events on
    known items.
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
    columns |= {name: curves.select(*_ROW, value=name) for name in r_matrix.SUMMARIES if name != "forgetting"}
    columns |= {name: cost_mean(results, name, first) for name in _COSTS}
    columns["epochs"] = epochs_mean(results, first)
    columns["model_off"] = model_off(results, first)
    columns["users_known"] = known.select(*_ROW, value="n")
    columns["users_all"] = everyone.select(*_ROW, value="n")
    columns["ceiling"] = next_mean(results, "ceiling", first=first)
    return columns


def _from_matrices(results: pl.DataFrame, metric: str, first: int) -> pl.DataFrame:
    """Return strategy, scorer, seed and `r_matrix.SUMMARIES`: one row per matrix R that exists."""
    tests = results.filter((pl.col("split") == "test") & (pl.col("segment") == "all") & (pl.col("metric") == metric))
    baseline = r_matrix.of(tests, "decayed_popularity", REFERENCE, None)
    rows: list[dict[str, object]] = []
    for strategy, scorer, seed in tests.select(_ROW).unique(maintain_order=True).iter_rows():
        r = r_matrix.of(tests, strategy, scorer, seed)
        if r is not None:
            full = r_matrix.of(tests, "full_retrain", scorer, seed)
            rows.append(
                {"strategy": strategy, "scorer": scorer, "seed": seed, **r_matrix.averages(r, baseline, full, first)},
            )
    schema = {name: SCHEMA[name] for name in _ROW} | dict.fromkeys(r_matrix.SUMMARIES, pl.Float64())
    return pl.DataFrame(rows, schema=schema).with_columns(pl.col(r_matrix.SUMMARIES).fill_nan(None))


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


def beyond_accuracy(results: pl.DataFrame, first: int = 1) -> pl.DataFrame:
    """Return strategy, scorer and a column per measure of lists and of what updates took: means over increments, then seeds.

    The lists are those that `next` is scored by. Rows of older versions have none of it: null.
    """
    found = results.filter(pl.col("split") == "beyond")["metric"].unique(maintain_order=True).to_list()
    columns = {metric: _over_increments(results, "beyond", metric, "all", first) for metric in found}
    columns |= {metric: cost_mean(results, metric, first) for metric in ("core_seconds", "energy_joules")}
    base = results.select(_ROW).unique(maintain_order=True)
    for name, frame in columns.items():
        base = _join(base, frame, name) if frame["value"].count() else base
    names = [name for name in base.columns if name not in _ROW]
    means = base.group_by("strategy", "scorer", maintain_order=True).agg(pl.col(names).mean())
    return means.sort(pl.col("scorer") == REFERENCE, maintain_order=True)
