"""Points as tasks of a launcher: several in flight at once, each in a process that knows nothing of the study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gnnrec.core.errors import GnnrecError
from gnnrec.launching.base import Launcher, Place
from gnnrec.launching.supervise import Supervisor
from gnnrec.launching.tasks import BASE, POINT, Task, failure_of, is_made, write_task
from gnnrec.runs.build import Scene
from gnnrec.runs.job import Job
from gnnrec.runs.point import point_folder, read_values, values_file
from gnnrec.runs.progress import Progress
from gnnrec.runs.shared import base_folder
from gnnrec.sweeping.crew import Alone, Crew, Measurement, Outcome


def check_waits(launcher: Launcher) -> None:
    """Refuse a launcher that leaves its runs.

    Raises:
        GnnrecError: it does not wait for them.
    """
    if not launcher.wait:
        raise GnnrecError(
            "launcher.wait=false leaves runs to themselves, but a sweep chooses a point by what others have come to: "
            "leave it out (`nohup gnnrec sweep … &` outlives a terminal, and a killed sweep is gone on with)"
        )


def crew_of(launcher: Launcher, scene: Scene, progress: Progress) -> Crew:
    """Return who measures the points of a sweep under a launcher."""
    return Beside(launcher, scene, progress) if isinstance(launcher, Place) else Alone(scene, progress)


class Beside:
    """Several measurements beside each other, by a launcher's processes or queue.

    Args:
        place: where they are worked on.
        scene: data and whole stream.
        progress: where to show it.
    """

    def __init__(self, place: Place, scene: Scene, progress: Progress) -> None:
        self.place, self.scene = place, scene
        self.supervisor = Supervisor([], place, self._quiet(progress.say))
        self.at_work: dict[Path, Measurement] = {}
        self.bases: set[Path] = set()

    @property
    def room(self) -> int:
        """Measurements that are taken up at once."""
        return self.place.limits.workers

    def begin(self, step: Measurement) -> None:
        """Write what a process is handed, the base of the point first, and queue it."""
        stream = self.scene.setting.stream
        folder, base = point_folder(step.job, stream), base_folder(step.job.config, stream)
        if base not in self.bases and not is_made(base):
            self.bases.add(base)
            self.supervisor.add(self._base(base, folder.parent.parent / "bases", step.job))
        file = folder / f"task-{step.last}.yaml"
        write_task(file, POINT, step.job, folder, last=step.last, keep=step.keep)
        name = f"{step.text.partition(',')[0]}, seed {step.job.seed}"
        task = Task(name, POINT, folder, file, base, step.last)
        task.failure.unlink(missing_ok=True)
        self.at_work[file] = step
        self.supervisor.add(task)

    def _base(self, base: Path, beside: Path, job: Job) -> Task:
        file = beside / f"{base.name}.yaml"
        write_task(file, BASE, job, base)
        return Task(f"base, seed {job.seed}", BASE, base, file)

    def ended(self) -> list[Outcome]:
        """Wait until some measurements have ended, and return them."""
        while True:
            found = [task for task in self.supervisor.settled if task.kind == POINT]
            self.supervisor.settled.clear()
            if found:
                return [self._outcome(task, self.at_work.pop(task.file)) for task in found]
            self.supervisor.turn()

    def _outcome(self, task: Task, step: Measurement) -> Outcome:
        if task.made:
            return Outcome(step, read_values(values_file(task.folder, step.last)))
        failure = failure_of(task) or {}
        return Outcome(step, None, str(failure.get("error", "ended without a word")))

    def stop(self, error: BaseException) -> None:
        """End all processes in order."""
        self.supervisor.stop(error)

    def close(self) -> None:
        """End the processes that have nothing to do."""
        self.place.release()

    @staticmethod
    def _quiet(say: Callable[[str], None]) -> Callable[[str], None]:
        """Return what says less: a point's own lines are in its log, what it came to is said by the search."""
        return lambda line: None if line.startswith("trial ") and ": killed;" not in line else say(line)
