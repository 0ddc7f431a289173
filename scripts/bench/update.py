"""What an update costs against retraining from scratch, both given the same freedom, on real streams.

Updates and retraining are offered the same schedules (their own, 5 epochs at a learning rate of .01). In each family the
setting with the highest valid NDCG@20 is taken, never one by what comes next, and the seconds of the two are set against each
other, with an interval over seeds and increments. What is served is the model alone; the blend's cost is no part of it.
The runs are those of the experiments' records, so that a folder with a record is not run again: `--runs runs`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from bench import worlds
from bench.timing import Line
from gnnrec.config.compose import compose
from gnnrec.core.seeds import generator
from gnnrec.evaluation.results import check
from gnnrec.runs import build
from gnnrec.runs.compare import joined
from gnnrec.runs.folder import finished
from gnnrec.runs.job import Job, run_job
from gnnrec.runs.progress import Progress

NAME = "update"
SEEDS = {"movietweetings": (0, 1, 2), "amazon_games": (0, 1, 2), "simulated": (0,)}
"""Gowalla's base and retrainings take more than an hour a seed, and a ratio of one seed is no claim."""
BRIEF = ("fit.max_epochs=5", "fit.lr=0.01")
UPDATES = {
    "fine_tune": ("strategy=fine_tune",),
    "fine_tune, at most 5 epochs": ("strategy=fine_tune", *BRIEF),
    "fine_tune, at most 5 epochs, touched rows": ("strategy=fine_tune", "fit.rows=touched", *BRIEF),
}
RETRAINING = {
    "full_retrain": ("strategy=full_retrain",),
    "full_retrain, at most 5 epochs": ("strategy=full_retrain", "fit.base.max_epochs=5", "fit.base.lr=0.01"),
}
"""A cold start is fitted by the base's schedule."""
SAME = {
    "their own schedules": ("fine_tune", "full_retrain"),
    "at most 5 epochs": ("fine_tune, at most 5 epochs", "full_retrain, at most 5 epochs"),
}
SMALL = (
    *("data.events=3000", "data.users=150", "data.items=80", "stream.increments=3"),
    *("fit.max_epochs=8", "fit.base.max_epochs=8"),
)
RESAMPLES = 2000

Values = dict[tuple[int, int], float]
"""By (seed, increment)."""


def run(quick: bool, runs: Path | None = None) -> Iterator[Line]:
    """Yield the lines of this benchmark.

    Args:
        quick: a simulated stream only.
        runs: folder that keeps the runs, so that what was cut off goes on; None: a temporary one.
    """
    with tempfile.TemporaryDirectory() as temporary:
        yield from _all(quick, runs or Path(temporary))


def _all(quick: bool, runs: Path) -> Iterator[Line]:
    if quick:
        yield from _lines("simulated", *_results("simulated", SMALL, runs))
        return
    if not worlds.has_data():
        yield Line(NAME, "update against full retraining", None, "×", note="needs the data sets below $GNNREC_DATA")
        return
    for experiment in (name for name in SEEDS if name != "simulated"):
        yield from _lines(experiment, *_results(experiment, (), runs))


def _results(experiment: str, overrides: tuple[str, ...], runs: Path) -> tuple[pl.DataFrame, bool]:
    """Run every setting under every seed; return the tidy rows, and whether any run was kept from an earlier call."""
    common = (f"experiment={experiment}", "logger=none", f"output={runs / experiment}", "resume=true", *overrides)
    scene = build.scene(compose(list(common)))
    settings = (UPDATES | RETRAINING).items()
    jobs = [Job(row, compose([*common, *own, f"seed={s}"])) for s in SEEDS[experiment] for row, own in settings]
    kept = any(finished(job.folder(scene.setting.stream)) for job in jobs)
    frames = joined([run_job(job, scene, Progress(quiet=True)) for job in jobs], jobs[0].config)
    return check(frames["results"]).filter(pl.col("scorer") == "model", pl.col("trained_to") > 0), kept


def _values(results: pl.DataFrame, row: str, split: str, metric: str) -> Values:
    found = results.filter(strategy=row, split=split, metric=metric, segment="all")
    return {(s, t): v for s, t, v in found.select("seed", "trained_to", "value").iter_rows()}


def _mean(values: Values) -> float:
    return float(np.mean(list(values.values())))


def _lines(experiment: str, results: pl.DataFrame, kept: bool) -> Iterator[Line]:
    said = "; some runs kept from an earlier call" if kept else ""
    for row in UPDATES | RETRAINING:
        seconds, epochs = (_mean(_values(results, row, "cost", m)) for m in ("seconds", "epochs"))
        valid, ahead = (
            _mean(_values(results, row, split, m)) for split, m in (("valid", "ndcg@20"), ("next", "recall@20"))
        )
        note = f"per update; {epochs:.1f} epochs, valid ndcg@20 {valid:.4f}, next recall@20 {ahead:.4f}{said}"
        yield Line(NAME, f"{experiment}: {row}", seconds, "s", note=note)
    for how, pair in SAME.items():
        yield _ratio(experiment, results, *pair, how)
    chosen = (
        max(family, key=lambda row: _mean(_values(results, row, "valid", "ndcg@20")))
        for family in (UPDATES, RETRAINING)
    )
    yield _ratio(experiment, results, *chosen, "each chosen on valid")


def _ratio(experiment: str, results: pl.DataFrame, update: str, full: str, how: str) -> Line:
    seconds = [_values(results, row, "cost", "seconds") for row in (full, update)]
    recall = [_mean(_values(results, row, "next", "recall@20")) for row in (full, update)]
    low, high = interval(*seconds)
    seeds = len(SEEDS[experiment])
    note = f"{full} over {update}; next recall@20 {recall[0]:.4f} and {recall[1]:.4f}; {seeds} seed(s)"
    ratio = sum(seconds[0].values()) / sum(seconds[1].values())
    what = f"{experiment}: retraining's seconds / an update's, {how}"
    return Line(NAME, what, ratio, "×", low, high, note=note)


def interval(one: Values, other: Values) -> tuple[float, float]:
    """Return the 95 % interval of Σ one / Σ other, seeds and increments drawn anew and crossed."""
    seeds, increments = (sorted({key[n] for key in one}) for n in (0, 1))
    tables = [np.array([[v[s, t] for t in increments] for s in seeds]) for v in (one, other)]
    rng = generator(0, "update")
    ratios = []
    for _ in range(RESAMPLES):
        at = np.ix_(rng.integers(len(seeds), size=len(seeds)), rng.integers(len(increments), size=len(increments)))
        ratios.append(tables[0][at].sum() / tables[1][at].sum())
    low, high = np.percentile(ratios, [2.5, 97.5])
    return float(low), float(high)
