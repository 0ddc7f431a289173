"""Run folders: whether a run is finished, its tables, its lock, and the versions of a store that it saw.

output/base-seed0-<hash>/{fit.checkpoint,state/000000/}                          trained once per seed
output/<row>-seed0-<hash>/{config.yaml,status.json,results.parquet,…,state/}     a run; traceback.txt where it failed
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from typing import Any

import filelock
import polars as pl

from gnnrec import __version__
from gnnrec.core import locks
from gnnrec.core.errors import GnnrecError
from gnnrec.core.files import write_atomic
from gnnrec.data.types import Stream
from gnnrec.evaluation.record import Name, Record
from gnnrec.runs import build
from gnnrec.runs.build import Config, Scene
from gnnrec.runs.progress import Progress

TABLES = ("results", "per_user", "predictions")
EXAMPLES = "examples"
"""A table that runs have which score an update: the lists of a few users."""
Frames = dict[str, pl.DataFrame]


def safe(name: str) -> str:
    """Return `name` with everything but letters, digits and a few signs replaced, for use in a path."""
    return "".join(c if c.isalnum() or c in "-_=,.[]" else "_" for c in name).lstrip(".") or "_"


def finished(folder: Path) -> bool:
    """Return whether the run in `folder` ended well."""
    return standing(folder) == "done"


def standing(folder: Path) -> str | None:
    """Return "running", "interrupted", "failed", "failed: oom" or "done"; None: no run has begun in `folder`."""
    path = folder / "status.json"
    return str(json.loads(path.read_text()).get("status")) if path.is_file() else None


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


def locked(folder: Path, wait: Progress | None = None) -> AbstractContextManager[object]:
    """Return the lock of a folder, held.

    Args:
        folder: of one run: a second process is refused rather than left waiting. Of what runs share: see `wait`.
        wait: where to say that another process has it, before waiting for that process.
    """
    path = folder / locks.LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        locks.check_renames(folder)
        held = locks.take(path)
    except filelock.Timeout as error:
        if wait is None:
            who = locks.holder(path)
            raise GnnrecError(f"{folder} is in use by {who}; wait for it, or choose another output=") from error
        wait.say(f"{folder.resolve().name}: another process is at it; waiting")
        held = locks.take(path, timeout=-1)
    except OSError as error:
        raise GnnrecError(f"{folder} cannot be written: {error.strerror}; choose another output=") from error
    locks.sign(path)
    return held


def write_frames(folder: Path, frames: Frames) -> None:
    """Write the tables of a run or of a comparison."""
    for table, frame in frames.items():
        buffer = BytesIO()
        frame.write_parquet(buffer)
        write_atomic(folder / f"{table}.parquet", buffer.getvalue())


def read_frames(folder: Path) -> Frames:
    """Return the tables of a finished run; runs of older versions have no examples."""
    there = [EXAMPLES] if (folder / f"{EXAMPLES}.parquet").is_file() else []
    return {table: pl.read_parquet(folder / f"{table}.parquet", glob=False) for table in (*TABLES, *there)}


def named(frames: Frames, name: Name) -> Frames:
    """Return the frames of a run under this name, whatever it was called when it ran."""
    return Record.of(name, frames).frames()


def note_status(folder: Path, status: str, scene: Scene, config: Config) -> None:
    """Write how a run stands, and by which data, protocol and version it is what it is."""
    stream = scene.setting.stream
    made = {"protocol": build.protocol_hash(config), "settings": build.settings_hash(config), "gnnrec": __version__}
    content: dict[str, Any] = {"status": status, "fingerprint": stream.fingerprint, **made}
    if stream.versions:
        content["versions"] = {str(number): content_hash for number, content_hash in stream.versions.items()}
    write_atomic(folder / "status.json", json.dumps(content, indent=1))
