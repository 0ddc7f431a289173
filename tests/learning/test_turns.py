"""Where the truth is planted: after a turn of tastes who forgets wins, where tastes come back who remembers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from gnnrec.data.simulate.world import SimulatedWorld
from gnnrec.data.stream.cuts import ByCount
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.evaluation.evaluate import Settings
from gnnrec.evaluation.record import Name
from gnnrec.evaluation.results import next_mean
from gnnrec.evaluation.world import worlds
from gnnrec.learner import Learner
from gnnrec.objectives.bpr import BPR
from gnnrec.runs.experiment import Scenario, run, train_base
from gnnrec.scorers.blend import Grid
from gnnrec.strategies.base import Strategy
from gnnrec.strategies.distil.pull import Pull
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.strategies.full_retrain import WarmRetrain
from gnnrec.strategies.replay import Replay
from gnnrec.training.settings import FitSettings

STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "fine_tune": FineTune,
    "pull": lambda: Pull(1.0, by_degree=False),
    "warm_retrain": WarmRetrain,
    "replay": lambda: Replay(8000),
}
WORLDS = {
    # Tastes become their opposites where the base ends.
    "turn": (4, {"drift": 2.0, "smoothness": 0.0}),
    # Two unrelated tastes in turn, each for half of an increment's time and half of the next one's.
    "return": (6, {"drift": 1.0, "smoothness": 0.0, "recurrence": 6.0}),
}

pytestmark = pytest.mark.usefixtures("one_thread")


@cache
def recall(world: str) -> dict[str, float]:
    """Return the mean recall of what came next, by strategy."""
    increments, knobs = WORLDS[world]
    size = {"users": 300, "items": 200, "events": 16_000, "factors": 4}
    log = SimulatedWorld(**size, arrivals=0.0, popularity_bias=0.3, feedback="implicit", **knobs).load()
    stream, measure = ByCount(increments=increments).build(log), Settings(topk=(20,))
    setting, fit = Scenario(stream, worlds(stream), measure, ("model",)), FitSettings(batch_size=1024, patience=5)

    def learner() -> Learner:
        return Learner(LightGCN(32, 2), BPR(), fit, grid=Grid().model_alone(), measure=measure)

    base = train_base(learner(), setting, Name(world, "base", 0))
    found = {}
    for name, make in STRATEGIES.items():
        frame = run(learner(), make(), setting, Name(world, name, 0), base).frames()["results"]
        found[name] = next_mean(frame, "recall@20")["value"].item()
    return found


@pytest.mark.parametrize(("stable", "margin"), [("pull", 1.1), ("warm_retrain", 1.04), ("replay", 1.04)])
def test_after_a_turn_of_tastes_who_is_not_held_to_the_past_ranks_better(stable, margin):
    assert recall("turn")["fine_tune"] > margin * recall("turn")[stable]


@pytest.mark.parametrize("stable", ["warm_retrain", "replay"])
def test_where_tastes_come_back_who_remembers_them_ranks_better(stable):
    assert recall("return")[stable] > 1.05 * recall("return")["fine_tune"]
