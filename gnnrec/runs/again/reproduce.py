"""A finished run made again from what its folder says, elsewhere, and what differs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import torch

from gnnrec.core.environment import differing_leaves
from gnnrec.core.errors import GnnrecError
from gnnrec.runs import build
from gnnrec.runs.again import environment
from gnnrec.runs.again.compare import Compared, base_part, parts
from gnnrec.runs.again.environment import MadeBy
from gnnrec.runs.build import Scene
from gnnrec.runs.folder import TABLES, differing
from gnnrec.runs.job import Job, run_job
from gnnrec.runs.progress import Progress
from gnnrec.runs.saved import Saved, scene_now
from gnnrec.runs.shared import base_folder, base_state


@dataclass(frozen=True, slots=True)
class Reproduction:
    """How a run and the same run made again compare.

    Attributes:
        parts: of both, in the order in which they were made; empty: it was not made again, as its data are others.
        causes: what the process differs in from the one that made the run: (data, code, environment, device or threads, how).
        unknown: of these what the run does not tell.
    """

    parts: tuple[Compared, ...]
    causes: tuple[tuple[str, str], ...]
    unknown: tuple[str, ...]

    @property
    def identical(self) -> bool:
        """Whether every part is equal to the bit."""
        return bool(self.parts) and all(part.same for part in self.parts)


def reproduce(
    run: Saved,
    progress: Progress,
    allow: Sequence[str] = (),
    data: Sequence[str] = (),
    keep: Path | None = None,
    threads: int | None = None,
) -> Reproduction:
    """Make a finished run again, base included, and compare what it left; its folder stays as it is.

    Args:
        run: as `saved.find` reads it.
        progress: where to show it.
        allow: prefixes of plug-ins that may be imported.
        data: where the log or the store lies now; none: where the run read it.
        keep: folder that what is made stays in, for a closer look; None: it is removed.
        threads: of torch; None: those that the run had.

    Raises:
        GnnrecError: the run is not finished, its configuration was changed, its plug-ins may not be imported, or `keep` is
            there already.
    """
    if not run.done:
        raise GnnrecError(f"{run.folder} is not finished: what it came to is not known; go on with it by resume=true")
    scene = scene_now(run, allow, data)
    if (now := scene.setting.stream.fingerprint) != run.fingerprint:
        return Reproduction((), (("data", _of_data(run, scene, now)),), ())
    noted, base = _noted(run, scene)
    least = int(run.config.get("privacy", {}).get("least_users", 1))
    with _folder(keep, run) as folder:
        config = {**run.config, "output": str(folder), "resume": False, "logger": {"kind": "none"}}
        with _threads(threads or environment.threads_of(base or noted, config)):
            base_by = environment.described(config)
            base_state(config, scene, progress)
        with _threads(threads or environment.threads_of(noted, config)):
            made_by = environment.described(config)
            job = Job(_row(run), config)
            run_job(job, scene, progress)
        found = [
            *base_part(_base(run, scene), base_folder(config, scene.setting.stream)),
            *parts(run.folder, job.folder(scene.setting.stream), least),
        ]
    own = dict.fromkeys(_causes(noted, made_by))
    others = [(part, f"of the base: {how}") for part, how in _causes(base, base_by) if (part, how) not in own]
    return Reproduction(tuple(found), (*own, *dict.fromkeys(others)), () if noted else environment.PARTS)


def _of_data(run: Saved, scene: Scene, now: str) -> str:
    versions = {str(number): content for number, content in scene.setting.stream.versions.items()}
    if run.versions and versions and run.versions != versions:
        return differing(run.versions, versions)
    return f"fingerprint {run.fingerprint[:12]} then, {now[:12]} now"


def _noted(run: Saved, scene: Scene) -> tuple[list[MadeBy] | None, list[MadeBy] | None]:
    """Return what made a run and its base, None where it is not told.

    Raises:
        GnnrecError: by the same code, the configuration comes to another run.
    """
    noted, stream = environment.read(run.folder), scene.setting.stream
    now, same = build.run_digest(run.config, stream), environment.described(run.config)["code"]
    if noted and noted[-1]["code"] == same and noted[-1]["run"] != now:
        raise GnnrecError(
            f"{run.folder / 'config.yaml'} was changed since the run was made by it (run {noted[-1]['run']} then, {now} "
            "now); put it back, or run it again"
        )
    return noted, environment.read(_base(run, scene))


def _base(run: Saved, scene: Scene) -> Path:
    return base_folder({**run.config, "output": str(run.folder.resolve().parent)}, scene.setting.stream)


def _row(run: Saved) -> str:
    """Return what a run's rows are called."""
    for table in TABLES:
        try:
            return str(pl.read_parquet(run.folder / f"{table}.parquet", glob=False)["strategy"][0])
        except (OSError, IndexError, pl.exceptions.PolarsError):
            continue
    return run.folder.name.split("-seed")[0]


def _causes(noted: list[MadeBy] | None, now: MadeBy) -> Iterator[tuple[str, str]]:
    """Yield what the process differs in from those that made a run, of which there may be several."""
    noted = noted or []
    for then in noted:
        for part in environment.PARTS:
            yield from ((part, how) for how in differing_leaves(then[part], now[part]))
    for part in environment.PARTS:
        if any(then[part] != noted[-1][part] for then in noted):
            yield part, "the run was interrupted and gone on with under another one"


@contextmanager
def _folder(keep: Path | None, run: Saved) -> Iterator[Path]:
    """Yield where a run is made again: a folder that is removed, or the one that is to be kept."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="gnnrec-reproduce-") as name:
            yield Path(name)
        return
    if keep.exists() or run.folder.resolve() in keep.resolve().parents:
        raise GnnrecError(f"--keep {keep} is there already, or lies in the run; name a new folder outside of it")
    keep.mkdir(parents=True)
    yield keep


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Let torch use as many threads, where the number is known."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
