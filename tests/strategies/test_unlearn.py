"""Unlearning: the contract, and byte for byte what never saw the removed events."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Features
from gnnrec.strategies.adapted.igc import IGC
from gnnrec.strategies.distil.ewc import EWC
from gnnrec.strategies.distil.pull import Pull
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.strategies.frozen import Frozen
from gnnrec.strategies.history import PARTS, observed_from, observed_state
from gnnrec.strategies.refresh import Refresh
from gnnrec.strategies.replay import Replay
from gnnrec.strategies.selection.select import Selector
from gnnrec.strategies.sml import SML
from gnnrec.strategies.unlearn import Unlearn, without
from gnnrec.testing.strategies import StrategyContract, game
from gnnrec.testing.worlds import Game, differing, fingerprint, simulated
from gnnrec.untrained.filter import GraphFilter

INNER = {
    "fine_tune": FineTune,
    "replay": lambda: Replay(budget=50),
    "pull": lambda: Pull(0.1),
    "ewc": lambda: EWC(10.0, samples=20),
    "sml": lambda: SML(passes=1, hidden=8),
    "igc": lambda: IGC(alike=3, nearest=2),
    "filter": lambda: Refresh(GraphFilter()),
    "select": lambda: Selector({"frozen": Frozen(), "fine": FineTune()}, explore=1, every=2),
}


class TestUnlearn(StrategyContract):
    make = staticmethod(lambda: Unlearn(every=2))


def removing(increment, at):
    """Return a game whose increment `at` takes back a third of what came with `increment`, and one that never saw it."""
    stream = simulated()
    parts = list(stream.increments)
    taken = parts[increment].observed.arrived.take(np.arange(0, 60, 3))
    never = [replace(p, observed=without(p.observed, taken)) for p in parts]
    parts[at] = replace(parts[at], observed=replace(parts[at].observed, removed=taken))
    return Game(replace(stream, increments=tuple(parts))), Game(replace(stream, increments=tuple(never)))


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", INNER)
@pytest.mark.parametrize("increment", [0, 1, 2], ids=["base", "first", "second"])
def test_it_is_what_never_saw_the_events(name, increment):
    forgets, never = removing(increment, 3)
    a, b = forgets.play(Unlearn(INNER[name](), every=1)), never.play(INNER[name]())
    left, right = fingerprint(a.learner, a.strategy.inner), fingerprint(b.learner, b.strategy)
    assert not differing(left, right)


@pytest.mark.usefixtures("one_thread")
def test_without_deletions_it_is_what_is_inside():
    a, b = game().play(Unlearn(Replay(budget=50))), game().play(Replay(budget=50))
    for t in a.prints:
        assert not differing(*({n: x for n, x in p.prints[t].items() if not n.startswith("strategy.")} for p in (a, b)))


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("stop", [1, 2])
def test_it_goes_on_behind_a_deletion_from_a_saved_run(stop, tmp_path):
    forgets, _ = removing(1, 2)
    whole = forgets.play(Unlearn(every=1))
    forgets.play(Unlearn(every=1), tmp_path, until=stop)
    assert not differing(whole.prints[3], forgets.play(Unlearn(every=1), tmp_path).prints[3])


def test_nothing_that_is_taken_back_is_kept():
    forgets, _ = removing(1, 2)
    removed = forgets.stream.increments[2].observed.removed
    strategy = forgets.play(Unlearn(every=1)).strategy
    for old in strategy.past:
        for events in (old.train, old.valid, old.arrived, old.folded, old.removed):
            assert len(events.without(removed)) == len(events)


def test_only_what_the_events_have_touched_is_done_again():
    forgets, _ = removing(2, 3)
    plain = forgets.play(FineTune()).results().filter(split="cost", metric="epochs", scorer="model")
    again = forgets.play(Unlearn(every=1)).results().filter(split="cost", metric="epochs", scorer="model")
    assert again["value"].to_list()[:3] == plain["value"].to_list()[:3]
    assert again.filter(trained_to=3)["value"].item() > plain.filter(trained_to=3)["value"].item()


def test_increments_make_a_round_trip():
    parts = [i.observed for i in game().stream.increments]
    for a, b in zip(parts, observed_from(observed_state(parts)), strict=True):
        assert (a.index, a.num_users, a.num_items) == (b.index, b.num_users, b.num_items)
        assert all(np.array_equal(x, y) for x, y in ((a.user_key, b.user_key), (a.item_key, b.item_key)))
        for part in PARTS:
            assert all(map(np.array_equal, getattr(a, part).columns, getattr(b, part).columns))
    known = replace(parts[0], features=Features(None, np.ones((3, 2), np.float32)))
    (again,) = observed_from(observed_state([known]))
    assert again.features.user is None
    assert np.array_equal(again.features.item, known.features.item)


def test_a_period_of_none_is_refused():
    with pytest.raises(GnnrecError, match=r"strategy\.every=0 must be 1 increment or more"):
        Unlearn(every=0)


def test_select_cannot_try_it():
    with pytest.raises(GnnrecError, match=r"candidates\.b reads out or widens"):
        Selector({"a": FineTune(), "b": Unlearn()})
