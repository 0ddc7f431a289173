"""Who measures points: this process, one after the other, or the tasks of a launcher, several beside each other."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gnnrec.core import resources
from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.core.files import write_atomic
from gnnrec.runs.build import Scene
from gnnrec.runs.job import TRACEBACK, Job, ends_all
from gnnrec.runs.point import PointValues, measured, point_folder
from gnnrec.runs.progress import Progress


@dataclass(frozen=True, slots=True)
class Measurement:
    """A point under one seed, to be measured up to increment `last`; what it is for, in words."""

    trial: int
    job: Job
    last: int
    keep: bool
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step has come to: values, or why it has none."""

    step: Measurement
    values: PointValues | None
    why: str = ""


class Crew(Protocol):
    """Works steps off."""

    @property
    def room(self) -> int:
        """Steps that it takes up at once."""

    def begin(self, step: Measurement) -> None:
        """Take up a step."""

    def ended(self) -> list[Outcome]:
        """Wait until some steps have ended, and return them."""

    def stop(self, error: BaseException) -> None:
        """Give up what has been begun, in order."""

    def close(self) -> None:
        """Let go of what is kept for further measurements."""


class Alone:
    """One step after the other, in this process.

    Args:
        scene: data and whole stream.
        progress: where to show it.
    """

    room = 1

    def __init__(self, scene: Scene, progress: Progress) -> None:
        self.scene, self.progress = scene, progress
        self.steps: list[Measurement] = []

    def begin(self, step: Measurement) -> None:
        """Take up a step."""
        self.steps.append(step)

    def ended(self) -> list[Outcome]:
        """Measure the next step."""
        step = self.steps.pop(0)
        try:
            with resources.told(step.text):
                return [Outcome(step, measured(step.job, self.scene, step.last, self.progress, step.keep))]
        except Exception as error:
            if ends_all(error):
                raise
            return [Outcome(step, None, self._explained(step, error))]

    def stop(self, error: BaseException) -> None:
        """Do nothing: what was at work has ended by the error."""

    def close(self) -> None:
        """Do nothing: nothing is kept."""

    def _explained(self, step: Measurement, error: Exception) -> str:
        if isinstance(error, GnnrecError):
            return one_line(str(error))
        path: Path = point_folder(step.job, self.scene.setting.stream) / TRACEBACK
        write_atomic(path, "".join(traceback.format_exception(error)))
        return one_line(f"{type(error).__name__}: {error}; see {path}")
