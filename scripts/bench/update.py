"""Which strategy ranks as well as full retraining, and at what share of its seconds? The frontier, on real streams.

What is served is the model alone (`scorer=model`): the choice of a blend costs every row the same seconds, which would hide
the difference between cheap rows. Full retraining converges at the experiment's own settings.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from bench import worlds
from bench.timing import Line
from gnnrec.config.compose import compose
from gnnrec.evaluation.results import check, summary
from gnnrec.runs import build
from gnnrec.runs.compare import joined
from gnnrec.runs.folder import finished
from gnnrec.runs.job import Job, run_job
from gnnrec.runs.progress import Progress

NAME = "update"
EXPERIMENTS = ("movietweetings", "amazon_games", "gowalla_ccd")
FULL = "full_retrain"
BRIEF = ("fit.max_epochs=5", "fit.lr=0.01")
SMALL = ("fit.max_epochs=5", "fit.lr=0.003", "fit.batch_size=4096")
ROWS = {
    "frozen": ("strategy=frozen",),
    "fine_tune": ("strategy=fine_tune",),
    "fine_tune, at most 5 epochs": ("strategy=fine_tune", *BRIEF),
    "fine_tune, at most 5 epochs, touched rows": ("strategy=fine_tune", "fit.rows=touched", *BRIEF),
    "fine_tune, at most 5 epochs, small steps": ("strategy=fine_tune", *SMALL),
    FULL: ("strategy=full_retrain",),
}
FASTER = "full_retrain, at fine-tuning's learning rate"
MORE = {"amazon_games": {FASTER: ("strategy=full_retrain", "fit.lr=0.01")}}
"""Full retraining at the rate of the brief rows, where the experiment itself has another."""
CHEAPER, AS_GOOD = 20, 0.99


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
        yield from _lines("simulated", _table("simulated", ("data.events=5000",), runs))
        return
    if not worlds.has_data():
        yield Line(NAME, "update against full retraining", None, "×", note="needs the data sets below $GNNREC_DATA")
        return
    for experiment in EXPERIMENTS:
        yield from _lines(experiment, _table(experiment, ("fit.budget=converge",), runs))


def _table(experiment: str, overrides: tuple[str, ...], runs: Path) -> pl.DataFrame:
    """Run every row with seed 0 and return the summary."""
    output = f"output={runs / experiment}"
    common = (f"experiment={experiment}", "scorer=model", "logger=none", output, *overrides)
    scene = build.scene(compose(list(common)))
    rows = ROWS | MORE.get(experiment, {})
    jobs = [Job(row, compose([*common, *own])) for row, own in rows.items()]
    kept = [job.row for job in jobs if finished(job.folder(scene.setting.stream))]
    frames = joined([run_job(job, scene, Progress(quiet=True)) for job in jobs])
    found = summary(check(frames["results"]))
    return found.with_columns(kept=pl.col("strategy").is_in(kept))


def _lines(experiment: str, table: pl.DataFrame) -> Iterator[Line]:
    rows = {r["strategy"]: r for r in table.filter(pl.col("scorer") == "model").iter_rows(named=True)}
    fulls = {name: rows.pop(name) for name in (FULL, FASTER) if name in rows}
    best = None
    for name, row in fulls.items():
        note = f"per update; next recall@20 {row['recall@20_all']:.4f}{_kept(row)}"
        yield Line(NAME, f"{experiment}: {name}", row["seconds_per_update"], "s", note=note)
    # Measured against the better one, whatever it costs.
    full = max(fulls.values(), key=lambda row: row["recall@20_all"])
    for name, row in rows.items():
        cheaper = full["seconds_per_update"] / row["seconds_per_update"]
        good = row["recall@20_all"] / full["recall@20_all"]
        note = f"{row['seconds_per_update']:.2f} s; {good:.1%} of its recall@20, seed 0{_kept(row)}"
        yield Line(NAME, f"{experiment}: full retraining's seconds / {name}'s", cheaper, "×", note=note)
        if good >= AS_GOOD:
            best = max(best or 0.0, cheaper)
    what = f"{experiment}: the cheapest at ≥ {AS_GOOD:.0%} of the recall"
    met, note = best is not None and best >= CHEAPER, "" if best is not None else "none reaches it"
    yield Line(NAME, what, best, "×", target=f"≥ {CHEAPER}×", met=met, note=note)


def _kept(row: dict[str, object]) -> str:
    """Say of a run that was done before that its seconds are not today's."""
    return "; run kept from an earlier call" if row["kept"] else ""
