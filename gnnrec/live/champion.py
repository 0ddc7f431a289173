"""The champion: which model serves, and what it was made of, so that it can be taken up again.

RUN/live/{decisions.jsonl,champion.json,states/000001/…}
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gnnrec import __version__
from gnnrec.core.errors import GnnrecError
from gnnrec.core.files import remove_strays, sha256, write_folder
from gnnrec.data.types import Observed
from gnnrec.learner import Learner
from gnnrec.live import pointer, states
from gnnrec.live.events import LiveEvents, Shares
from gnnrec.live.health import check_data
from gnnrec.live.journal import ROLLED_BACK, Entry, Journal, lineage, now
from gnnrec.policies.pace import taken
from gnnrec.runs import build, state
from gnnrec.runs.build import Config, Scene
from gnnrec.runs.saved import Saved
from gnnrec.runs.state import Kept, State
from gnnrec.scorers.model import Scorer
from gnnrec.strategies.base import Strategy

log = logging.getLogger(__name__)
ORIGIN = "origin"
"""In a champion's state: how far the run had come that it began from; its own state may be damaged later."""


@dataclass(frozen=True, slots=True)
class Champion:
    """What serves.

    Attributes:
        number: of it; 0: the run's own newest state.
        learner: the model.
        kept: the state of the run's strategy.
        events: what follows what it has absorbed.
        version: newest version of the store that it has absorbed.
    """

    number: int
    learner: Learner
    kept: Kept
    events: LiveEvents
    version: int


class LiveFolder:
    """What a live run keeps below a run's folder.

    Args:
        saved: the run.
        config: its configuration, with how it is kept up to date.
        scene: the data that the run saw.
    """

    def __init__(self, saved: Saved, config: Config, scene: Scene) -> None:
        self.folder, self.config, self.scene = saved.folder / "live", config, scene
        self.saved, self.journal = saved, Journal(self.folder)
        self._origin: dict[str, Any] = {}
        _check(config["live"])

    @property
    def shares(self) -> Shares:
        """How events are shared out."""
        live = self.config["live"]
        return Shares(float(live["valid_share"]), float(live["judged_share"]))

    def number(self) -> int:
        """Return the number of the champion.

        Raises:
            GnnrecError: the journal has lost lines, or one of it is damaged.
        """
        return pointer.served(self.folder, self.journal.entries())[0]

    def point(self, number: int) -> None:
        """Make a champion the one that serves; a reader finds the old one or this one."""
        pointer.point(self.folder, number)

    def place(self, number: int) -> Path:
        """Return where the state of a champion lies."""
        return states.place(self.folder, number)

    def strategy(self) -> Strategy:
        """Return the run's strategy, new."""
        return build.strategy(self.config)

    def served(self, learner: Learner) -> Scorer:
        """Return what serves: the blend where the run has one."""
        return learner.blend_scorer() if "blend" in self.scene.setting.scorers else learner.serving()

    def load(
        self,
        rows: pl.DataFrame,
        contents: Mapping[int, str],
        side: pl.DataFrame | None = None,
        number: int | None = None,
    ) -> Champion:
        """Take up what serves, or a champion that served.

        Args:
            rows: the events of the store behind the run's versions.
            contents: what the rows of each version hash to.
            side: what is known of items.
            number: of the champion; None: the one that serves.

        Raises:
            GnnrecError: its state is gone or damaged, or the data that it was made of have changed.
        """
        entries = self.journal.entries()
        number = pointer.served(self.folder, entries)[0] if number is None else number
        version = max(map(int, self.saved.versions))
        chain = lineage(entries, number)
        at = self._state(chain[-1]) if chain else self._run_state()
        self._origin = _origin(at if not chain or ORIGIN in at.meta else self._run_state())
        check_data(chain, contents, self.saved)
        began = taken([i.observed for i in self.scene.setting.stream.increments], self._origin)
        events = LiveEvents.behind(self.scene.setting.stream, int(self._origin["absorbed"]), side)
        came = {int(v): part for (v,), part in rows.partition_by("version", as_dict=True).items()}

        def past() -> Iterator[Observed]:  # one after the other: each has all ids
            nonlocal events, version
            yield from began
            for entry in chain:
                batch, events = events.batch(
                    pl.concat([rows.clear(), *(came[v] for v in entry.numbers if v in came)]), self.shares
                )
                version = max(version, *entry.numbers)
                yield from (batch.main, batch.tail)

        learner = build.learner(self.config, self.scene.setting)
        learner.follow(past(), at.meta)
        learner.load_state_dict(at.weights, at.meta)
        strategy = self.strategy()
        strategy.load_state_dict(at.strategy)
        strategy.serve(learner)
        learner.ready()
        if chain:
            self._check_made(chain[-1], learner)
        return Champion(number, learner, at.strategy, events, version)

    def save(self, number: int, learner: Learner, kept: Kept, versions: Sequence[int]) -> tuple[str, str]:
        """Write a champion's state, and return the SHA-256 of its weights and of its edges."""
        meta = {**learner.meta(), "versions": list(versions), ORIGIN: self._origin}
        files = state.contents_of(State(number, learner.state_dict(), kept, meta))
        write_folder(self.place(number), files)
        return sha256(files[state.WEIGHTS]), _edges(learner)

    def prune(self, champion: int) -> None:
        """Remove all but the newest states; the champion's stays, whatever its age."""
        folder, keep = self.folder / "states", int(self.config["live"]["keep"])
        remove_strays(folder)
        places = sorted(p for p in folder.iterdir() if p.name.isdigit()) if folder.is_dir() else []
        for old in places[:-keep] if keep > 0 else []:
            if int(old.name) != champion:
                shutil.rmtree(old)

    def _run_state(self) -> State:
        found = state.load_newest(self.saved.folder / "state")
        if found is None:
            raise GnnrecError(f"{self.saved.folder} holds no state: finish the run first")
        return found

    def _state(self, made: Entry) -> State:
        found = states.read(self.folder, made)
        if isinstance(found, str):
            raise GnnrecError(f"{found}; {states.way_back(self.folder, self.journal.entries(), made.champion)}")
        return found

    def _check_made(self, made: Entry, learner: Learner) -> None:
        """Refuse a champion whose graph has become another, and say where other code made it."""
        if made.graph and (found := _edges(learner)) != made.graph:
            raise GnnrecError(
                f"the graph of champion {made.champion}, made by gnnrec {made.code}, comes out otherwise by {__version__} "
                f"({found[:12]}, was {made.graph[:12]}); go on by that one, or `gnnrec rollback {self.saved.folder} --to 0`"
            )
        if made.code != __version__:
            log.warning("champion %d was made by gnnrec %s, this is %s", made.champion, made.code, __version__)


def _origin(run: State) -> dict[str, Any]:
    """Return how far the run itself had come, by the state of it or of a champion."""
    known = run.meta.get(ORIGIN, run.meta)
    return {key: known[key] for key in ("absorbed", "updates") if key in known}


def _edges(learner: Learner) -> str:
    """Return the SHA-256 of all absorbed pairs, in order."""
    user, item = learner.seen.edges()
    return hashlib.sha256(np.stack([user, item]).astype("<i8").tobytes()).hexdigest()


def _check(live: Config) -> None:
    """Refuse settings that leave nothing to train on, to judge by, or to try.

    Raises:
        GnnrecError: names the key.
    """
    for key in ("tries", "keep"):
        if int(live[key]) < 1:
            raise GnnrecError(f"live.{key}={live[key]} must be 1 or more")
    for key in ("valid_share", "judged_share"):
        if not 0 < float(live[key]) < 0.9:
            raise GnnrecError(f"live.{key}={live[key]} must lie between 0 and 0.9")
    if (both := float(live["valid_share"]) + float(live["judged_share"])) >= 1:
        raise GnnrecError(f"live.valid_share + live.judged_share = {both:g} leave nothing to train on")


def turn_back(folder: Path, number: int) -> Entry:
    """Let an older champion serve again; what it has not absorbed waits again.

    Raises:
        GnnrecError: no such champion was made, or its state is gone.
    """
    journal = Journal(folder)
    entries = journal.entries()
    made = lineage(entries, number)[-1:]
    there = sorted(int(p.name) for p in (folder / "states").glob("[0-9]*"))
    if number and number not in there:
        raise GnnrecError(
            f"the state of champion {number} is gone (live.keep); there are {', '.join(map(str, [0, *there]))}"
        )
    if made and isinstance(wrong := states.read(folder, made[0]), str):
        raise GnnrecError(f"{wrong}; choose another, or 0")
    entry = Entry(ROLLED_BACK, number, entries[-1].champion if entries else 0, reason="by hand", at=now())
    journal.append(entry)
    pointer.point(folder, number)
    return entry
