"""A policy at work in a run: waiting costs nothing and learns nothing, and a run that was stopped goes on as it would have."""

from __future__ import annotations

import pytest
from polars.testing import assert_frame_equal

from gnnrec.evaluation.record import Name
from gnnrec.policies.amount import Every, EveryN
from gnnrec.policies.effect import OnPerformance
from gnnrec.policies.pace import taken
from gnnrec.runs.experiment import run
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.strategies.full_retrain import FullRetrain
from gnnrec.strategies.replay import Replay
from gnnrec.strategies.stale import Stale
from gnnrec.testing.worlds import VARYING, Game, simulated


@pytest.fixture(scope="module")
def game():
    return Game(simulated(increments=5))


def played(game, strategy, policy, folder=None, until=None):
    stop = None if until is None else game.setting.stream.increments[: until + 1]
    record = run(
        game.learner(), strategy, game.setting, Name("t", "s", 0), game.base, folder, policy=policy, increments=stop
    )
    found = record.frames()["results"]
    return found.filter(~found["metric"].is_in(VARYING))


def values(found, **where):
    return found.filter(scorer="model", **where).sort("trained_to")["value"].to_list()


def test_with_every_increment_it_is_a_run_without_a_policy(game):
    assert_frame_equal(played(game, FineTune(), Every()), played(game, FineTune(), None), check_exact=True)
    assert_frame_equal(played(game, FineTune(), EveryN(1)), played(game, FineTune(), None), check_exact=True)


def test_one_that_never_comes_is_never_updated(game):
    never, stale = (played(game, s, p) for s, p in ((FineTune(), EveryN(99)), (Stale(), None)))
    next_ = {"split": "next", "metric": "recall@20", "segment": "all"}
    assert values(never, **next_) == values(stale, **next_)
    assert values(never, split="cost", metric="steps")[1:] == [0.0] * 5
    assert never.filter(split="policy", metric="waits", scorer="model").height == 5


@pytest.mark.parametrize("make", [FineTune, lambda: Replay(40), FullRetrain])
def test_what_waited_is_taken_up(game, make):
    found = played(game, make(), EveryN(2))
    steps = values(found, split="cost", metric="steps")
    assert [x > 0 for x in steps[1:]] == [False, True, False, True, False]
    every = played(game, make(), None)
    assert steps[2] > values(every, split="cost", metric="steps")[2] * 0.5


@pytest.mark.parametrize("make", [FineTune, lambda: Replay(40)])
@pytest.mark.parametrize("policy", [lambda: EveryN(2), lambda: OnPerformance(0.05)])
@pytest.mark.parametrize("until", [2, 3])
def test_a_run_that_was_stopped_goes_on_as_it_would_have(game, make, policy, until, tmp_path):
    whole = played(game, make(), policy())
    played(game, make(), policy(), tmp_path, until)
    again = played(game, make(), policy(), tmp_path)
    assert_frame_equal(again, whole, check_exact=True, check_row_order=False)


def test_what_was_absorbed_is_told_as_it_was():
    increments = [i.observed for i in simulated(increments=5).increments]
    found = taken(increments, {"updates": [2, 4], "absorbed": 4})
    assert [(x.first, x.index) for x in found] == [(0, 0), (1, 2), (3, 4)]
    assert [x.index for x in taken(increments, {"absorbed": 3})] == [0, 1, 2, 3]
    assert [x.index for x in taken(increments, {"updates": [1, 2], "absorbed": 0})] == [0], "stale takes nothing in"
