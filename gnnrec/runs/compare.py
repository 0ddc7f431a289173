"""A comparison: run what is missing, then table, figures and report from what is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from gnnrec.core.errors import GnnrecError
from gnnrec.evaluation import results as table
from gnnrec.reporting import terminal
from gnnrec.runs import build
from gnnrec.runs.alike import by_policy
from gnnrec.runs.build import Config, Scene
from gnnrec.runs.folder import EXAMPLES, TABLES, Frames, check_versions, finished
from gnnrec.runs.job import Job, failure, run_job
from gnnrec.runs.pages import Report, report
from gnnrec.runs.progress import Progress
from gnnrec.runs.shared import references

Runner = Callable[[Job, Scene, Progress], Frames]
"""Runs a job: in a folder of its own, where a finished one is read back, or in memory."""
RunnerOf = Callable[[Sequence[Job], Scene, Progress], Runner]
"""Makes a runner of jobs: one that runs each when its turn comes, or one that collects what ran beside each other."""


def in_turn(jobs: Sequence[Job], scene: Scene, progress: Progress) -> Runner:
    """Return what runs a job when its turn comes."""
    return run_job


def compare(
    jobs: Sequence[Job],
    scene: Scene,
    command: str,
    progress: Progress,
    first: int = 1,
    output: Path | None = None,
    launch: RunnerOf = in_turn,
) -> Report:
    """Run every job that is not finished and write the report of all of them; one that fails is left out, and said.

    Args:
        jobs: strategies × seeds of one experiment.
        scene: its data and stream.
        command: what was typed, for the record.
        progress: where to show it.
        first: smallest t in means; 3 after a sweep.
        output: a folder of its own for the report, written anew; None: the configuration's output, or a folder below it
            where the report of another comparison stands.
        launch: makes the runner of the jobs.
    """
    check_any(jobs)
    config = jobs[0].config
    check_versions(Path(config["output"]), scene.setting.stream)
    folders = [job.folder(scene.setting.stream) for job in jobs]
    _say_reused(folders, progress)
    parts, failed = run_all(jobs, scene, progress, launch)
    parts.append(references(config, scene, progress))
    runs = [folder.name for folder in folders if finished(folder)]
    selected = build.selected_by([job.config for job in jobs], scene.setting.stream)
    shown = joined(parts, config), config, scene, command, runs, first, output, failed
    done = report(*shown, selected=selected, alike=by_policy([(job.row, job.config) for job in jobs]))
    return replace(done, failed=tuple(failed))


def _say_reused(folders: Sequence[Path], progress: Progress) -> None:
    """Say how many runs are finished already, and so are not run again."""
    if reused := sum(map(finished, folders)):
        progress.say(f"{reused} finished run{'' if reused == 1 else 's'} reused")


def run_all(
    jobs: Sequence[Job], scene: Scene, progress: Progress, launch: RunnerOf = in_turn
) -> tuple[list[Frames], list[str]]:
    """Return the frames of the jobs that end well, and a sentence for each other one; if none does, its error."""
    check_jobs(jobs, scene)
    parts: list[Frames] = []
    failed: list[GnnrecError] = []
    run = launch(jobs, scene, progress)
    for job in jobs:
        try:
            parts.append(run(job, scene, progress))
        except Exception as error:
            failed.append(failure(job, scene, error))
            progress.say(str(failed[-1]))
    if not parts:
        raise failed[0]
    return parts, [str(error) for error in failed]


def check_any(jobs: Sequence[Job]) -> None:
    """Refuse a comparison of nothing.

    Raises:
        GnnrecError: there is no job.
    """
    if not jobs:
        raise GnnrecError("nothing to compare: strategies= and seeds= must each name at least one")


def check_jobs(jobs: Sequence[Job], scene: Scene) -> None:
    """Refuse a setting that is wrong before the first run is paid for.

    Raises:
        GnnrecError: of the first job that has one.
    """
    for job in jobs:
        try:
            build.learner(job.config, scene.setting)
            build.strategy(job.config)
        except GnnrecError:
            raise
        except Exception:  # raised by the code of a plug-in: that run's alone, when its turn comes
            continue


def joined(parts: Sequence[Frames], config: Config) -> Frames:
    """Return the frames of several runs as one set, without figures of too few users to be shown."""
    # Older runs lack columns that newer ones have.
    found = {t: pl.concat([p[t] for p in parts], how="diagonal") for t in TABLES}
    least = int(config.get("privacy", {}).get("least_users", 1))
    lists = [p[EXAMPLES] for p in parts if EXAMPLES in p and least == 1]  # a list is of one user
    found |= {EXAMPLES: pl.concat(lists, how="diagonal")} if lists else {}
    return found | {"results": table.public(found["results"], least)}


def show(job: Job, scene: Scene, progress: Progress, launch: RunnerOf = in_turn) -> str:
    """Run one job, unless it is finished, and return its metrics per increment and its row beside the references.

    A comparison in the same output folder is left as it is.
    """
    check_versions(Path(job.config["output"]), scene.setting.stream)
    folder = job.folder(scene.setting.stream)
    _say_reused([folder], progress)
    run = launch([job], scene, progress)
    frames = joined([run(job, scene, progress), references(job.config, scene, progress)], job.config)
    results = table.check(frames["results"])
    own = results.filter(pl.col("strategy") == job.row, pl.col("scorer") != table.REFERENCE)
    summary = table.summary(results, budget=str(job.config["fit"]["budget"]))
    return (
        f"{terminal.increments(own)}\n{terminal.comparison(summary, width=terminal.width_of_terminal())}\nrun: {folder}"
    )
