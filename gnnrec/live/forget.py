"""Forgetting: what has learnt events that were erased from the store is made anew, and equals what never saw them.

A run that had seen them is run again, from the base where that had not; a champion that had learnt them goes, the newest one
that had not serves again, and every round since is played once more, with the versions it had. All of it goes on where a kill
has cut it off.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from gnnrec import __version__
from gnnrec.core.errors import GnnrecError
from gnnrec.core.files import remove_strays, write_atomic
from gnnrec.live.champion import LiveFolder
from gnnrec.live.health import changed
from gnnrec.live.journal import ACCEPTED, FORGOT, KEPT, ROLLED_BACK, Entry, lineage, now, standing
from gnnrec.live.run import Live, rows_behind, updater
from gnnrec.runs import saved, shared
from gnnrec.runs.build import Scene
from gnnrec.runs.folder import locked
from gnnrec.runs.job import Job, run_job
from gnnrec.runs.progress import Progress
from gnnrec.runs.saved import Saved
from gnnrec.store import erase
from gnnrec.store.table import Store

STAGED = ".forgetting"
STAYS = (".lock", "live", "bundles", STAGED, "config.yaml", "status.json")
"""In the folder of a run: what is not the run's own, stays as it is, or says last that it was made anew."""


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
        for base in folder.parent.glob(f"base-seed{job.seed}-*"):  # fitted on the same events, it is not fitted again
            shutil.copytree(base, staged / base.name, dirs_exist_ok=True)
        run_job(job, scene, progress)
        # What lies beside the run goes first: when its status says that it was made anew, nothing is left to do.
        _replace_shared(run, scene, staged, progress)
        _put(job.folder(stream), folder)
    if (folder / STAGED).exists():
        shutil.rmtree(folder / STAGED)
    return saved.find(folder)[0]


def _row(folder: Path) -> str:
    """Return what a run's rows are called."""
    return str(pl.read_parquet(folder / "results.parquet", glob=False)["strategy"][0])


def _put(new: Path, folder: Path) -> None:
    """Put a run in the place of another; the status, which names its data, comes last."""
    for path in sorted(p for p in new.iterdir() if p.name not in STAYS):
        target = folder / path.name
        if path.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(path, target)
        else:
            write_atomic(target, path.read_bytes())
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
    # They say which data they are of: under a key of pseudonyms their names cannot be found from the data of today.
    theirs = [p.parent for p in output.glob("references-*/status.json") if _fingerprint(p) == run.fingerprint]
    bases = output.glob(f"base-seed{int(run.config['seed'])}-*/{shared.DATA}")
    theirs += [p.parent for p in bases if p.read_text().strip() == run.fingerprint]
    for old in {shared.base_folder(mine, before), shared.references_folder(mine, before), *theirs}:
        if old.is_dir():
            with locked(old, wait=progress):
                shutil.rmtree(old)


def _fingerprint(status: Path) -> str:
    """Return which data a folder says that it is of; "" where that cannot be read."""
    try:
        return str(json.loads(status.read_text())["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


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
        replay = list(dict.fromkeys([*_rounds(came, back), *_left(entries)]))
        entry = Entry(FORGOT, back, current, reason=reason, replay=replay, at=now(), code=__version__)
        folder.journal.append(entry)
        folder.point(back)
        told(entry)
    _remove_stained(folder, store)
    return played(folder, store, told)


def _rounds(came: Sequence[Entry], back: int) -> list[int]:
    """Return the newest version of each round since a champion was made, in turn."""
    since = max((k + 1 for k, e in enumerate(came) if e.outcome == ACCEPTED and e.champion == back), default=0)
    newest = [max(e.numbers) for e in came[since:] if e.versions]
    return [v for k, v in enumerate(newest) if not k or v != newest[k - 1]]


def _remove_stained(folder: LiveFolder, store: Store) -> None:
    """Remove the states of champions that have learnt what is not there any more, and those that no decision speaks of."""
    entries = folder.journal.entries()
    decided = {e.champion for e in entries if e.outcome == ACCEPTED}
    remove_strays(folder.folder / "states")
    for path in sorted((folder.folder / "states").glob("[0-9]*")):
        number = int(path.name)  # a kill between state and decision leaves one that was never a champion
        made = lineage(entries, number) if number in decided else []
        if not made or any(changed(e, store.contents, folder.saved) for e in made):
            shutil.rmtree(path)


def played(folder: LiveFolder, store: Store, told: Callable[[Entry], None]) -> int:
    """Play what is left of the rounds of the last forgetting, and return how many; arguments as of `relearnt`."""
    entries = folder.journal.entries()
    left = _left(entries)
    there = set(rows_behind(store, folder.saved)["version"].unique()) if left else set()
    left = [v for v in left if v in there]  # of a version whose events were all erased there is no round
    # What was tried once had not been refused for the quality of its data, or was let in by hand.
    let_in = {max(e.numbers) for e in entries if e.outcome in (ACCEPTED, KEPT) and e.versions}
    live = Live(folder, store, updater(folder)) if left else None
    for version in left:
        assert live is not None
        live.updater.blocked = version in let_in
        entry = live.round(until=version)
        if entry is not None:
            told(entry)
    _taken_back_again(folder)
    return len(left)


def _taken_back_again(folder: LiveFolder) -> None:
    """Where the last decision before a forgetting took a champion back by hand, note behind it that it still is."""
    entries = folder.journal.entries()
    at = max((k for k, e in enumerate(entries) if e.outcome == FORGOT), default=0)
    before = [e for e in entries[:at] if e.outcome != FORGOT][-1:]
    since = entries[at + 1 :]
    new = any(e.outcome == ROLLED_BACK or max(e.numbers) not in entries[at].replay for e in since)
    if not before or before[0].outcome != ROLLED_BACK or new:
        return
    number, reason = entries[-1].champion, "by hand, before events were forgotten"
    folder.journal.append(Entry(ROLLED_BACK, number, before[0].parent, reason=reason, at=now(), code=__version__))
    folder.point(number)


def _left(entries: Sequence[Entry]) -> list[int]:
    """Return the rounds of the last forgetting that have not been played again, by their newest version."""
    at = max((k for k, e in enumerate(entries) if e.outcome == FORGOT), default=None)
    if at is None:
        return []
    done = max((max(e.numbers) for e in entries[at + 1 :] if e.versions), default=-1)
    return [v for v in entries[at].replay if v > done]
