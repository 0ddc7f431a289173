"""The champion: which model serves, and what it was made of, so that it can be taken up again.

RUN/live/{decisions.jsonl,champion.json,states/000001/…}
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from gnnrec.core import resources
from gnnrec.core.errors import GnnrecError
from gnnrec.core.files import remove_strays, sha256, write_atomic, write_folder
from gnnrec.learner import Learner
from gnnrec.live.events import LiveEvents, Shares
from gnnrec.live.journal import ACCEPTED, ROLLED_BACK, Entry, Journal, lineage, now
from gnnrec.policies.pace import taken
from gnnrec.runs import build, state
from gnnrec.runs.build import Config, Scene
from gnnrec.runs.saved import Saved
from gnnrec.runs.state import Kept, State
from gnnrec.scorers.model import Scorer
from gnnrec.strategies.base import Strategy


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
        _check(config["live"])

    @property
    def shares(self) -> Shares:
        """How events are shared out."""
        live = self.config["live"]
        return Shares(float(live["valid_share"]), float(live["judged_share"]))

    def number(self) -> int:
        """Return the number of the champion, and move the pointer where a kill came between decision and pointer.

        Raises:
            GnnrecError: the pointer is damaged.
        """
        entries, path = self.journal.entries(), self.folder / "champion.json"
        try:
            found = int(json.loads(path.read_text())["champion"]) if path.is_file() else 0
        except (ValueError, KeyError, TypeError) as error:
            raise GnnrecError(f"{path} is damaged ({error}); `gnnrec rollback RUN --to N` sets it again") from None
        last = entries[-1] if entries else None
        if last is not None and last.champion != found and last.parent == found:
            self.point(last.champion)
            return last.champion
        return found

    def point(self, number: int) -> None:
        """Make a champion the one that serves; a reader finds the old one or this one."""
        write_atomic(self.folder / "champion.json", json.dumps({"champion": number}) + "\n")

    def place(self, number: int) -> Path:
        """Return where the state of a champion lies."""
        return self.folder / "states" / f"{number:06d}"

    def strategy(self) -> Strategy:
        """Return the run's strategy, new."""
        return build.strategy(self.config)

    def served(self, learner: Learner) -> Scorer:
        """Return what serves: the blend where the run has one."""
        return learner.blend_scorer() if "blend" in self.scene.setting.scorers else learner.serving()

    def load(self, rows: pl.DataFrame, contents: Mapping[int, str], side: pl.DataFrame | None = None) -> Champion:
        """Take up what serves.

        Args:
            rows: the events of the store behind the run's versions.
            contents: what the rows of each version hash to.
            side: what is known of items.

        Raises:
            GnnrecError: its state is gone or damaged, or the data that it was made of have changed.
        """
        number, run = self.number(), self._run_state()
        absorbed, version = int(run.meta["absorbed"]), max(map(int, self.saved.versions))
        at = run if number == 0 else self._state(number)
        observed, events = (
            taken([i.observed for i in self.scene.setting.stream.increments], run.meta),
            LiveEvents.behind(self.scene.setting.stream, absorbed, side),
        )
        for entry in lineage(self.journal.entries(), number):
            self._check_data(entry, contents)
            batch, events = events.batch(rows.filter(pl.col("version").is_in(entry.numbers)), self.shares)
            observed += [batch.main, batch.tail]
            version = max(version, *entry.numbers)
        learner = build.learner(self.config, self.scene.setting)
        learner.follow(observed, at.meta)
        learner.load_state_dict(at.weights, at.meta)
        strategy = self.strategy()
        strategy.load_state_dict(at.strategy)
        strategy.serve(learner)
        learner.ready()
        return Champion(number, learner, at.strategy, events, version)

    def save(self, number: int, learner: Learner, kept: Kept, versions: Sequence[int]) -> tuple[str, str]:
        """Write a champion's state, and return the SHA-256 of its weights and of its edges."""
        meta = {**learner.meta(), "versions": list(versions)}
        files = state.contents_of(State(number, learner.state_dict(), kept, meta))
        write_folder(self.place(number), files)
        return sha256(files["weights.safetensors"]), _edges(learner)

    def prune(self, champion: int) -> None:
        """Remove all but the newest states; the champion's stays, whatever its age."""
        states, keep = self.folder / "states", int(self.config["live"]["keep"])
        remove_strays(states)
        places = sorted(p for p in states.iterdir() if p.name.isdigit()) if states.is_dir() else []
        for old in places[:-keep] if keep > 0 else []:
            if int(old.name) != champion:
                shutil.rmtree(old)

    def _run_state(self) -> State:
        found = state.load_newest(self.saved.folder / "state")
        if found is None:
            raise GnnrecError(f"{self.saved.folder} holds no state: finish the run first")
        return found

    def _state(self, number: int) -> State:
        try:
            return state.read_state(self.place(number))
        except GnnrecError:
            raise
        except (OSError, ValueError, KeyError) as error:
            if resources.of_files(error) or resources.of_memory(error):
                raise
            older = [e.champion for e in self.journal.entries() if e.outcome == ACCEPTED and e.champion != number]
            back = next((n for n in reversed(older) if self.place(n).is_dir()), 0)
            raise GnnrecError(
                f"the state of champion {number} is damaged ({error}); `gnnrec rollback {self.saved.folder} --to {back}` goes "
                "back to one that is there"
            ) from None

    def changed(self, entry: Entry, contents: Mapping[int, str]) -> bool:
        """Return whether the data of a decision, or the run that it goes on from, are not what they were."""
        same = all(contents.get(int(number)) == then for number, then in entry.versions.items())
        return not same or entry.run != self.saved.fingerprint

    def _check_data(self, entry: Entry, contents: Mapping[int, str]) -> None:
        """Refuse data that are not those a champion was made of."""
        if entry.run and entry.run != self.saved.fingerprint:
            raise GnnrecError(
                f"champion {entry.champion} goes on from a run on other data: {self.saved.folder} was made anew since; "
                "`gnnrec update STORE RUN --forget ID` makes it anew too"
            )
        for number, then in entry.versions.items():
            if (found := contents.get(int(number))) != then:
                how = "is gone" if found is None else f"was {then[:12]} and is {found[:12]} (erased from, or made anew)"
                raise GnnrecError(
                    f"champion {entry.champion} has learnt version {number} of the store, which {how}; `gnnrec update STORE "
                    f"RUN --forget ID` makes it anew after `gnnrec data forget`, `gnnrec rollback {self.saved.folder} --to "
                    f"{entry.parent}` goes back to before it"
                )


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
    lineage(entries, number)
    state_of = folder / "states" / f"{number:06d}"
    if number and not state_of.is_dir():
        there = sorted(int(p.name) for p in (folder / "states").glob("[0-9]*"))
        raise GnnrecError(
            f"the state of champion {number} is gone (live.keep); there are {', '.join(map(str, [0, *there]))}"
        )
    try:
        if number:
            state.read_state(state_of)
    except (OSError, ValueError, KeyError) as error:
        raise GnnrecError(f"the state of champion {number} is damaged ({error}); choose another, or 0") from None
    last = next((e.champion for e in reversed(entries)), 0)
    entry = Entry(ROLLED_BACK, number, last, reason="by hand", at=now())
    journal.append(entry)
    write_atomic(folder / "champion.json", json.dumps({"champion": number}) + "\n")
    return entry
