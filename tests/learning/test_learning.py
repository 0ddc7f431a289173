"""Where the truth is known, learning must find some of it: above popularity and the mean, below the oracle."""

from __future__ import annotations

from functools import cache

import polars as pl
import pytest

from gnnrec.data.simulate.world import SimulatedWorld
from gnnrec.data.stream.cuts import ByCount
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.evaluation.evaluate import Settings
from gnnrec.evaluation.record import Name
from gnnrec.evaluation.reference import reference_rows
from gnnrec.evaluation.results import next_mean
from gnnrec.evaluation.world import worlds
from gnnrec.learner import Learner
from gnnrec.objectives.joint import Joint
from gnnrec.runs.experiment import Scenario, run, train_base
from gnnrec.scorers.blend import Grid
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.strategies.stale import Stale
from gnnrec.training.settings import FitSettings

FIT = FitSettings(lr=0.01, batch_size=1024, max_epochs=40, patience=5)


@cache
def results() -> pl.DataFrame:
    """Return all rows of one comparison on a drifting world."""
    world = SimulatedWorld(users=300, items=200, events=16_000, factors=4, drift=0.6, arrivals=0.2, popularity_bias=0.3)
    stream = ByCount(increments=4).build(world.load())
    measure, grid, found = Settings(topk=(20,), explicit=True), Grid(), worlds(stream)
    setting = Scenario(stream, found, measure)

    def learner() -> Learner:
        return Learner(LightGCN(32, 2), Joint(rating_weight=0.1, width=32), FIT, grid=grid, measure=measure)

    base = train_base(learner(), setting, Name("learning", "base", 0))
    runs = [run(learner(), s(), setting, Name("learning", s.__name__, 0), base) for s in (FineTune, Stale)]
    references = reference_rows("learning", stream, found, measure, grid)["results"]
    return pl.concat([*(r.frames()["results"] for r in runs), references])


def mean(metric: str, strategy: str, scorer: str = "reference") -> float:
    """Return the mean over increments of a metric on the increment to come."""
    frame = next_mean(results(), metric)
    return frame.filter(strategy=strategy, scorer=scorer)["value"].item()


@pytest.mark.parametrize("metric", ["recall@20", "ndcg@20"])
@pytest.mark.parametrize("scorer", ["model", "blend"])
def test_fine_tuning_ranks_better_than_popularity_and_worse_than_the_oracle(metric, scorer):
    own = mean(metric, "FineTune", scorer)
    assert own > 1.1 * mean(metric, "popularity")
    assert own > 1.05 * mean(metric, "decayed_popularity")
    assert own < mean(metric, "oracle")


def test_updating_beats_not_updating_when_tastes_drift():
    assert mean("recall@20", "FineTune", "model") > mean("recall@20", "Stale", "model")


def test_values_are_predicted_better_than_by_mean_and_biases_and_worse_than_by_the_oracle():
    own = mean("mse", "FineTune", "model")
    assert own < 0.95 * mean("mse", "bias") < mean("mse", "global_mean")
    assert own >= mean("mse", "oracle")


def test_the_blend_is_about_as_good_as_its_best_part_or_better():
    blend = mean("ndcg@20", "FineTune", "blend")
    assert blend > 0.9 * max(mean("ndcg@20", "FineTune", "model"), mean("ndcg@20", "popularity_itemknn"))
