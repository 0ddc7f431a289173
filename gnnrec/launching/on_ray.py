"""A task of Ray per run, on a cluster or on this machine: base first, taken up again where its worker or node was lost."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.core.files import write_atomic
from gnnrec.launching.base import Limits
from gnnrec.launching.launch import THREADS, environment, launched, left
from gnnrec.launching.tasks import Task, failure_of, note_failure
from gnnrec.runs.build import Scene
from gnnrec.runs.compare import Runner
from gnnrec.runs.job import Job
from gnnrec.runs.progress import Progress

POLL = 0.2
"""Seconds between two looks at a process on a node: Ray can take a task back only between them."""
GRACE = 60
"""Seconds that a process which was asked to end may take for it."""


@dataclass(frozen=True, slots=True)
class Ray:
    """Runs as plain tasks of Ray. The output folder, the data and gnnrec must be where every node finds them.

    Ray is asked for cores and takes a task back; what has been made, and what is to be tried again, stands in the folders of
    the runs.

    Args:
        address: of a cluster, "auto" for the one this machine is part of; None: one of its own here, which ends with the
            command.
        workers: runs at once.
        cpus: of a run, and its threads; None: one.
        gpus: of a run; parts of one are allowed.
        memory: GiB that a node must have left for a run; None: nobody asks.
        retries: times that a run is taken up again after its worker was lost; one that fails is not.
        timeout: seconds that a run may take once it has begun; None: any.
        wait: wait for the runs; False: a process on this machine does.
    """

    address: str | None = None
    workers: int = 2
    cpus: int | None = None
    gpus: float = 0
    memory: float | None = None
    retries: int = 1
    timeout: float | None = None
    wait: bool = True
    began: list[Any] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if (self.cpus or 1) < 1 or self.gpus < 0 or (self.memory is not None and self.memory <= 0):
            raise GnnrecError(
                f"launcher.cpus={self.cpus} and launcher.memory={self.memory} must be above 0 or null, "
                f"launcher.gpus={self.gpus:g} 0 or more"
            )
        _ = Limits(self.workers, self.retries, self.timeout)
        _ray()

    @property
    def limits(self) -> Limits:
        """How many at once and how often; the time is kept where a run is, as it may wait for a node first."""
        return Limits(self.workers, self.retries, None)

    def launch(self, jobs: Sequence[Job], scene: Scene, progress: Progress) -> Runner:
        """Run what is not finished, and return what gives the frames of each job."""
        return launched(self, jobs, scene, progress)

    def leave(self, jobs: Sequence[Job], scene: Scene, progress: Progress) -> str:
        """Begin what is not finished, and return a line about it at once."""
        return left(self, jobs, scene, progress)

    def begin(self, task: Task, resume: bool) -> Remote:
        """Hand a task to Ray."""
        ray = self._connected()
        asked: dict[str, Any] = {"num_cpus": self.cpus or THREADS, "num_gpus": self.gpus, "max_retries": 0}
        asked |= {"memory": int(self.memory * 2**30)} if self.memory else {}
        paths = {"env_vars": {"PYTHONPATH": environment()["PYTHONPATH"]}}
        remote = ray.remote(**asked, runtime_env=paths, name=task.folder.name)(_work)
        handed = str(task.file.absolute()), resume, self.cpus or THREADS, self.timeout, str(Path.cwd())
        return Remote(remote.remote(*handed), task)

    def release(self) -> None:
        """Leave the cluster; end it, where it was begun for this command."""
        if self.began:
            self.began.clear()
            _ray().shutdown()

    def _connected(self) -> Any:
        ray = _ray()
        if ray.is_initialized():
            return ray
        here = {"num_cpus": self.workers * (self.cpus or THREADS), "include_dashboard": False}
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            ray.init(
                address=self.address,
                log_to_driver=False,
                configure_logging=False,
                **(here if self.address is None else {}),
            )
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise GnnrecError(f"launcher.address={self.address}: {one_line(str(error))}") from error
        finally:
            for number, handler in handlers.items():  # Ray puts its own in the place of those that end runs in order
                signal.signal(number, handler)
        self.began.append(ray)
        return ray


class Remote:
    """A task of Ray.

    Args:
        reference: to what it returns.
        task: that it works on.
    """

    def __init__(self, reference: Any, task: Task) -> None:
        self.reference, self.task = reference, task

    def ended(self) -> bool:
        """Return whether it has ended, or its worker was lost; an error of Ray's own is noted as the task's."""
        ray = _ray()
        if not ray.wait([self.reference], timeout=0)[0]:
            return False
        try:
            ray.get(self.reference)
        except ray.exceptions.RayError as error:
            # Who was lost, or taken back, says nothing: what the folder holds tells how far it came.
            own = isinstance(error, (ray.exceptions.RayTaskError, ray.exceptions.RuntimeEnvSetupError))
            if own and not isinstance(error, ray.exceptions.TaskCancelledError) and failure_of(self.task) is None:
                note_failure(self.task, f"on its node: {one_line(str(error).strip().splitlines()[-1])}")
        return True

    def stop(self) -> None:
        """Have its process asked to end in order."""
        _ray().cancel(self.reference, force=False)

    def kill(self) -> None:
        """End its worker at once; the process there ends with it."""
        _ray().cancel(self.reference, force=True)


def _work(file: str, resume: bool, threads: int, timeout: float | None, folder: str) -> int:
    """Work on a task in a process of its own, and return its exit code."""
    command = [sys.executable, "-m", "gnnrec.launching.worker", file, "--tied", *(["--resume"] if resume else [])]
    with Path(file).with_suffix(".log").open("ab") as words:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=words, stderr=words, env=environment(threads), cwd=folder
        )
    end = None if timeout is None else time.monotonic() + timeout
    try:
        while process.poll() is None:
            time.sleep(POLL)
            if end is not None and time.monotonic() > end:
                _end(process)
                said = f"launcher.timeout={timeout:g} s is over; resume=true goes on from its newest state"
                write_atomic(Path(file).with_suffix(".json"), json.dumps({"error": said}))
                break
    except BaseException:  # taken back
        _end(process)
        raise
    return int(process.returncode)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end in order, and end one that does not."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise GnnrecError("launcher=ray needs Ray: pip install 'gnnrec[ray]'") from error
    return ray
