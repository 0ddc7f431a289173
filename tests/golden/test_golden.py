"""A tiny run whose numbers are kept: a refactoring that changes them is no refactoring.

`pytest tests/golden --update-golden` writes them anew; say in the change why they moved.
"""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from gnnrec.data.simulate.world import SimulatedWorld
from gnnrec.data.stream.cuts import ByCount
from gnnrec.encoders.initial import TwoHopMean
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.evaluation.evaluate import Settings
from gnnrec.evaluation.record import Name
from gnnrec.evaluation.world import worlds
from gnnrec.learner import Learner
from gnnrec.objectives.joint import Joint
from gnnrec.runs.experiment import Scenario, run, train_base
from gnnrec.scorers.blend import Grid
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.training.settings import FitSettings

EXPECTED = Path(__file__).with_name("fine_tune.json")
METRICS = ("recall@20", "ndcg@20", "mse", "steps", "edges_touched")


def numbers():
    """Return the run's metrics by "split scorer trained_to>evaluated_on metric", rounded to 1e-5."""
    stream = ByCount(increments=3).build(SimulatedWorld(users=60, items=40, events=800).load())
    fit = FitSettings(lr=0.01, batch_size=128, max_epochs=6, patience=6, epochs_without_valid=3)
    measure, grid = Settings(topk=(10, 20), explicit=True), Grid((1.0, 0.0), (0.0, 1.0), (0.0, 1.0), (200.0,))

    def learner():
        objective = Joint(l2=1e-4, rating_weight=0.1, shrinkage=5.0, width=16)
        encoder = LightGCN(width=16, layers=2, scale=0.1)
        return Learner(encoder, objective, fit, initial=TwoHopMean(), grid=grid, measure=measure, seed=0)

    setting, name = Scenario(stream, worlds(stream), measure), Name("golden", "fine_tune", 0)
    base = train_base(learner(), setting, name)
    frame = run(learner(), FineTune(), setting, name, base).frames()["results"]
    kept = frame.filter((pl.col("segment") == "all") & pl.col("metric").is_in(METRICS))
    columns = kept.select("split", "scorer", "trained_to", "evaluated_on", "metric", "value").iter_rows()
    return {f"{split} {scorer} {t}>{k} {metric}": round(value, 5) for split, scorer, t, k, metric, value in columns}


@pytest.mark.usefixtures("one_thread")
def test_the_golden_run_gives_the_numbers_kept(request):
    found = numbers()
    if request.config.getoption("--update-golden"):
        EXPECTED.write_text(json.dumps(found, indent=1) + "\n")
    expected = json.loads(EXPECTED.read_text())
    assert set(found) == set(expected)
    assert {n: v for n, v in found.items() if v != pytest.approx(expected[n], abs=1.01e-5)} == {}
