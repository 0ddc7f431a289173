"""A comparison: run what is missing, then table, figures and report from what is there."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import polars as pl
import yaml

from gnnrec.core.errors import GnnrecError
from gnnrec.core.files import write_atomic
from gnnrec.data.summary import summarise
from gnnrec.evaluation import results as table
from gnnrec.evaluation.significance import compare_each
from gnnrec.quality import increments
from gnnrec.reporting import figures, html, tables
from gnnrec.reporting.answer import answer
from gnnrec.runs import build
from gnnrec.runs.build import Config, Scene
from gnnrec.runs.folder import TABLES, Frames, check_versions, write_frames
from gnnrec.runs.job import Job, failure, run_job
from gnnrec.runs.progress import Progress
from gnnrec.runs.shared import references
from gnnrec.training.loggers import Tracker

PROTOCOL = """next: every event of increment t+1 is scored by the model that absorbed increments 0..t, before it sees \
any of them. Means run over t ≥ 1, unweighted, then over seeds; the deviation is over seeds. All candidates are ranked, none \
sampled; absorbed items of a user are masked; ties are broken by a seeded random order. Users without an absorbed \
event count, with the popularity of what the row's model absorbed. Valid events select (early stopping, blend) and are \
absorbed only then; test events are never absorbed. Seconds per update run from the increment's arrival until the model could \
serve: extension, fit, selection, blend, one propagation. docs/protocol.md has the formulas."""


Runner = Callable[[Job, Scene, Progress], Frames]
"""Runs a job: in a folder of its own, where a finished one is read back, or in memory."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a comparison has written: the table as text, where the report is, and which runs failed and why."""

    text: str
    path: Path
    summary: pl.DataFrame
    failed: tuple[str, ...] = ()


def compare(
    jobs: Sequence[Job],
    scene: Scene,
    command: str,
    progress: Progress,
    first: int = 1,
    output: Path | None = None,
) -> Report:
    """Run every job that is not finished and write the report of all of them; one that fails is left out, and said.

    Args:
        jobs: strategies × seeds of one experiment.
        scene: its data and stream.
        command: what was typed, for the record.
        progress: where to show it.
        first: smallest t in means; 3 after a sweep.
        output: where the report goes; None: the configuration's output.
    """
    if not jobs:
        raise GnnrecError("nothing to compare: strategies= and seeds= must each name at least one")
    config = jobs[0].config
    check_versions(Path(config["output"]), scene.setting.stream)
    parts, failed = run_all(jobs, scene, progress)
    parts.append(references(config, scene, progress))
    done = report(joined(parts), config, scene, command, first, output, failed)
    return replace(done, failed=tuple(failed))


def run_all(
    jobs: Sequence[Job], scene: Scene, progress: Progress, run: Runner = run_job
) -> tuple[list[Frames], list[str]]:
    """Return the frames of the jobs that end well, and a sentence for each other one; if none does, its error."""
    for job in jobs:  # a setting that is wrong is found before the first run is paid for
        try:
            build.learner(job.config, scene.setting)
            build.strategy(job.config)
        except GnnrecError:
            raise
        except Exception:  # raised by the code of a plug-in: that run's alone, when its turn comes
            continue
    parts: list[Frames] = []
    failed: list[GnnrecError] = []
    for job in jobs:
        try:
            parts.append(run(job, scene, progress))
        except Exception as error:
            failed.append(failure(job, scene, error))
            progress.say(str(failed[-1]))
    if not parts:
        raise failed[0]
    return parts, [str(error) for error in failed]


def joined(parts: Sequence[Frames]) -> Frames:
    """Return the frames of several runs as one set."""
    return {t: pl.concat([p[t] for p in parts]) for t in TABLES}


def show(job: Job, scene: Scene, progress: Progress) -> str:
    """Run one job, unless it is finished, and return its metrics per increment and its row beside the references.

    A comparison in the same output folder is left as it is.
    """
    check_versions(Path(job.config["output"]), scene.setting.stream)
    frames = joined([run_job(job, scene, progress), references(job.config, scene, progress)])
    results = table.check(frames["results"])
    own = results.filter(pl.col("strategy") == job.row, pl.col("scorer") != table.REFERENCE)
    summary = table.summary(results, budget=str(job.config["fit"]["budget"]))
    folder = job.folder(scene.setting.stream)
    return f"{tables.increments(own)}\n{tables.comparison(summary)}\nrun: {folder}"


def report(
    frames: Frames,
    config: Config,
    scene: Scene,
    command: str,
    first: int = 1,
    output: Path | None = None,
    remarks: Sequence[str] = (),
) -> Report:
    """Write results, summary, figures and report.html under `output`, and return the table."""
    output = output or Path(config["output"])
    results, budget = table.check(frames["results"]), str(config["fit"]["budget"])
    summary = table.summary(results, first=first, budget=budget)
    write_frames(output, {**frames, "results": results})
    write_atomic(output / "summary.csv", summary.write_csv())
    record = {**run_record(command), "protocol": build.protocol_hash(config)}
    versions = scene.setting.stream.versions
    if versions:
        newest = max(versions)
        record["data"] = f"versions {min(versions)} to {newest} of a store, content of the newest {versions[newest]}"
    write_atomic(output / "run.json", json.dumps(record, indent=1))
    quality = increments.per_increment(scene.setting.stream, scene.dataset.reports)
    pictures, missing = figures.write_all(
        results, summary, frames["predictions"], output / "figures", quality=quality, first=first
    )
    tests = compare_each(frames["per_user"], ("fine_tune", "full_retrain"), "recall@20", first=first)
    html.write(
        output / "report.html",
        title=f"{config['name']}: how the model absorbs each increment",
        answer=answer(summary, tests),
        summary=summary,
        figures=pictures,
        data_text=summarise(scene.dataset, scene.setting.stream, increments.as_text(quality)),
        config_text=yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True),
        notes=[*remarks, *scene.setting.stream.notes, *table.incomplete(results), *missing, *_lines(record)],
        protocol_text=PROTOCOL,
        significance=tests,
        details=html.increments_and_segments(results, first=first),
    )
    with Tracker.open(config, "compare", output) as tracker:
        tracker.report(pictures, summary)
    return Report(tables.comparison(summary), output / "report.html", summary)


def run_record(command: str) -> dict[str, str]:
    """Return command, machine size and versions, for the record."""
    packages = ("gnnrec", "torch", "torch-geometric", "pytorch-lightning", "hydra-core", "polars", "numpy", "scipy")
    return {
        "command": command,
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "processor": platform.machine(),
        "python": sys.version.split()[0],
        **{name: _version(name) for name in packages},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _lines(record: dict[str, str]) -> list[str]:
    return [f"{key}: {value}" for key, value in record.items()]
