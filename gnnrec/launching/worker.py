"""`python -m gnnrec.launching.worker FILE`: one task in a process of its own, from the file that a launch has written."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from gnnrec.core import allocator, signals
from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.core.files import write_atomic
from gnnrec.launching.tasks import BASE, REFERENCES, RUN
from gnnrec.runs import build
from gnnrec.runs.build import Scene
from gnnrec.runs.job import Job, failure, run_job
from gnnrec.runs.progress import Progress
from gnnrec.runs.shared import base_folder, base_state, references, references_folder

KINDS: Mapping[str, tuple[Callable[[Job, Scene], Path], Callable[[Job, Scene, Progress], object]]] = {
    RUN: (lambda job, scene: job.folder(scene.setting.stream), run_job),
    BASE: (
        lambda job, scene: base_folder(job.config, scene.setting.stream),
        lambda job, scene, progress: base_state(job.config, scene, progress),
    ),
    REFERENCES: (
        lambda job, scene: references_folder(job.config, scene.setting.stream),
        lambda job, scene, progress: references(job.config, scene, progress),
    ),
}
"""Where the work of a kind goes, and who does it."""
TRACEBACK = ".traceback.txt"
"""Beside what is handed over, where foreign code ended anything but a run."""


def main(argv: Sequence[str] | None = None) -> int:
    """Work on a task and return the exit code: 0 well, 1 failed and said why, 128 and a signal's number interrupted."""
    parser = argparse.ArgumentParser(prog="gnnrec.launching.worker")
    parser.add_argument("file", type=Path)
    parser.add_argument("--resume", action="store_true", help="go on from the newest state")
    parser.add_argument("--tied", action="store_true", help="end in order once standard input is closed")
    given = parser.parse_args(argv)
    try:
        with signals.watched():
            if given.tied:
                # A queue warns the one that began this process, and all of its.
                signal.signal(signal.SIGUSR2, signal.SIG_IGN)
                threading.Thread(target=_end_with_parent, daemon=True).start()
            return _work(given.file, given.resume)
    except (signals.Interrupted, KeyboardInterrupt) as error:
        return 128 + (signals.received(error) or signal.SIGTERM)


def _end_with_parent() -> None:
    """Interrupt this process once the one that began it is no more: nobody would collect what it makes."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _work(file: Path, resume: bool) -> int:
    handed = yaml.safe_load(file.read_text(encoding="utf-8"))
    config = {**handed["config"], **({"resume": True} if resume else {})}
    job = Job(handed["row"], config)
    scene: Scene | None = None
    allocator.retain_large_blocks()
    if handed["threads"]:  # else as whoever began this process has set its environment
        torch.set_num_threads(int(handed["threads"]))
    try:
        scene = build.scene(config)
        place, work = KINDS[handed["kind"]]
        if (now := place(job, scene).name) != handed["folder"]:
            raise GnnrecError(f"data or code have changed since this was launched: {handed['folder']} then, {now} now")
        work(job, scene, Progress())
    except BaseException as error:
        if signals.received(error):
            raise
        said = _said(job, scene, error)
        noted = handed["kind"] == RUN and scene is not None and isinstance(error, Exception)  # in the run's own folder
        if not (noted or said.get("ends") or isinstance(error, GnnrecError)):
            said["error"] = _traced(error, file.with_suffix(TRACEBACK))
        write_atomic(file.with_suffix(".json"), json.dumps(said))
        return 1
    return 0


def _line(error: BaseException) -> str:
    return one_line(str(error) if isinstance(error, GnnrecError) else f"{type(error).__name__}: {error}")


def _traced(error: BaseException, path: Path) -> str:
    """Return a line about what foreign code raised; where, is written to a file."""
    write_atomic(path, "".join(traceback.format_exception(error)))
    return f"{_line(error)}; see {path}"


def _said(job: Job, scene: Scene | None, error: BaseException) -> dict[str, Any]:
    """Return what the command is to know of an error: a line, and whether it ends every other run too."""
    line = _line(error)
    if scene is None or not isinstance(error, Exception):
        return {"error": line}
    try:
        return {"error": str(failure(job, scene, error)).removeprefix(f"{job.row}, seed {job.seed} failed: ")}
    except Exception:  # the same error again: it would end the next run as well
        return {"error": line, "ends": True, "errno": getattr(error, "errno", None), "file": _file(error)}


def _file(error: Exception) -> str | None:
    name = getattr(error, "filename", None)
    return None if name is None else str(name)


if __name__ == "__main__":
    sys.exit(main())
