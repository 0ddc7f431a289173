"""A process per run on this machine, several beside each other."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import yaml

from gnnrec.launching.base import Limits
from gnnrec.launching.launch import THREADS, environment, launched, left
from gnnrec.launching.tasks import Task
from gnnrec.runs.build import Scene
from gnnrec.runs.compare import Runner
from gnnrec.runs.job import Job
from gnnrec.runs.progress import Progress

LEAVE = 30.0
"""Seconds that a process without a task may take to end."""


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
    idle: list[Worker] = field(default_factory=list, init=False, repr=False, compare=False)

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

    def begin(self, task: Task, resume: bool) -> Working:
        """Hand a task to a process that has nothing to do, or to a new one."""
        threads = int(yaml.safe_load(task.file.read_text(encoding="utf-8"))["threads"] or THREADS)
        fit = [w for w in self.idle if w.threads == threads]
        for worker in fit:
            self.idle.remove(worker)
            if worker.process.poll() is None:
                return Working(worker, task, resume, self.idle)
        return Working(Worker(threads), task, resume, self.idle)

    def release(self) -> None:
        """End the processes that have nothing to do."""
        while self.idle:
            self.idle.pop().end()


class Worker:
    """A process that works on one task after the other; it ends in order once this one is gone, which it learns from its
    standard input.

    Args:
        threads: of its products.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.answers, answer = os.pipe()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gnnrec.launching.worker", "--serve", str(answer)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(answer,),
                env=environment(threads),
                start_new_session=True,  # a terminal's Ctrl-C is for the command, which passes it on
            )
        finally:
            os.close(answer)

    def hand(self, task: Task, resume: bool) -> None:
        """Hand it a task; one that has died in the meantime is found by its end."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(f"{json.dumps({'file': str(task.file), 'resume': resume})}\n".encode())
            self.process.stdin.flush()

    def answer(self) -> str | None:
        """Return what it says of its task; None: it is at it. "" where it has ended."""
        if not select.select([self.answers], [], [], 0)[0]:
            return None
        return os.read(self.answers, 64).decode()

    def end(self) -> None:
        """Let it go: it ends by itself, or is ended."""
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.close()
        try:
            self.process.wait(timeout=LEAVE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.answers)


class Working:
    """A process at a task.

    Args:
        worker: the process.
        task: handed to it.
        resume: go on from its newest state.
        idle: where it goes once it has made the task. After any other end it is let go, so that nothing of a run that failed
            is in the process of another.
    """

    def __init__(self, worker: Worker, task: Task, resume: bool, idle: list[Worker]) -> None:
        self.worker, self.idle, self.over = worker, idle, False
        worker.hand(task, resume)

    def ended(self) -> bool:
        """Return whether the task or the process has ended."""
        if not self.over and (said := self.worker.answer()) is not None:
            self.over = True
            if said.strip() == "0":
                self.idle.append(self.worker)
            else:
                self.worker.end()
        return self.over

    def stop(self) -> None:
        """Ask it to end in order."""
        with suppress(ProcessLookupError):
            self.worker.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self.worker.process.kill()
