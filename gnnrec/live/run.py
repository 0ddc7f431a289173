"""A run's folder and a store, brought together: what an update needs to begin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from gnnrec import __version__
from gnnrec.config.instantiate import instantiate
from gnnrec.core.errors import GnnrecError
from gnnrec.live import pointer
from gnnrec.live.champion import Champion, LiveFolder
from gnnrec.live.gate import AcceptanceGate
from gnnrec.live.journal import ACCEPTED, SCORED, Entry, now
from gnnrec.live.update import COLUMNS, Backlog, Updater
from gnnrec.runs import build, saved
from gnnrec.runs.build import Config
from gnnrec.runs.saved import Saved
from gnnrec.store.table import Store


def one_run(folder: Path) -> Saved:
    """Return the one finished run in a folder, which has seen a store.

    Raises:
        GnnrecError: there is none, there are several, or it is of another kind.
    """
    run = saved.one(folder)
    if not run.versions:
        raise GnnrecError(
            f"{folder} was run on files; what is kept up to date is run on a store: data=store data.path=STORE"
        )
    if not run.done:
        raise GnnrecError(f"{folder} has not finished; go on with it by resume=true")
    return run


def open_live(run: Saved, store: Path, given: Config, allow: Sequence[str] = ()) -> LiveFolder:
    """Return the live folder of a run.

    Args:
        run: finished.
        store: the store that it has seen, where it lies now.
        given: the configuration's `policy` and `live`, where the run's own do not hold.
        allow: prefixes of plug-ins that may be imported.
    """
    scene = saved.scene_of(run, allow, [str(store)])
    return LiveFolder(run, {**run.config, **given}, scene)


def updater(folder: LiveFolder, blocked: bool = False) -> Updater:
    """Return what brings it up to date."""
    gate: AcceptanceGate = instantiate(folder.config["live"]["gate"], at="live.gate")
    return Updater(folder, build.policy(folder.config), gate, blocked)


def rows_behind(store: Store, run: Saved, absorbed: int = 0) -> pl.DataFrame:
    """Return the events of all versions that a run has not seen, or those behind `absorbed` where that is a later one: the
    columns of an update, times in seconds.
    """
    first = max(absorbed, *map(int, run.versions))
    time = pl.col("time").dt.epoch("us") / 1e6
    rows = store.rows().filter(pl.col("version") > first).sort("version", "place").with_columns(time.alias("time"))
    return rows.select(COLUMNS).collect(engine="streaming")


def waiting(store: Store, rows: pl.DataFrame, absorbed: int, until: int | None = None) -> Backlog:
    """Return what a champion has not absorbed.

    Args:
        store: with the versions.
        rows: of `rows_behind`.
        absorbed: newest version that it has.
        until: newest version to look at; None: all.
    """
    versions = [v for v in store.versions if v.number > absorbed and (until is None or v.number <= until)]
    reports = {v.number: store.quality(v) or {} for v in versions}
    return Backlog(
        rows.filter(pl.col("version").is_in([v.number for v in versions])),
        {v.number: store.contents[v.number] for v in versions},
        {n: str(r.get("verdict", "")) for n, r in reports.items()},
    )


class Live:
    """A live run at work: its champion stays at hand from one round to the next.

    Args:
        folder: of the live run, whose lock is held: its pointer is set right where it is not.
        store: that it learns from.
        updater: what brings it up to date.
    """

    def __init__(self, folder: LiveFolder, store: Store, updater: Updater) -> None:
        self.folder, self.store, self.updater = folder, store, updater
        pointer.mend(folder.folder, folder.journal.entries())
        self._make_up()
        self.champion: Champion = folder.load(rows_behind(store, folder.saved), store.contents, store.side())

    def round(
        self, again: bool = False, until: int | None = None, serve: Callable[[Entry | None], object] | None = None
    ) -> Entry | None:
        """Decide on what the store has, up to a version, and the champion has not; None: there is nothing new.

        Args:
            again: try what was tried already.
            until: newest version to look at; None: all.
            serve: called with the decision as soon as it stands, so that a bundle can follow it at once. How well did on what
                has come what served until then is scored behind that, where the policy has not asked for it.
        """
        self.store.refresh()
        before = self.champion
        rows = rows_behind(self.store, self.folder.saved, before.version)
        found = waiting(self.store, rows, before.version, until)
        entry, self.champion = self.updater.round(before, found, again)
        if serve is not None:
            serve(entry)
        if entry is None or entry.outcome != ACCEPTED:
            return entry
        entry = self._scored(entry, self._quality(before, found.rows)) if entry.unscored else entry
        self.folder.prune(entry.champion)
        return entry

    def _make_up(self) -> None:
        """Score what served before the champion, where a kill came before that."""
        entry = next((e for e in self.folder.journal.entries() if e.unscored), None)
        if entry is not None:
            self._scored(entry, self._past_quality(entry))
            self.folder.prune(self.folder.number())

    def _past_quality(self, entry: Entry) -> dict[str, float | None]:
        """Return how well did what served before a decision; unknown where that or its events are there no more."""
        contents = self.store.contents
        if any(contents.get(int(v)) != known for v, known in entry.versions.items()):
            return dict.fromkeys(entry.versions)
        rows = rows_behind(self.store, self.folder.saved)
        try:
            before = self.folder.load(rows, contents, self.store.side(), entry.parent)
        except GnnrecError:
            return dict.fromkeys(entry.versions)
        return self._quality(before, rows.filter(pl.col("version").is_in(entry.numbers)))

    def _quality(self, before: Champion, rows: pl.DataFrame) -> dict[str, float | None]:
        return self.updater.quality(before, before.events.batch(rows, self.folder.shares)[0])

    def _scored(self, entry: Entry, quality: dict[str, float | None]) -> Entry:
        """Write down how well did what served before a decision, and return the decision with it."""
        line = Entry(SCORED, entry.champion, entry.parent, quality=quality, at=now(), code=__version__)
        self.folder.journal.append(line)
        return replace(entry, quality=quality)
