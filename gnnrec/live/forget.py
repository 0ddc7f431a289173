"""Forgetting: what has learnt events that were erased from the store is made anew, and equals what never saw them.

A run that had seen them is run again, from the base where that had not; a champion that had learnt them goes, the newest one
that had not serves again, and every round since is played once more, with the versions it had. All of it goes on where a kill
has cut it off.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import yaml

from gnnrec import __version__
from gnnrec.core.errors import GnnrecError
from gnnrec.core.files import write_atomic
from gnnrec.live.champion import LiveFolder
from gnnrec.live.health import changed
from gnnrec.live.journal import ACCEPTED, FORGOT, KEPT, Entry, lineage, now, standing
from gnnrec.live.run import Live, updater
from gnnrec.runs import saved, shared
from gnnrec.runs.build import Config, Scene
from gnnrec.runs.folder import locked
from gnnrec.runs.job import Job, run_job
from gnnrec.runs.progress import Progress
from gnnrec.runs.saved import Saved
from gnnrec.store import erase
from gnnrec.store.table import Store

STAGED = ".forgetting"
STAYS = (".lock", "live", "bundles", STAGED, "status.json")
"""In the folder of a run: what is not the run's own, or says last that it was made anew."""


def check_erased(store: Store, users: Sequence[str]) -> None:
    """Refuse to forget users whose events are still there.

    Raises:
        GnnrecError: names the command that erases them.
    """
    for user in users:
        if not erase.plan(store, user).empty:
            raise GnnrecError(
                f"the store {store.path} still holds events of '{user}'; first: "
                f"gnnrec data forget {store.path} --user '{user}' --yes"
            )


def remade(run: Saved, store: Path, allow: Sequence[str], progress: Progress) -> Saved:
    """Return the run, made anew in its place where its data have changed since."""
    scene = saved.scene_now(run, allow, [str(store)])
    stream, folder = scene.setting.stream, run.folder
    if stream.fingerprint != run.fingerprint:
        staged = folder / STAGED
        job = Job(_row(folder), {**run.config, "output": str(staged), "resume": True, "logger": {"kind": "none"}})
        for base in folder.parent.glob(f"base-seed{job.seed}-*"):
            shutil.copytree(
                base, staged / base.name, dirs_exist_ok=True
            )  # fitted on the same events, it is not fitted again
        run_job(job, scene, progress)
        _put(job.folder(stream), folder, run.config)
        _replace_shared(run, scene, staged, progress)
    if (folder / STAGED).exists():
        shutil.rmtree(folder / STAGED)
    return saved.find(folder)[0]


def _row(folder: Path) -> str:
    """Return what a run's rows are called."""
    return str(pl.read_parquet(folder / "results.parquet", glob=False)["strategy"][0])


def _put(new: Path, folder: Path, config: Config) -> None:
    """Put a run in the place of another; the status, which names its data, comes last."""
    for path in sorted(p for p in new.iterdir() if p.name not in STAYS):
        target = folder / path.name
        if path.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(path, target)
        else:
            write_atomic(target, path.read_bytes())
    write_atomic(folder / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))
    for path in [p for p in folder.iterdir() if p.name not in STAYS and not (new / p.name).exists()]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    write_atomic(folder / "status.json", (new / "status.json").read_bytes())


def _replace_shared(run: Saved, scene: Scene, staged: Path, progress: Progress) -> None:
    """Let the new base stay beside the run, and remove base and reference rows of data that are no more."""
    output, stream = run.folder.parent, scene.setting.stream
    before = replace(stream, fingerprint=run.fingerprint)
    mine = {**run.config, "output": str(output)}
    base = shared.base_folder(mine, stream)
    if not (base / "state").exists():
        shutil.copytree(staged / base.name, base, dirs_exist_ok=True)
    for old in (shared.base_folder(mine, before), shared.references_folder(mine, before)):
        if old.is_dir():
            with locked(old, wait=progress):
                shutil.rmtree(old)


def relearnt(folder: LiveFolder, store: Store, told: Callable[[Entry], None]) -> int:
    """Take back what a live run has learnt of changed versions, and play the rounds since again; return how many.

    Args:
        folder: of the live run.
        store: as it is now.
        told: of each decision.
    """
    entries, current = folder.journal.entries(), folder.number()
    came = standing(entries)
    first = next((k for k, e in enumerate(came) if changed(e, store.contents, folder.saved)), len(came))
    if first < len(came):
        made = [e.champion for e in came[:first] if e.outcome == ACCEPTED and folder.place(e.champion).is_dir()]
        back = made[-1] if made else 0
        reason = f"events were erased; what was learnt of them is made anew from champion {back}"
        entry = Entry(FORGOT, back, current, reason=reason, replay=_rounds(came, back), at=now(), code=__version__)
        folder.journal.append(entry)
        folder.point(back)
        told(entry)
    _remove_stained(folder, store)
    return _played(folder, store, told)


def _rounds(came: Sequence[Entry], back: int) -> list[int]:
    """Return the newest version of each round since a champion was made, in turn."""
    since = max((k + 1 for k, e in enumerate(came) if e.outcome == ACCEPTED and e.champion == back), default=0)
    newest = [max(e.numbers) for e in came[since:] if e.versions]
    return [v for k, v in enumerate(newest) if not k or v != newest[k - 1]]


def _remove_stained(folder: LiveFolder, store: Store) -> None:
    """Remove the states of champions that have learnt what is not there any more."""
    entries = folder.journal.entries()
    for path in sorted((folder.folder / "states").glob("[0-9]*")):
        if any(changed(e, store.contents, folder.saved) for e in lineage(entries, int(path.name))):
            shutil.rmtree(path)


def _played(folder: LiveFolder, store: Store, told: Callable[[Entry], None]) -> int:
    """Play what is left of the rounds of the last forgetting."""
    entries = folder.journal.entries()
    at = max((k for k, e in enumerate(entries) if e.outcome == FORGOT), default=-1)
    if at < 0:
        return 0
    done = max((max(e.numbers) for e in entries[at + 1 :] if e.versions), default=-1)
    left = [v for v in entries[at].replay if v > done]
    # What was tried once had not been refused for the quality of its data, or was let in by hand.
    let_in = {max(e.numbers) for e in entries[:at] if e.outcome in (ACCEPTED, KEPT) and e.versions}
    live = Live(folder, store, updater(folder)) if left else None
    for version in left:
        assert live is not None
        live.updater.blocked = version in let_in
        entry = live.round(until=version)
        if entry is not None:
            told(entry)
    return len(left)
