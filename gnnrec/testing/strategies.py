"""The contract of a strategy, as tests. A new one passes it by two lines.

class TestReplay(StrategyContract):
    make = staticmethod(lambda: Replay(budget=50))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from gnnrec.data.types import Interactions, Observed, Stream
from gnnrec.evaluation.record import Name, Record, score_round
from gnnrec.learner import Learner
from gnnrec.scorers.model import Scorer
from gnnrec.strategies.base import Strategy
from gnnrec.testing.worlds import (
    Event,
    Game,
    Make,
    Played,
    daily,
    differing,
    fingerprint,
    newest,
    one_thread,
    simulated,
    some_rows,
)

ODD: dict[str, list[Event]] = {
    "empty": [],
    "one_row": [("u1", "i3", 4.0)],
    "one_row_of_strangers": [("new", "newer", 4.0)],
    "only_new_users": some_rows(20, 1, users="n"),
    "only_new_items": some_rows(20, 2, items="n"),
    "repeats_only": some_rows(150)[:20],
}
"""Increments that break careless code."""


@cache
def game() -> Game:
    """Return the small simulated stream with its base, trained once for all contracts."""
    return Game(simulated())


@cache
def odd_game(kind: str) -> Game:
    """Return base, an odd increment, an ordinary one."""
    return Game(daily(some_rows(150), ODD[kind], some_rows(60, 3, num_users=40, num_items=25)))


@cache
def forgetting_game() -> Game:
    """Return the small stream with an increment that takes back events of the base, and these events."""
    stream = simulated()
    increments = list(stream.increments)
    taken = increments[0].observed.arrived.take(np.arange(0, 90, 3))
    increments[2] = replace(increments[2], observed=replace(increments[2].observed, removed=taken))
    return Game(replace(stream, increments=tuple(increments)))


def input_bytes(stream: Stream) -> dict[str, bytes]:
    """Return the bytes of every array a strategy could reach."""
    found: dict[str, bytes] = {}
    for t, increment in enumerate(stream.increments):
        parts = {f.name: getattr(increment.observed, f.name) for f in fields(increment.observed)}
        for part, events in parts.items():
            if isinstance(events, Interactions):
                found |= {f"{t}.{part}.{f.name}": getattr(events, f.name).tobytes() for f in fields(Interactions)}
        found[f"{t}.keys"] = increment.observed.user_key.tobytes() + increment.observed.item_key.tobytes()
    return found


@dataclass(frozen=True, slots=True)
class SharedRun:
    """A run that several tests of a contract look at.

    Attributes:
        played: the run.
        folder: where it has been saved; None: nowhere.
        fitted: the increment in progress and the events of every fit, where they were noted.
    """

    played: Played
    folder: Path | None = None
    fitted: tuple[tuple[int, Interactions], ...] = ()


_HELD: dict[str, tuple[type, SharedRun]] = {}
"""What the contract in progress has played already, by name."""


class StrategyContract:
    """What every strategy keeps, whatever it does inside.

    Attributes:
        make: returns a fresh strategy.
    """

    make: Make

    def _once(self, name: str, play: Callable[[], SharedRun]) -> SharedRun:
        """Return what `play` does, done once for all tests of this contract that only look at it."""
        held = _HELD.get(name)
        if held is None or held[0] is not type(self):
            _HELD[name] = held = type(self), play()
        return held[1]

    def _plain(self) -> Played:
        return self._once("plain", lambda: SharedRun(game().play(self.make()))).played

    def _odd(self, kind: str) -> Played:
        return self._once(f"odd {kind}", lambda: SharedRun(odd_game(kind).play(self.make()))).played

    def _saved(self, folder: Path) -> SharedRun:
        """Return a run that has been saved; below this folder, where it was not yet."""
        return self._once("saved", lambda: SharedRun(game().play(self.make(), folder), folder))

    def _forgetful(self) -> SharedRun:
        """Return a run over the increment that takes back, with what it has fitted."""
        return self._once("forgetful", lambda: _noted(self.make()))

    @pytest.fixture(autouse=True)
    def _on_one_thread(self) -> Iterator[None]:
        with one_thread():
            yield

    def test_two_runs_are_equal_to_the_byte_and_saving_changes_nothing(self, tmp_path: Path) -> None:
        first, second = self._plain(), self._saved(tmp_path).played
        for t in first.prints:
            assert not differing(first.prints[t], second.prints[t])
        assert_frame_equal(first.results(), second.results(), check_exact=True)

    def test_inputs_stay_untouched(self) -> None:
        self._plain()
        # Against the stream drawn anew: the one that is played may have been written to before this test.
        assert not differing(input_bytes(simulated()), input_bytes(game().stream))

    @pytest.mark.parametrize("kind", ODD)
    def test_odd_increments_run_and_score_finitely(self, kind: str) -> None:
        played = self._odd(kind)
        results = played.record.frames()["results"]
        assert set(played.prints) == {1, 2}
        assert set(results.filter(split="next")["trained_to"]) == ({0, 1} if ODD[kind] else {1})
        assert results["value"].is_finite().all()
        assert all(torch.isfinite(x).all() for x in played.learner.state_dict().values() if x.is_floating_point())

    @pytest.mark.parametrize("kind", ODD)
    def test_every_numbered_node_has_one_row(self, kind: str) -> None:
        learner = self._odd(kind).learner
        z = learner.embed()
        assert (len(z.user), len(z.item)) == (learner.seen.num_users, learner.seen.num_items)
        if learner.encoder.keeps_rows:
            assert [len(rows) for rows in learner.encoder.tables().values()] == [len(z.user), len(z.item)]

    def test_no_edge_enters_that_the_world_has_not_absorbed(self) -> None:
        learner = self._plain().learner
        assert game().setting.worlds[learner.index].seen.has(*learner.seen.edges()).all()
        assert learner.seen.num_edges == game().setting.worlds[learner.index].seen.num_edges

    def test_events_that_are_taken_back_are_gone_and_never_fitted_again(self) -> None:
        kept, removed = self._forgetful(), forgetting_game().stream.increments[2].observed.removed
        learner = kept.played.learner
        assert not learner.seen.has(removed.user, removed.item).any() or learner.index < 2
        for t, events in kept.fitted:
            assert t < 2 or len(events.without(removed)) == len(events)

    def test_a_run_resumed_before_a_deletion_ends_with_the_same_bytes(self, tmp_path: Path) -> None:
        whole = self._forgetful().played
        forgetting_game().play(self.make(), tmp_path, until=1)
        resumed = forgetting_game().play(self.make(), tmp_path)
        for t in resumed.prints:
            assert not differing(whole.prints[t], resumed.prints[t])

    @pytest.mark.parametrize("stop", [0, 2])
    def test_resumed_run_ends_with_the_same_bytes(self, stop: int, tmp_path: Path) -> None:
        saved = self._saved(tmp_path / "whole")
        whole, folder = saved.played, saved.folder
        game().play(self.make(), tmp_path / "torn", until=stop)
        resumed = game().play(self.make(), tmp_path / "torn")
        assert set(resumed.prints) == {t for t in whole.prints if t > stop}
        for t in resumed.prints:
            assert not differing(whole.prints[t], resumed.prints[t])
        assert_frame_equal(whole.results(), resumed.results(), check_exact=True)
        assert folder is not None
        assert newest(folder).meta == newest(tmp_path / "torn").meta

    def test_evaluation_leaves_the_learner_bit_identical(self) -> None:
        played, setting = self._plain(), game().setting
        before, chance = fingerprint(played.learner, played.strategy), torch.get_rng_state()
        scorers: dict[str, Scorer] = {"model": played.learner.scorer(), "blend": played.learner.blend_scorer()}
        for t in range(len(setting.worlds)):
            score_round(Record(Name("e", "s", 0)), scorers, t, setting.stream, setting.worlds, setting.measure)
        assert not differing(before, fingerprint(played.learner, played.strategy))
        assert torch.equal(chance, torch.get_rng_state())

    def test_growing_keeps_old_rows_bit_for_bit(self) -> None:
        played = game().play(self.make(), until=1)
        learner = played.learner
        before = {n: x for n, x in learner.state_dict().items() if not n.startswith("moments")}
        size = len(learner.embed().user)
        for increment in game().stream.increments[learner.index + 1 : 3]:  # a strategy need not have extended
            learner.extend(increment.observed)
        after = learner.state_dict()
        for name, x in before.items():
            assert torch.equal(x, after[name][: len(x)] if x.dim() else after[name]), name
        assert len(learner.embed().user) > size

    def test_costs_are_counted(self) -> None:
        cost = self._plain().record.frames()["results"].filter(split="cost", scorer="model")
        assert set(cost["metric"]) >= {"seconds", "steps", "triplets", "edges_touched", "bytes_kept"}
        assert set(cost["trained_to"]) == {0, 1, 2, 3}
        assert (cost["value"] >= 0).all()
        seconds = cost.filter(pl.col("metric") == "seconds")["value"].to_numpy()
        assert np.all(seconds > 0)


def _noted(strategy: Strategy) -> SharedRun:
    """Play the stream that takes events back, and note what is fitted when."""
    fitted, fit, update, now = list[tuple[int, Interactions]](), Learner.fit, strategy.update, 0

    def begun(learner: Learner, new: Observed) -> None:
        nonlocal now
        now = new.index
        update(learner, new)

    def noted(learner: Learner, events: Interactions, *more: Any, **named: Any) -> Any:
        fitted.append((now, events))  # not the learner's: what goes back fits earlier increments again
        return fit(learner, events, *more, **named)

    with pytest.MonkeyPatch.context() as patched:  # of the class, as forks fit too
        patched.setattr(Learner, "fit", noted)
        patched.setattr(strategy, "update", begun)
        played = forgetting_game().play(strategy)
    return SharedRun(played, fitted=tuple(fitted))
