"""Run folders: what is finished is not run again, what was cut off can go on.

output/base-seed0-<hash>/state/000000/            trained once per seed
output/<row>-seed0-<hash>/{config.yaml,status.json,results.parquet,…,state/}
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import traceback
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import filelock
import polars as pl
import yaml

from gnnrec import __version__
from gnnrec.config.instantiate import instantiate
from gnnrec.core import locks, resources, signals
from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.core.files import write_atomic
from gnnrec.data.types import Stream
from gnnrec.evaluation.record import Name, Record
from gnnrec.evaluation.reference import reference_rows
from gnnrec.runs import build, experiment, state
from gnnrec.runs.build import Config, Scene
from gnnrec.runs.progress import Progress
from gnnrec.training.checkpoint import FitCheckpoint
from gnnrec.training.loggers import LOGS, Tracker

TRACEBACK = "traceback.txt"
"""In the folder of a run that foreign code ended: where."""
EVERYBODY = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""What is wrong with a disk, and so with every run to come."""
TABLES = ("results", "per_user", "predictions")
Frames = dict[str, pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Job:
    """One row of a comparison and its configuration: a strategy under one seed."""

    row: str
    config: Config

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.config["seed"])

    @property
    def name(self) -> Name:
        """What its rows are called."""
        return Name(self.config["name"], self.row, self.seed)

    def folder(self, stream: Stream) -> Path:
        """Where the run lives; another setting is another folder."""
        digest = build.run_digest(self.config, stream)
        return Path(self.config["output"]) / f"{safe(self.row)}-seed{self.seed}-{digest}"


def safe(name: str) -> str:
    """Return `name` with everything but letters, digits and a few signs replaced, for use in a path."""
    return "".join(c if c.isalnum() or c in "-_=,.[]" else "_" for c in name).lstrip(".") or "_"


def finished(folder: Path) -> bool:
    """Return whether the run in `folder` ended well."""
    return _standing(folder) == "done"


def _standing(folder: Path) -> str | None:
    """Return "running", "interrupted", "failed", "failed: oom" or "done"; None: no run has begun in `folder`."""
    path = folder / "status.json"
    return str(json.loads(path.read_text()).get("status")) if path.is_file() else None


def run_job(job: Job, scene: Scene, progress: Progress) -> Frames:
    """Return the frames of a run, from its folder where it is finished."""
    folder = job.folder(scene.setting.stream)
    with locked(folder):
        if not finished(folder):
            with _ending_noted(job, scene, folder), resources.told(f"{job.row}, seed {job.seed}"):
                _run(job, scene, folder, progress)
        return named(read_frames(folder), job.name)


def _run(job: Job, scene: Scene, folder: Path, progress: Progress) -> None:
    resume = bool(job.config["resume"])
    if (standing := _standing(folder)) is not None:
        now = "going on from its newest state" if resume else "starting it again (resume=true goes on instead)"
        # Its lock is free: no process is at it any more, and the last one had no time to say so.
        earlier = f"killed, perhaps for want of memory ({resources.LOWER})" if standing == "running" else standing
        progress.say(f"{folder.name}: begun earlier and {earlier}; {now}")
    if not resume and (folder / "state").exists():
        shutil.rmtree(folder / "state")
    (folder / TRACEBACK).unlink(missing_ok=True)
    write_atomic(folder / "config.yaml", yaml.safe_dump(dict(job.config), sort_keys=False, allow_unicode=True))
    _status(folder, "running", scene, job.config)
    learner, strategy = build.learner(job.config, scene.setting), build.strategy(job.config)
    base = base_state(job, scene, progress)
    identity = _log_identity(folder, resume)
    with (
        progress.job(job.row, job.seed, len(scene.setting.stream.increments) - 1, learner) as bar,
        Tracker.open(job.config, job.row, folder, identity) as tracker,
    ):

        def told(t: int, record: Record) -> None:
            bar.increment(t)
            tracker.increment(t, record)
            signals.check()

        def told_before(t: int, record: Record) -> None:
            bar.go_on(t)
            for earlier in range(1, t + 1):
                tracker.increment(earlier, record)

        record = experiment.run(
            learner, strategy, scene.setting, job.name, base, folder / "state", told, on_resume=told_before
        )
    write_frames(folder, record.frames())
    _status(folder, "done", scene, job.config)


def _log_identity(folder: Path, resume: bool) -> str:
    """Return the id of a run at its logger, the same for one that goes on, and remove what was logged: it is logged again."""
    for name in LOGS:
        shutil.rmtree(folder / name, ignore_errors=True)
    path = folder / ".log-id"
    if not (resume and path.is_file()):
        write_atomic(path, secrets.token_hex(8))
    return path.read_text()


@contextmanager
def _ending_noted(job: Job, scene: Scene, folder: Path) -> Iterator[None]:
    """Have status.json say how a run ended that does not end well."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"{job.row}, seed {job.seed}")
        if signals.received(error):
            how = "interrupted"
        else:
            how = "failed: oom" if isinstance(error, resources.MemoryShortError) else "failed"
            if isinstance(error, Exception) and not isinstance(error, GnnrecError):
                with suppress(OSError):
                    write_atomic(folder / TRACEBACK, "".join(traceback.format_exception(error)))
        if not finished(folder):
            with suppress(OSError):  # the error itself says more
                _status(folder, how, scene, job.config)
        raise


def failure(job: Job, scene: Scene, error: Exception) -> GnnrecError:
    """Return what ended a run as one line; what its folder holds of it is named.

    Raises:
        Exception: the error itself, where it ends the command.
    """
    if signals.received(error) or os.environ.get("GNNREC_DEBUG"):
        raise error
    if resources.of_files(error) or getattr(error, "errno", None) in EVERYBODY:
        raise error
    who = f"{job.row}, seed {job.seed} failed"
    if isinstance(error, GnnrecError):
        return GnnrecError(f"{who}: {one_line(str(error))}")
    what = one_line(f"{type(error).__name__}: {error}")
    return GnnrecError(f"{who}: {what}; see {job.folder(scene.setting.stream) / TRACEBACK}")


def base_state(job: Job, scene: Scene, progress: Progress) -> state.State:
    """Return the base model's state, trained at most once per data, configuration and seed."""
    signals.check()
    digest = build.base_digest(job.config, scene.setting.stream)
    folder = Path(job.config["output"]) / f"base-seed{job.seed}-{digest}"
    with locked(folder, wait=progress):
        found = state.load_newest(folder / "state")
        if found is None:
            learner = build.learner(job.config, scene.setting)
            learner.checkpoint = FitCheckpoint(folder / "fit.checkpoint")
            begun = "going on with a fit that was cut off" if learner.checkpoint.path.is_file() else "fitting"
            events = len(scene.setting.stream.increments[0].observed.train)
            progress.say(f"base, seed {job.seed}: {begun}, {events:,} events")
            name = Name(job.config["name"], "base", job.seed)
            with progress.job("base", job.seed, 0, learner) as bar:
                found = experiment.train_base(learner, replace_keep(scene), name, folder / "state")
                bar.increment(0)
            learner.checkpoint.remove()
        return found


def replace_keep(scene: Scene) -> experiment.Setting:
    """Return the setting with every state kept: the base has one, and it stays."""
    return replace(scene.setting, keep=0)


def references(config: Config, scene: Scene, progress: Progress) -> Frames:
    """Return the reference rows, computed once per data and evaluation."""
    stream, measure = scene.setting.stream, scene.setting.measure
    folder = Path(config["output"]) / f"references-{build.reference_digest(config, stream)}"
    with locked(folder, wait=progress):
        if not finished(folder):
            progress.say("reference rows: popularity, decayed popularity, ItemKNN, their blend, predictors of values")
            grid = instantiate(config["scorer"]["grid"], at="scorer.grid")
            write_frames(folder, reference_rows(config["name"], stream, scene.setting.worlds, measure, grid))
            _status(folder, "done", scene, config)
        frames = read_frames(folder)
        return {**frames, "results": frames["results"].with_columns(experiment=pl.lit(config["name"]))}


def check_versions(output: Path, stream: Stream) -> None:
    """Refuse to add runs on these versions of a store to an output folder with runs on others.

    Raises:
        GnnrecError: it holds such runs; the message says how the versions differ.
    """
    now = {str(number): content for number, content in stream.versions.items()}
    for path in sorted(output.glob("*/status.json")) if now else ():
        then = json.loads(path.read_text()).get("versions", {})
        if then and then != now:
            raise GnnrecError(
                f"{output} holds runs on other data: {differing(then, now)}; go on with them by "
                f"data.version={max(map(int, then))} where no version was changed, or choose another output="
            )


def differing(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Return how the versions of a store that two runs saw differ."""
    changed = [v for v in then if v in now and then[v] != now[v]]
    parts = [f"versions {_span(then)} then, {_span(now)} now"]
    if changed:
        number = changed[0]
        parts.append(f"version {number} was {then[number][:12]} and is {now[number][:12]} (erased from, or made anew)")
    return "; ".join(parts)


def _span(versions: Mapping[str, str]) -> str:
    numbers = sorted(map(int, versions))
    return f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else str(numbers[0])


def named(frames: Frames, name: Name) -> Frames:
    """Return the frames of a run under this name, whatever it was called when it ran."""
    return Record.of(name, frames).frames()


def locked(folder: Path, wait: Progress | None = None) -> AbstractContextManager[object]:
    """Return the lock of a folder, held.

    Args:
        folder: of one run: a second process is refused rather than left waiting. Of what runs share: see `wait`.
        wait: where to say that another process has it, before waiting for that process.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        locks.check_renames(folder)
        return locks.take(folder / ".lock")
    except filelock.Timeout as error:
        if wait is not None:
            wait.say(f"{folder.name}: another process is at it; waiting")
            return locks.take(folder / ".lock", timeout=-1)
        raise GnnrecError(f"{folder} is in use by another process; wait for it, or choose another output=") from error
    except OSError as error:
        raise GnnrecError(
            f"output={folder.parent} cannot be written: {error.strerror}; choose another output="
        ) from error


def write_frames(folder: Path, frames: Frames) -> None:
    """Write the tables of a run or of a comparison."""
    for table, frame in frames.items():
        buffer = BytesIO()
        frame.write_parquet(buffer)
        write_atomic(folder / f"{table}.parquet", buffer.getvalue())


def read_frames(folder: Path) -> Frames:
    """Return the tables of a finished run."""
    return {table: pl.read_parquet(folder / f"{table}.parquet", glob=False) for table in TABLES}


def _status(folder: Path, status: str, scene: Scene, config: Config) -> None:
    stream = scene.setting.stream
    made = {"protocol": build.protocol_hash(config), "gnnrec": __version__}
    content: dict[str, Any] = {"status": status, "fingerprint": stream.fingerprint, **made}
    if stream.versions:
        content["versions"] = {str(number): content_hash for number, content_hash in stream.versions.items()}
    write_atomic(folder / "status.json", json.dumps(content, indent=1))
