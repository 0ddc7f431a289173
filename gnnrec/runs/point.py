"""A point of a sweep under one seed: a run that ends with increment 2, and what it measured on valid, in a folder.

output/sweep-<row>/points/<hash>-seed0/increment-1.json     metric → value per increment, up to increment 1
output/sweep-<row>/points/<hash>-seed0/increment-2.json     the same up to increment 2: the point is whole
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import polars as pl

from gnnrec.core.errors import GnnrecError
from gnnrec.core.files import write_atomic
from gnnrec.data.types import Stream
from gnnrec.evaluation.record import Name
from gnnrec.runs import build, experiment
from gnnrec.runs.build import Scene
from gnnrec.runs.folder import locked, safe
from gnnrec.runs.job import Job
from gnnrec.runs.progress import Progress
from gnnrec.runs.shared import base_state
from gnnrec.training.loggers import Tracker, log_identity

LAST = 2
"""Tuning sees increments up to this one (PROTOCOL rule 15); means are taken from the one after on."""
QUALITY = ("ndcg@20", "recall@20", "mse")
"""Metrics of the valid events."""
COST = ("seconds", "edges_touched")
"""Metrics of what updates cost."""
PointValues = Mapping[str, Mapping[str, float]]
"""Metric → increment (as text, as JSON has it) → value, of the model alone."""


def point_folder(job: Job, stream: Stream) -> Path:
    """Return where a point lies: the same for the same setting, data, seed and code, whichever search asks for it."""
    digest = build.run_digest(job.config, stream)
    return Path(job.config["output"]) / f"sweep-{safe(job.row)}" / "points" / f"{digest}-seed{job.seed}"


def values_file(folder: Path, last: int) -> Path:
    """Return the file that is there once a point is measured up to increment `last`."""
    return folder / f"increment-{last}.json"


def measured(job: Job, scene: Scene, last: int, progress: Progress, keep: bool = False) -> PointValues:
    """Return what a point measures up to increment `last`, from its folder where that is there.

    Args:
        job: the strategy as the point has it, under one seed.
        scene: data and whole stream.
        last: 1 to `LAST`.
        progress: where to show that another process is at it.
        keep: save the state, so that a later call goes on from it.
    """
    folder = point_folder(job, scene.setting.stream)
    file = values_file(folder, last)
    with locked(folder, wait=progress):
        if not file.is_file():
            learner, strategy = build.learner(job.config, scene.setting), build.strategy(job.config)
            base, states = base_state(job.config, scene, progress), folder / "state"
            name = Name(job.config["name"], job.row, job.seed)
            where = states if keep or states.is_dir() else None
            short = shortened(scene.setting, last)
            with _logged(job, folder) as tracker:
                record = experiment.run(
                    learner, strategy, short, name, base, where, tracker.increment, on_resume=tracker.increments
                )
            write_atomic(file, json.dumps(values_of(record.frames()["results"], last)))
        if last == LAST:
            shutil.rmtree(folder / "state", ignore_errors=True)
        return read_values(file)


def _logged(job: Job, folder: Path) -> AbstractContextManager[Tracker]:
    """Return where the curves of a point go: a run of its own at the logger, the same one where the point is gone on with."""
    name = f"{job.row}-{folder.name}"
    return Tracker.open(job.config, job.row, folder, log_identity(folder, resume=True), name)


def read_values(file: Path) -> PointValues:
    """Return what a file of `values_file` holds."""
    found: PointValues = json.loads(file.read_text())
    return found


def values_of(results: pl.DataFrame, last: int) -> PointValues:
    """Return the values of the model alone on increments 1 to `last`, of the metrics that were measured on all of them."""
    asked = ((pl.col("split") == "valid") & pl.col("metric").is_in(QUALITY)) | (
        (pl.col("split") == "cost") & pl.col("metric").is_in(COST)
    )
    rows = results.filter(
        asked, pl.col("segment") == "all", pl.col("scorer") == "model", pl.col("trained_to").is_between(1, last)
    )
    found: dict[str, dict[str, float]] = {}
    for metric, t, value in rows.select("metric", "trained_to", "value").sort("trained_to").iter_rows():
        found.setdefault(metric, {})[str(t)] = value
    return found


def mean_of(values: PointValues, metric: str, last: int) -> float:
    """Return the mean of a metric over increments 1 to `last`.

    Raises:
        GnnrecError: it was not measured.
    """
    found = [v for t, v in values.get(metric, {}).items() if int(t) <= last and v is not None]
    if not found:
        raise GnnrecError(f"valid {metric} was not measured: choose another sweep.metric, or a strategy that selects")
    return fmean(found)


def shortened(setting: experiment.Scenario, last: int = LAST) -> experiment.Scenario:
    """Return the setting whose stream ends with increment `last`, with nothing to score but valid."""
    stream = setting.stream
    increments = tuple(
        replace(i, test=i.test.take(slice(0, 0)), upcoming=i.upcoming.take(slice(0, 0)))
        for i in stream.increments[: last + 1]
    )
    short: Stream = replace(stream, increments=increments, has_test=False)
    return replace(setting, stream=short, worlds=setting.worlds[: last + 1])
