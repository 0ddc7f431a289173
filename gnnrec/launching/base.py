"""What a launcher is: how the jobs of a command are run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gnnrec.config.instantiate import instantiate
from gnnrec.core.errors import GnnrecError
from gnnrec.launching.tasks import Task
from gnnrec.runs.build import Config, Scene
from gnnrec.runs.compare import Runner
from gnnrec.runs.job import Job
from gnnrec.runs.progress import Progress


class Launcher(Protocol):
    """Runs the jobs of one output folder."""

    @property
    def wait(self) -> bool:
        """Whether the command waits for its runs."""

    def launch(self, jobs: Sequence[Job], scene: Scene, progress: Progress) -> Runner:
        """Run what is not finished, and return what gives the frames of each job, or raises what ended it."""

    def leave(self, jobs: Sequence[Job], scene: Scene, progress: Progress) -> str:
        """Begin what is not finished, and return a line about it at once."""


class Attempt(Protocol):
    """One process, here or elsewhere, at a task."""

    def ended(self) -> bool:
        """Return whether it has ended, well or not."""

    def stop(self) -> None:
        """Ask it to end in order."""

    def kill(self) -> None:
        """End it at once."""


@runtime_checkable
class Place(Protocol):
    """Where tasks are worked on."""

    @property
    def limits(self) -> Limits:
        """How many at once, how often and how long."""

    def begin(self, task: Task, resume: bool) -> Attempt:
        """Begin a task, or with `resume` go on with it from its newest state."""

    def release(self) -> None:
        """Let go of what is kept for further tasks."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How tasks are worked on.

    Args:
        workers: tasks at once.
        retries: times that a task is taken up again after its process was killed.
        timeout: seconds that a try may take; None: any.
    """

    workers: int
    retries: int
    timeout: float | None

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise GnnrecError(f"launcher.workers={self.workers} must be 1 or more")
        if self.retries < 0:
            raise GnnrecError(f"launcher.retries={self.retries} must be 0 or more")
        if self.timeout is not None and not self.timeout > 0:
            raise GnnrecError(f"launcher.timeout={self.timeout} must be above 0 seconds, or null for any")


def launcher_of(config: Config) -> Launcher:
    """Return the launcher that a configuration names."""
    made: Launcher = instantiate(config["launcher"], config["plugins"]["allow"], at="launcher")
    return made
