"""A launch from its jobs to their frames: hand over, wait or leave, collect."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.launching.base import Place
from gnnrec.launching.supervise import Supervisor
from gnnrec.launching.tasks import RUN, Launch, failure_of, hand_over, launches
from gnnrec.runs.build import Scene
from gnnrec.runs.compare import Runner
from gnnrec.runs.folder import Frames, check_versions, finished, locked
from gnnrec.runs.job import Job, run_job
from gnnrec.runs.progress import Progress

THREADS = 1
"""Of a run beside others whose configuration leaves it open: small products on several threads wait for each other."""
DRIVER = "driver.log"
"""In the folder of a launch that is left to itself: what its driver writes."""
STARTED = 120.0
"""Seconds that a driver may take to begin."""


def launched(place: Place, jobs: Sequence[Job], scene: Scene, progress: Progress) -> Runner:
    """Run what is not finished at a place, and return what gives the frames of each job.

    Another launch that is at some of these runs is waited for.
    """
    for other in _at_the_same(jobs, scene):
        with locked(other.folder, wait=progress):
            pass
    if (launch := hand_over(jobs, scene)) is None:
        return run_job
    with locked(launch.folder, wait=progress):
        Supervisor(launch.tasks, place, progress.say).run()
    return _collecting(launch)


def left(place: Place, jobs: Sequence[Job], scene: Scene, progress: Progress) -> str:
    """Have a process of its own run what is not finished, and return a line about it at once."""
    output = Path(jobs[0].config["output"])
    check_versions(output, scene.setting.stream)
    with locked(output, wait=progress):  # another command at this moment finds what this one has begun
        return _left(jobs, scene, output)


def _left(jobs: Sequence[Job], scene: Scene, output: Path) -> str:
    tells = f"`gnnrec status {output}` tells, the same command with launcher.wait=true collects"
    at = [other for other in _at_the_same(jobs, scene) if in_use(other.folder)]
    taken = {task.folder.name for other in at for task in other.tasks}
    free = [job for job in jobs if job.folder(scene.setting.stream).name not in taken]
    if (launch := hand_over(free, scene)) is None:
        names = ", ".join(other.folder.name for other in at)
        return f"{names} is at these runs already; {tells}" if at else f"all runs are finished; {tells}"
    _start_driver(launch)
    runs = sum(task.kind == RUN for task in launch.tasks)
    return f"{runs} run{'' if runs == 1 else 's'} left to {launch.folder.name}; {tells}"


def _at_the_same(jobs: Sequence[Job], scene: Scene) -> list[Launch]:
    """Return the launches in the output folder that have been given some of the unfinished jobs."""
    stream = scene.setting.stream
    missing = {job.folder(stream).name for job in jobs if not finished(job.folder(stream))}
    found = launches(Path(jobs[0].config["output"])) if missing else []
    return [launch for launch in found if any(task.folder.name in missing for task in launch.tasks)]


def in_use(folder: Path) -> bool:
    """Return whether another process drives a launch."""
    try:
        with locked(folder):
            return False
    except GnnrecError:
        return True


def _start_driver(launch: Launch) -> None:
    """Start a process that drives a launch and outlives this one; return once it holds the launch."""
    log = launch.folder / DRIVER
    with log.open("ab") as words:
        driver = subprocess.Popen(
            [sys.executable, "-m", "gnnrec.launching.driver", str(launch.folder.resolve())],
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            env=environment(),
            start_new_session=True,
        )
    end = time.monotonic() + STARTED
    while not (launch.folder / ".lock.holder").is_file():
        if driver.poll() is not None or time.monotonic() > end:
            said = one_line(log.read_text(errors="replace")[-300:])
            raise GnnrecError(
                f"the runs could not be left to a process of their own: {said or 'it did not begin'}; see {log}"
            )
        time.sleep(0.05)


def environment(threads: int | None = None) -> dict[str, str]:
    """Return the environment of a process that finds the same modules as this one and, told so, keeps to its threads."""
    found = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    if threads is not None:
        found |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
        found["POLARS_MAX_THREADS"] = str(threads)
    return found


def _collecting(launch: Launch) -> Runner:
    """Return what reads the runs of a launch back, or raises why one has failed."""
    tasks = {task.folder.name: task for task in launch.tasks}

    def collect(job: Job, scene: Scene, progress: Progress) -> Frames:
        folder = job.folder(scene.setting.stream)
        task = tasks.get(folder.name)
        if task is not None and not finished(folder) and (why := failure_of(task)) is not None:
            raise GnnrecError(str(why["error"]))
        return run_job(job, scene, progress)

    return collect
