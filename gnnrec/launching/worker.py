"""`python -m gnnrec.launching.worker FILE`: a task in a process of its own, from the file that a launch has written.

With `--serve N` it works on one task after the other: a line of JSON on standard input names the file, and how it ended is
written to file descriptor N. It imports once, and reads the log once for tasks that share it.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import queue
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
from gnnrec.launching.tasks import BASE, POINT, REFERENCES, RUN
from gnnrec.runs import build
from gnnrec.runs.build import Scene
from gnnrec.runs.job import Job, failure, run_job
from gnnrec.runs.point import measured, point_folder
from gnnrec.runs.progress import Progress
from gnnrec.runs.shared import base_folder, base_state, references, references_folder

Handed = Mapping[str, Any]
KINDS: Mapping[str, tuple[Callable[[Job, Scene], Path], Callable[[Job, Scene, Progress, Handed], object]]] = {
    RUN: (
        lambda job, scene: job.folder(scene.setting.stream),
        lambda job, scene, progress, handed: run_job(job, scene, progress),
    ),
    BASE: (
        lambda job, scene: base_folder(job.config, scene.setting.stream),
        lambda job, scene, progress, handed: base_state(job.config, scene, progress),
    ),
    REFERENCES: (
        lambda job, scene: references_folder(job.config, scene.setting.stream),
        lambda job, scene, progress, handed: references(job.config, scene, progress),
    ),
    POINT: (
        lambda job, scene: point_folder(job, scene.setting.stream),
        lambda job, scene, progress, handed: measured(job, scene, handed["last"], progress, handed["keep"]),
    ),
}
"""Where the work of a kind goes, and who does it."""
SHARED = ("data", "stream", "evaluation", "scorer", "state", "trainer", "privacy", "plugins")
"""Keys that a scene is made of."""
TRACEBACK = ".traceback.txt"
"""Beside what is handed over, where foreign code ended anything but a run."""


def main(argv: Sequence[str] | None = None) -> int:
    """Work on a task and return the exit code: 0 well, 1 failed and said why, 128 and a signal's number interrupted."""
    parser = argparse.ArgumentParser(prog="gnnrec.launching.worker")
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument(
        "--serve", type=int, help="work on the tasks that standard input names; say here how each ended"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the newest state")
    parser.add_argument("--tied", action="store_true", help="end in order once standard input is closed")
    given = parser.parse_args(argv)
    try:
        with signals.watched():
            # A queue warns the one that began this process, and all of its.
            if given.tied or given.serve is not None:
                signal.signal(signal.SIGUSR2, signal.SIG_IGN)
            if given.serve is not None:
                return _serve(given.serve)
            if given.tied:
                threading.Thread(target=_orders, args=(queue.SimpleQueue(),), daemon=True).start()
            return Worked().work(given.file, given.resume)
    except (signals.Interrupted, KeyboardInterrupt) as error:
        return 128 + (signals.received(error) or signal.SIGTERM)


def _serve(answers: int) -> int:
    """Work on one task after the other until one does not end well, or nobody is there any more to hand over another."""
    orders: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_orders, args=(orders,), daemon=True).start()
    worked = Worked()
    while True:
        order = json.loads(orders.get())
        file = Path(order["file"])
        words = os.open(file.with_suffix(".log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        for handle in (1, 2):
            os.dup2(words, handle)
        os.close(words)
        code = worked.work(file, order["resume"])
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(answers, f"{code}\n".encode())
        if code:
            return code
        gc.collect()


def _orders(orders: queue.SimpleQueue[str]) -> None:
    """Pass on the lines of standard input; interrupt this process once the one that began it is no more: nobody would
    collect what it makes.
    """
    rest = b""
    while came := os.read(0, 65536):
        *lines, rest = (rest + came).split(b"\n")
        for line in lines:
            orders.put(line.decode())
    os.kill(os.getpid(), signal.SIGTERM)


class Worked:
    """Works on tasks; the scene of the newest is kept for the next that shares it."""

    def __init__(self) -> None:
        self.of = ""
        self.scene: Scene | None = None
        allocator.retain_large_blocks()

    def work(self, file: Path, resume: bool) -> int:
        """Work on a task and return 0, or 1 where it has failed and said why."""
        handed = yaml.safe_load(file.read_text(encoding="utf-8"))
        config = {**handed["config"], **({"resume": True} if resume else {})}
        job = Job(handed["row"], config)
        scene: Scene | None = None
        if handed["threads"]:  # else as whoever began this process has set its environment
            torch.set_num_threads(int(handed["threads"]))
        try:
            scene = self._scene(config)
            place, make = KINDS[handed["kind"]]
            if (now := place(job, scene).name) != handed["folder"]:
                raise GnnrecError(
                    f"data or code have changed since this was launched: {handed['folder']} then, {now} now"
                )
            make(job, scene, Progress(), handed)
        except BaseException as error:
            if signals.received(error):
                raise
            said = _said(job, scene, error)
            # In the run's own folder.
            noted = handed["kind"] == RUN and scene is not None and isinstance(error, Exception)
            if not (noted or said.get("ends") or isinstance(error, GnnrecError)):
                said["error"] = _traced(error, file.with_suffix(TRACEBACK))
            write_atomic(file.with_suffix(".json"), json.dumps(said))
            return 1
        return 0

    def _scene(self, config: Mapping[str, Any]) -> Scene:
        of = json.dumps([config.get(key) for key in SHARED], sort_keys=True, default=str)
        if self.scene is None or of != self.of:
            self.of, self.scene = "", None  # let go of the old one before the new one is read
            self.of, self.scene = of, build.scene(config)
        return self.scene


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
