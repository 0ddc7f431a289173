"""A grid of runs: data read once for all that share them, one table at the end for all that can stand in one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gnnrec.core import resources
from gnnrec.core.errors import one_line
from gnnrec.evaluation import results as table
from gnnrec.reporting import terminal
from gnnrec.runs.build import Config, Scene
from gnnrec.runs.compare import Runner, RunnerOf, in_turn, joined
from gnnrec.runs.folder import Frames, check_versions, named
from gnnrec.runs.job import Job
from gnnrec.runs.progress import Progress
from gnnrec.runs.report import names
from gnnrec.runs.shared import references

SHARED = ("data", "stream", "evaluation", "scorer", "state", "name", "output", "plugins", "trainer")
"""Keys that runs of one table have in common."""


@dataclass(frozen=True, slots=True)
class GridReport:
    """What a grid has come to: its tables as text, and which runs failed and why."""

    text: str
    failed: tuple[str, ...]


def run_all(
    jobs: Sequence[tuple[str, Job]], read: Callable[[Config], Scene], progress: Progress, launch: RunnerOf = in_turn
) -> GridReport:
    """Run every job that is not finished; one that fails is left out, and said.

    Args:
        jobs: what was typed for each, and the run.
        read: loads data and stream of a configuration.
        progress: where to show it.
        launch: how the runs that share their data are run.
    """
    failed: list[str] = []
    texts = [_group(group, read, progress, launch, failed) for group in groups(jobs)]
    return GridReport("\n\n".join(t for t in texts if t), tuple(failed))


def groups(jobs: Sequence[tuple[str, Job]]) -> list[list[tuple[str, Job]]]:
    """Return the jobs by what they share."""
    found: dict[str, list[tuple[str, Job]]] = {}
    for typed, job in jobs:
        key = json.dumps([job.config[k] for k in SHARED], sort_keys=True, default=str)
        found.setdefault(key, []).append((typed, job))
    return list(found.values())


def _group(
    group: Sequence[tuple[str, Job]],
    read: Callable[[Config], Scene],
    progress: Progress,
    launch: RunnerOf,
    failed: list[str],
) -> str:
    """Run the jobs that share their data and return their table, "" where none ends well."""
    scene: Scene | None = None
    run: Runner | None = None
    done: list[tuple[Job, Frames]] = []
    for typed, job in group:
        try:
            if scene is None:
                scene = read(job.config)
                check_versions(Path(job.config["output"]), scene.setting.stream)
            if run is None:
                run = _runner(launch, [other for _, other in group], scene, progress)
            done.append((job, run(job, scene, progress)))
        except Exception as error:
            if os.environ.get("GNNREC_DEBUG"):
                raise
            line = resources.explained("run", error) or one_line(str(error)) or repr(error)
            failed.append(f"{typed}: {line}")
            progress.say(failed[-1])
    return _table(done, scene, progress) if done and scene is not None else ""


def _runner(launch: RunnerOf, jobs: Sequence[Job], scene: Scene, progress: Progress) -> Runner:
    """Return the runner of jobs; where none could be made, one that says why for each of them, and tries no second time."""
    try:
        return launch(jobs, scene, progress)
    except Exception as error:
        why = error

    def fail(job: Job, scene: Scene, progress: Progress) -> Frames:
        raise why

    return fail


def _table(done: Sequence[tuple[Job, Frames]], scene: Scene, progress: Progress) -> str:
    config, frames = done[0][0].config, [f for _, f in done]
    rows = names([job.config for job, _ in done], frames)
    parts = [named(f, name) for f, name in zip(frames, rows, strict=True)]
    results = table.check(joined([*parts, references(config, scene, progress)], config)["results"])
    summary = table.summary(results, budget=str(config["fit"]["budget"]))
    text = terminal.comparison(summary, width=terminal.width_of_terminal())
    folders = [f"run: {job.folder(scene.setting.stream)}" for job, _ in done]
    return "\n".join([text, *folders, f"gnnrec report {config['output']} writes the report of all that it holds"])
