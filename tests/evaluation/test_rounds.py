"""What a round scores: the whole next increment and the test slices around it; the rows of references."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from gnnrec.data.simulate.world import SimulatedWorld
from gnnrec.data.stream.cuts import ByCount
from gnnrec.evaluation import r_matrix
from gnnrec.evaluation.evaluate import Settings
from gnnrec.evaluation.record import Name, Record, score_round
from gnnrec.evaluation.reference import reference_rows
from gnnrec.evaluation.world import worlds
from gnnrec.scorers.blend import Grid
from gnnrec.scorers.references import PopularityScorer
from gnnrec.strategies.stale import Stale
from gnnrec.testing.worlds import Game, simulated


@pytest.fixture(scope="module")
def stream():
    return simulated(increments=5, events=1200)


def test_fixed_scores_give_constant_columns_of_r_and_no_forgetting(stream):
    items = len(stream.items)
    scorer = PopularityScorer(np.random.default_rng(0).random(items))
    record, state = Record(Name("e", "s", 0)), worlds(stream)
    for t in range(len(state)):
        score_round(record, {"model": scorer}, t, stream, state, Settings(topk=(20,)))
    assert_flat(record.frames()["results"])


def test_a_stale_model_does_not_forget(stream):
    assert_flat(Game(stream).play(Stale()).record.frames()["results"])


def assert_flat(frame):
    r = r_matrix.matrix(frame, "s", "model", 0, "recall@20")
    assert r.shape == (6, 6)
    for k in range(6):
        column = r[:, k][np.isfinite(r[:, k])]
        assert len(column) >= 5
        assert set(column) == {column[0]}
    assert len(set(r[5])) > 1
    assert r_matrix.forgetting(r) == 0
    assert r_matrix.bwt(r) == 0


def test_what_is_scored_is_the_whole_next_increment_and_the_test_slices(stream):
    frame = Game(stream).play(Stale()).record.frames()["results"].filter(scorer="model", segment="all")
    recall = frame.filter(metric="recall@20")
    for t, increment in enumerate(stream.increments[:-1]):
        n = recall.filter(split="next", trained_to=t)["n"].item()
        assert n == len(np.unique(increment.upcoming.user))
        following = stream.increments[t + 1]
        parts = (following.observed.train, following.observed.valid, following.test)
        assert len(increment.upcoming) == sum(len(p) for p in parts)
    cells = set(recall.filter(split="test").select("trained_to", "evaluated_on").iter_rows())
    assert cells == {(t, k) for t in range(6) for k in range(min(t + 4, 5) + 1)}


def test_cut_offs_without_20_can_be_recorded(stream):
    scorer, record = PopularityScorer(np.ones(len(stream.items))), Record(Name("e", "s", 0))
    score_round(record, {"model": scorer}, 0, stream, worlds(stream), Settings(topk=(5, 10)))
    assert "recall@10" in set(record.frames()["results"]["metric"])


def test_the_oracle_is_the_best_row_of_a_simulated_world():
    made = ByCount(increments=3).build(SimulatedWorld(users=200, items=120, events=6000, drift=0.5).load())
    frame = reference_rows("e", made, worlds(made), Settings(topk=(20,), explicit=True), Grid())["results"]
    found = frame.filter((pl.col("segment") == "all") & (pl.col("split") == "next"))
    means = found.group_by("strategy", "metric").agg(pl.col("value").mean())

    def by_row(metric):
        return dict(means.filter(metric=metric).select("strategy", "value").iter_rows())

    for metric, best in (("recall@20", max), ("ndcg@20", max), ("mse", min), ("mae", min)):
        values = by_row(metric)
        assert len(values) >= 3, metric
        assert best(values, key=values.get) == "oracle", values
    assert by_row("mse")["bias"] < by_row("mse")["global_mean"]
    assert frame["seed"].is_null().all()


def test_without_a_reference_row_there_are_tables_without_rows():
    made = ByCount(increments=2).build(SimulatedWorld(users=30, items=20, events=300).load())
    asked = replace(made, feedback="implicit", oracle=None)
    frames = reference_rows("e", asked, worlds(asked), Settings(topk=(20,)), Grid(), references={})
    assert {name: frame.height for name, frame in frames.items()} == {"results": 0, "per_user": 0, "predictions": 0}
    assert "strategy" in frames["results"].columns


def test_predictions_tell_whose_events_they_are_of():
    made = ByCount(increments=3).build(SimulatedWorld(users=40, items=30, events=500).load())
    frame = Game(made).play(Stale()).record.frames()["predictions"].filter(scorer="model", trained_to=1)
    world, coming = worlds(made)[1], made.increments[1].upcoming
    known = coming.take((coming.user < world.num_users) & (coming.item < world.num_items))
    assert frame["user"].to_list() == [str(u) for u in made.users[known.user]]
    assert frame["true"].to_list() == known.value.tolist()
    assert len(set(frame["user"])) > 5
