"""A job: one strategy under one seed, run in its folder unless it is finished there, and how it ended."""

from __future__ import annotations

import errno
import os
import shutil
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from gnnrec.core import ranks, resources, signals
from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.core.files import write_atomic
from gnnrec.data.types import Stream
from gnnrec.evaluation.record import Name, Record
from gnnrec.runs import build, experiment
from gnnrec.runs.again import environment
from gnnrec.runs.build import Config, Scene
from gnnrec.runs.folder import (
    Frames,
    finished,
    locked,
    named,
    note_status,
    read_frames,
    safe,
    standing,
    write_frames,
)
from gnnrec.runs.progress import Progress
from gnnrec.runs.shared import base_state
from gnnrec.training.loggers import Tracker, log_identity

TRACEBACK = "traceback.txt"
"""In the folder of a run that foreign code ended: where."""
EVERYBODY = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""What is wrong with a disk, and so with every run to come."""


@dataclass(frozen=True, slots=True)
class Job:
    """One row of a comparison and its configuration: a strategy under one seed."""

    row: str
    config: Config

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.config["seed"])

    @property
    def name(self) -> Name:
        """What its rows are called."""
        return Name(self.config["name"], self.row, self.seed)

    def folder(self, stream: Stream) -> Path:
        """Where the run lives; another setting is another folder."""
        digest = build.run_digest(self.config, stream)
        return Path(self.config["output"]) / f"{safe(self.row)}-seed{self.seed}-{digest}"


def run_job(job: Job, scene: Scene, progress: Progress) -> Frames:
    """Return the frames of a run, from its folder where it is finished."""
    folder = job.folder(scene.setting.stream)
    with locked(folder):
        if not finished(folder):
            with _ending_noted(job, scene, folder), resources.told(f"{job.row}, seed {job.seed}"):
                _run(job, scene, folder, progress)
        return named(read_frames(folder), job.name)


def _run(job: Job, scene: Scene, folder: Path, progress: Progress) -> None:
    resume = bool(job.config["resume"])
    _open(job, scene, folder, progress, resume)
    learner, strategy = build.learner(job.config, scene.setting), build.strategy(job.config)
    base, policy = base_state(job.config, scene, progress), build.policy(job.config)
    last, identity = len(scene.setting.stream.increments) - 1, log_identity(folder, resume)
    with (
        progress.job(job.row, job.seed, last, learner) as bar,
        Tracker.open(job.config, job.row, folder, identity) as tracker,
    ):

        def told(t: int, record: Record) -> None:
            bar.increment(t, record.waits)
            tracker.increment(t, record)
            signals.check()

        def told_before(t: int, record: Record) -> None:
            bar.go_on(t)
            tracker.increments(t, record)

        states = folder / "state"
        record = experiment.run(
            learner, strategy, scene.setting, job.name, base, states, told, on_resume=told_before, policy=policy
        )
    write_frames(folder, record.frames())
    note_status(folder, "done", scene, job.config)


def _open(job: Job, scene: Scene, folder: Path, progress: Progress, resume: bool) -> None:
    """Note that a run begins or goes on, and remove what an earlier one has left that is not gone on from."""
    if (ended := standing(folder)) is not None:
        now = "going on from its newest state" if resume else "starting it again (resume=true goes on instead)"
        # Its lock is free: no process is at it any more, and the last one had no time to say so.
        earlier = f"killed, perhaps for want of memory ({resources.LOWER})" if ended == "running" else ended
        progress.say(f"{folder.name}: begun earlier and {earlier}; {now}")
    if not resume and (folder / "state").exists():
        shutil.rmtree(folder / "state")
    (folder / TRACEBACK).unlink(missing_ok=True)
    write_atomic(folder / "config.yaml", yaml.safe_dump(dict(job.config), sort_keys=False, allow_unicode=True))
    environment.note(folder, job.config, build.run_digest(job.config, scene.setting.stream), resume)
    note_status(folder, "running", scene, job.config)


@contextmanager
def _ending_noted(job: Job, scene: Scene, folder: Path) -> Iterator[None]:
    """Have status.json say how a run ended that does not end well."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"{job.row}, seed {job.seed}")
        if signals.received(error):
            how = "interrupted"
        else:
            how = "failed: oom" if isinstance(error, resources.MemoryShortError) else "failed"
            if isinstance(error, Exception) and not isinstance(error, GnnrecError):
                with suppress(OSError):
                    write_atomic(folder / TRACEBACK, "".join(traceback.format_exception(error)))
        if not finished(folder):
            with suppress(OSError):  # the error itself says more
                note_status(folder, how, scene, job.config)
        raise


def failure(job: Job, scene: Scene, error: Exception) -> GnnrecError:
    """Return what ended a run as one line; what its folder holds of it is named.

    Raises:
        Exception: the error itself, where it ends the command.
    """
    if ends_all(error):
        raise error
    who = f"{job.row}, seed {job.seed} failed"
    if isinstance(error, GnnrecError):
        return GnnrecError(f"{who}: {one_line(str(error))}")
    what = one_line(f"{type(error).__name__}: {error}")
    return GnnrecError(f"{who}: {what}; see {job.folder(scene.setting.stream) / TRACEBACK}")


def ends_all(error: Exception) -> bool:
    """Return whether what has ended a run is to end the command too: an interruption, a full disk, GNNREC_DEBUG.

    And whatever ends a run that several ranks make: the others may be in the midst of it, and would wait for this one.
    """
    if signals.received(error) or os.environ.get("GNNREC_DEBUG") or ranks.count() > 1:
        return True
    return resources.of_files(error) or getattr(error, "errno", None) in EVERYBODY
