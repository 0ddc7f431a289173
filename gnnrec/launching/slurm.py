"""A job of SLURM per run, by submitit: base first, taken up again where it was preempted."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.launching.base import Limits
from gnnrec.launching.launch import THREADS, environment, launched, left
from gnnrec.launching.tasks import Task
from gnnrec.runs.build import Scene
from gnnrec.runs.compare import Runner
from gnnrec.runs.job import Job
from gnnrec.runs.progress import Progress

QUEUE = "queue"
"""In the folder of a launch: what submitit writes."""


@dataclass(frozen=True, slots=True)
class Slurm:
    """Runs as jobs of a queue. The output folder, the data and gnnrec must be where every node finds them.

    Args:
        cluster: "slurm"; "local": processes of this machine, for trying it out.
        partition: of the queue; None: its default.
        workers: jobs in the queue at once.
        minutes: most that a job may take; the queue ends it then, and it is submitted again.
        memory: GiB of a job.
        cpus: of a job; None: one.
        gpus: of a job.
        retries: times that a run is submitted again after its job was killed; one that fails is not.
        wait: wait for the runs; False: a process on this machine does.
        script: print what would be submitted, and submit nothing.
        more: further options of submitit's executor: {slurm_account: NAME}.
    """

    cluster: str = "slurm"
    partition: str | None = None
    workers: int = 64
    minutes: int = 240
    memory: float = 8
    cpus: int | None = None
    gpus: int = 0
    retries: int = 1
    wait: bool = True
    script: bool = False
    more: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.cluster not in ("slurm", "local"):
            raise GnnrecError(f"launcher.cluster={self.cluster} is not known; allowed: local, slurm")
        if self.minutes < 1 or self.memory <= 0 or (self.cpus or 1) < 1 or self.gpus < 0:
            raise GnnrecError(
                "launcher.minutes, launcher.memory and launcher.cpus must be above 0, launcher.gpus 0 or more"
            )
        if self.script and self.wait:
            raise GnnrecError(
                "launcher.script=true submits nothing, so there is nothing to wait for: launcher.wait=false"
            )
        _ = self.limits
        _submitit()
        if self.cluster == "slurm" and not self.script and shutil.which("sbatch") is None:
            raise GnnrecError(
                "launcher=slurm needs sbatch, which is not here: call it where jobs are submitted; "
                "launcher.script=true prints what would be submitted, launcher.cluster=local tries it out"
            )

    @property
    def limits(self) -> Limits:
        """How many at once and how often; the queue keeps the time."""
        return Limits(self.workers, self.retries, None)

    def launch(self, jobs: Sequence[Job], scene: Scene, progress: Progress) -> Runner:
        """Run what is not finished, and return what gives the frames of each job."""
        return launched(self, jobs, scene, progress)

    def leave(self, jobs: Sequence[Job], scene: Scene, progress: Progress) -> str:
        """Begin what is not finished, and return a line about it at once; or the script that would be submitted."""
        if self.script:
            return self.text(Path(jobs[0].config["output"]) / QUEUE)
        return left(self, jobs, scene, progress)

    def begin(self, task: Task, resume: bool) -> Submitted:
        """Submit a task."""
        folder = task.file.parent / QUEUE
        executor = _submitit().AutoExecutor(folder=folder, cluster=self.cluster)
        with self._explained():
            executor.update_parameters(**self._options(task.folder.name))
        with _reachable():
            return Submitted(executor.submit(Work(self.cpus or THREADS), str(task.file.absolute()), resume))

    def release(self) -> None:
        """Do nothing: a job of the queue is for one task."""

    def text(self, folder: Path) -> str:
        """Return the script of a job as it would be submitted.

        Args:
            folder: where its words would go.
        """
        from submitit.slurm.slurm import _convert_mem, _make_sbatch_string

        options = {k.removeprefix("slurm_"): v for k, v in self._options("gnnrec").items()}
        renamed = {"timeout_min": "time", "mem_gb": "mem", "name": "job_name"}
        options = {renamed.get(key, key): value for key, value in options.items()}
        options["mem"] = _convert_mem(self.memory)
        command = f"{sys.executable} -u -m submitit.core._submit {folder.absolute()}"
        with self._explained():
            return str(_make_sbatch_string(command=command, folder=folder, **options))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say of an option that submitit does not take where it stands."""
        try:
            yield
        except (TypeError, ValueError, NameError) as error:
            raise GnnrecError(f"launcher.more={self.more}: {one_line(str(error))}") from error

    def _options(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = {
            "name": name,
            "timeout_min": self.minutes,
            "mem_gb": self.memory,
            "cpus_per_task": self.cpus or THREADS,
        }
        found |= {"gpus_per_node": self.gpus} if self.gpus else {}
        found |= {"slurm_partition": self.partition} if self.partition else {}
        return {**found, **(self.more or {})}


class Work:
    """What a job of the queue does: a worker in a process of its own, ended in order when the queue warns."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def __call__(self, file: str, resume: bool) -> int:
        """Return the exit code of the worker at a task."""
        words = Path(file).with_suffix(".log").open("ab")
        command = [sys.executable, "-m", "gnnrec.launching.worker", file, "--tied", *(["--resume"] if resume else [])]
        with words:
            self.worker = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=words, stderr=words, env=environment(self.threads)
            )
        try:
            return self.worker.wait()
        except KeyboardInterrupt:  # how submitit's local queue takes a job back
            self.worker.terminate()
            return self.worker.wait()

    def checkpoint(self, file: str, resume: bool) -> Any:
        """Return what is to be submitted in the place of a job that is preempted or out of time."""
        # Called by a signal's handler, in the middle of the wait above, whose lock another wait would not get.
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.worker.pid, signal.SIGTERM)
            os.waitpid(self.worker.pid, 0)
        return _submitit().helpers.DelayedSubmission(Work(self.threads), file, True)


class Submitted:
    """A job of the queue."""

    def __init__(self, job: Any) -> None:
        self.job = job

    def ended(self) -> bool:
        """Return whether the queue has done with it."""
        return bool(self.job.done())

    def stop(self) -> None:
        """Take it out of the queue; SLURM asks its processes to end first."""
        self.job.cancel(check=False)

    def kill(self) -> None:
        """Take it out of the queue once more."""
        self.job.cancel(check=False)


@contextmanager
def _reachable() -> Iterator[None]:
    """Let a job find the modules of this process: a queue hands the environment on."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = environment()["PYTHONPATH"]
    try:
        yield
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before


def _submitit() -> Any:
    try:
        import submitit
    except ImportError as error:
        raise GnnrecError("launcher=slurm needs submitit: pip install 'gnnrec[slurm]'") from error
    return submitit
