"""What a launch hands over: a file per job in a folder of its own, where what becomes of the job is written beside it.

output/launch-<when>-<hex>/launch.json           the launcher and its tasks; whoever drives them holds the folder's lock
output/launch-<when>-<hex>/0001-<folder>.yaml    a job; its words in .log, why it has failed in .json
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gnnrec.core.errors import GnnrecError
from gnnrec.core.files import write_atomic
from gnnrec.runs.build import Config, Scene
from gnnrec.runs.folder import finished
from gnnrec.runs.job import Job
from gnnrec.runs.point import values_file
from gnnrec.runs.shared import MODEL, base_folder, references_folder

FOLDERS, LAUNCH = "launch-", "launch.json"
BASE, REFERENCES, RUN, POINT = "base", "references", "run", "point"


@dataclass(frozen=True, slots=True)
class Task:
    """One job of a launch.

    Attributes:
        name: row and seed, as lines of progress begin.
        kind: what is made: a run, the base of several, the reference rows, or a point of a sweep.
        folder: where it is made.
        file: what is handed over.
        after: folder of the base that must be there first.
        last: increment up to which a point is measured; None: no point.
    """

    name: str
    kind: str
    folder: Path
    file: Path
    after: Path | None = None
    last: int | None = None

    @property
    def log(self) -> Path:
        """What its processes write."""
        return self.file.with_suffix(".log")

    @property
    def failure(self) -> Path:
        """Why it has failed, where it has."""
        return self.file.with_suffix(".json")

    @property
    def made(self) -> bool:
        """Whether it is there."""
        return is_made(self.folder) if self.last is None else values_file(self.folder, self.last).is_file()


@dataclass(frozen=True, slots=True)
class Launch:
    """The tasks of one call of a launcher, and the launcher as it is configured."""

    folder: Path
    launcher: Config
    plugins: tuple[str, ...]
    tasks: tuple[Task, ...]


def is_made(folder: Path) -> bool:
    """Return whether the run, base or reference rows of a folder are there."""
    return finished(folder) or (folder / MODEL).is_file()


def hand_over(jobs: Sequence[Job], scene: Scene) -> Launch | None:
    """Write what the jobs that are not finished need, bases first; None: all are finished.

    Args:
        jobs: of one output folder.
        scene: data and stream of all.
    """
    stream = scene.setting.stream
    missing = [job for job in jobs if not is_made(job.folder(stream))]
    if not missing:
        return None
    config = missing[0].config
    output = Path(config["output"])
    folder = output / f"{FOLDERS}{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    asked: dict[Path, tuple[str, str, Job, Path | None]] = {}
    for job in missing:
        if not is_made(base := base_folder(job.config, stream)):
            asked.setdefault(base, (f"base, seed {job.seed}", BASE, job, None))
    for job in missing:
        own = base_folder(job.config, stream)
        asked[job.folder(stream)] = (f"{job.row}, seed {job.seed}", RUN, job, own if own in asked else None)
    # The shortest last: it fills what the runs leave of the last round.
    asked.setdefault(references_folder(config, stream), ("reference rows", REFERENCES, missing[0], None))
    tasks = []
    for n, (place, (name, kind, job, after)) in enumerate(asked.items()):
        file = folder / f"{n:04d}-{place.name[:150]}.yaml"
        write_task(file, kind, job, place)
        tasks.append(Task(name, kind, place, file, after))
    made = Launch(folder, config["launcher"], tuple(config["plugins"]["allow"]), tuple(tasks))
    write_atomic(folder / LAUNCH, json.dumps(_plain(made), indent=1))
    return made


def write_task(file: Path, kind: str, job: Job, place: Path, **more: Any) -> None:
    """Write what the process that works on a task is handed."""
    handed = {"kind": kind, "row": job.row, "folder": place.name, "threads": job.config["threads"], **more}
    write_atomic(file, yaml.safe_dump({**handed, "config": dict(job.config)}, sort_keys=False, allow_unicode=True))


def read(folder: Path) -> Launch:
    """Return a launch as it was handed over.

    Raises:
        GnnrecError: there is none, or it is damaged.
    """
    try:
        content = json.loads((folder / LAUNCH).read_text())
        tasks = tuple(_task(folder, fields) for fields in content["tasks"])
        return Launch(folder, content["launcher"], tuple(content["plugins"]), tasks)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GnnrecError(f"{folder} is no launch, or damaged: {error}; remove it, its runs stay") from error


def launches(output: Path) -> list[Launch]:
    """Return the launches in an output folder, oldest first."""
    return [read(path.parent) for path in sorted(output.glob(f"{FOLDERS}*/{LAUNCH}"))]


def note_failure(task: Task, reason: str, **more: Any) -> None:
    """Write why a task has failed."""
    write_atomic(task.failure, json.dumps({"error": reason, **more}))


def failure_of(task: Task) -> Mapping[str, Any] | None:
    """Return why a task has failed; None: it has not, or had no time to say so."""
    try:
        found: Mapping[str, Any] = json.loads(task.failure.read_text())
        return found
    except (OSError, ValueError):
        return None


def _plain(launch: Launch) -> dict[str, Any]:
    tasks = [
        {
            "name": t.name,
            "kind": t.kind,
            "folder": t.folder.name,
            "file": t.file.name,
            "after": t.after and t.after.name,
        }
        for t in launch.tasks
    ]
    return {"launcher": launch.launcher, "plugins": launch.plugins, "tasks": tasks}


def _task(folder: Path, fields: Mapping[str, Any]) -> Task:
    output, after = folder.parent, fields["after"]
    place = output / fields["folder"]
    return Task(fields["name"], fields["kind"], place, folder / fields["file"], output / after if after else None)
