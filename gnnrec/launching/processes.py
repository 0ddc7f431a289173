"""A process per run on this machine, several beside each other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import yaml

from gnnrec.launching.base import Limits
from gnnrec.launching.launch import THREADS, environment, launched, left
from gnnrec.launching.tasks import Task
from gnnrec.runs.build import Scene
from gnnrec.runs.compare import Runner
from gnnrec.runs.job import Job
from gnnrec.runs.progress import Progress


@dataclass(frozen=True, slots=True)
class Processes:
    """Runs in processes of their own, which end with the one that began them.

    Args:
        workers: runs at once; None: one per core that this process may use.
        retries: times that a run is taken up again after its process was killed; one that fails is not.
        timeout: seconds that a run may take; None: any.
        wait: wait for the runs; False: a process of its own does.
    """

    workers: int | None = None
    retries: int = 1
    timeout: float | None = None
    wait: bool = True

    def __post_init__(self) -> None:
        _ = self.limits

    @property
    def limits(self) -> Limits:
        """How many at once, how often and how long."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return Limits(cores if self.workers is None else self.workers, self.retries, self.timeout)

    def launch(self, jobs: Sequence[Job], scene: Scene, progress: Progress) -> Runner:
        """Run what is not finished, and return what gives the frames of each job."""
        return launched(self, jobs, scene, progress)

    def leave(self, jobs: Sequence[Job], scene: Scene, progress: Progress) -> str:
        """Begin what is not finished, and return a line about it at once."""
        return left(self, jobs, scene, progress)

    def begin(self, task: Task, resume: bool) -> Worker:
        """Start a process at a task."""
        return Worker(task, resume)


class Worker:
    """A process at a task; it ends in order once this one is gone, which it learns from its standard input."""

    def __init__(self, task: Task, resume: bool) -> None:
        more = ["--resume"] if resume else []
        threads = int(yaml.safe_load(task.file.read_text(encoding="utf-8"))["threads"] or THREADS)
        with task.log.open("ab") as words:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gnnrec.launching.worker", str(task.file), "--tied", *more],
                stdin=subprocess.PIPE,
                stdout=words,
                stderr=words,
                env=environment(threads),
                start_new_session=True,  # a terminal's Ctrl-C is for the command, which passes it on
            )

    def ended(self) -> bool:
        """Return whether the process has ended."""
        if self.process.poll() is None:
            return False
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()
        return True

    def stop(self) -> None:
        """Ask it to end in order."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self.process.kill()
