"""R: the same masks for every t, which cells are measured, and what the tables say of cells that are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from gnnrec.config.compose import compose
from gnnrec.core.errors import GnnrecError
from gnnrec.data.stream.cuts import ByCount
from gnnrec.encoders.tables import Embeddings
from gnnrec.evaluation import r_matrix
from gnnrec.evaluation.evaluate import Settings, Slice, evaluate_all
from gnnrec.evaluation.record import Name, Record, score_round
from gnnrec.evaluation.world import worlds
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.objectives.bpr import BPR
from gnnrec.runs import build
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.testing.worlds import Game, dataset, interactions, simulated, world_of
from gnnrec.training.early_stopping import selector

MEASURE = Settings(topk=(20,), explicit=True)


@pytest.fixture(scope="module")
def stream():
    return simulated(increments=5, users=60, items=90, events=1500)


class Remembering:
    """Fixed scores, with all that a user has absorbed so far on top: a model that has learnt its stream by heart."""

    def __init__(self, stream, learnt: BipartiteGraph) -> None:
        self.table = torch.randn(len(stream.users), len(stream.items), generator=torch.Generator().manual_seed(0))
        self.table[learnt.edges()] += 100

    def scores(self, user, num_items):
        return self.table[torch.from_numpy(user), :num_items].clone()

    def predict(self, user, item):
        return None


def played(stream, measure=MEASURE):
    """Return the results of the model that has learnt by heart what was absorbed up to t."""
    record, state = Record(Name("e", "s", 0)), worlds(stream)
    for t, world in enumerate(state):
        score_round(record, {"model": Remembering(stream, world.seen)}, t, stream, state, measure)
    return record.frames()["results"]


def test_what_was_learnt_later_is_not_taken_for_forgetting(stream):
    r = r_matrix.matrix(played(stream), "s", "model", 0, "recall@20")
    for k in range(6):
        assert len(set(r[np.isfinite(r[:, k]), k])) == 1
    assert 0 < np.nanmax(r) < 1
    assert r_matrix.forgetting(r) == r_matrix.bwt(r) == 0


def test_of_a_mask_the_relevant_items_of_the_slice_alone_stay_candidates():
    world, later = world_of(interactions([(0, 0)]), 3, 6), interactions([(0, 0), (0, 1), (0, 2), (1, 3), (2, 4)])
    seen = world_of(later, 3, 6).seen
    asked = Slice(interactions([(0, 1), (1, 5), (2, 4), (0, 0)]), world, seen, segments=False)

    class Descending:
        def scores(self, user, num_items):
            return -torch.arange(num_items).float().expand(len(user), -1).clone()

        def predict(self, user, item):
            return None

    found = evaluate_all({"s": Descending()}, [asked], Settings(topk=(1, 4)))[0]["s"]
    # User 0: 0 is absorbed, 1 its own, 2 absorbed later. User 1: 5 after 0, 1, 2, 4. User 2: 4 is its own, after 0 to 3.
    assert found.relevant.tolist() == [1, 1, 1]
    assert found.per_user["recall@1"].tolist() == [1, 0, 0]
    assert found.per_user["mrr@4"].tolist() == [1, 0, 0]
    assert evaluate_all({"s": Descending()}, [asked], Settings(topk=(5,)))[0]["s"].per_user["mrr@5"].tolist() == [
        1,
        1 / 5,
        1 / 5,
    ]


@pytest.mark.parametrize(
    ("matrix", "cells"), [("diagonal", {(t, t) for t in range(6)}), ("off", set()), ("full", None)]
)
def test_cells_are_those_asked_for_and_what_lacks_one_is_not_available(stream, matrix, cells):
    frame = Game(stream).play(FineTune()).record.frames()["results"].filter(pl.col("split") != "test")
    rows = played(stream, replace(MEASURE, matrix=matrix)).filter(split="test")
    expected = {(t, k) for t in range(6) for k in range(min(t + 4, 5) + 1)} if cells is None else cells
    assert set(rows.select("trained_to", "evaluated_on").iter_rows()) == expected
    whole = played(stream).filter(split="test").join(rows, on=["trained_to", "evaluated_on", "segment", "metric"])
    assert whole["value"].equals(whole["value_right"])
    r = r_matrix.matrix(rows, "s", "model", 0, "recall@20")
    if matrix == "off":
        assert r is None
    if matrix == "diagonal":
        assert np.isfinite(r_matrix.learning_average(r))
        for n_a in (
            r_matrix.forgetting,
            r_matrix.bwt,
            r_matrix.acc,
            r_matrix.aia,
            r_matrix.h_mean,
            r_matrix.retained_average,
        ):
            assert np.isnan(n_a(r))
        assert np.isnan(r_matrix.fwt(r, r))
        assert np.isnan(r_matrix.staleness(r)).all()
    assert frame.height


def repeating():
    """Return a log in which users come back to what they have, every event kept."""
    rng = np.random.default_rng(0)
    user = rng.integers(0, 20, 1200)
    item = (user * 3 + rng.integers(0, 25, 1200)) % 40
    log = dataset([f"u{u}" for u in user], [f"i{i}" for i in item], np.ones(1200), np.arange(1200) * 3600.0 + 1.6e9)
    return ByCount(increments=3).build(log)


def test_with_repeats_masked_pairs_are_not_relevant_and_the_ceiling_can_be_reached():
    stream = repeating()
    state = worlds(stream)
    for t in range(len(state) - 1):
        upcoming = stream.increments[t].upcoming
        repeats = state[t].seen.has(upcoming.user, upcoming.item)
        assert 0.3 < repeats.mean() < 1
        for mask in ("absorbed", "none"):
            everything = Remembering(stream, BipartiteGraph.empty().extend(upcoming, len(stream.users), 40))
            measure = Settings(topk=(20,), mask=mask)
            found = evaluate_all({"s": everything}, [Slice(upcoming, state[t])], measure)[0]["s"]
            new = upcoming if mask == "none" else upcoming.take(~repeats)
            assert found.relevant.sum() == len({*zip(new.user.tolist(), new.item.tolist(), strict=True)})
            rows = {(s, m): v for s, m, v, _ in found.rows}
            assert rows["all", "recall@20"] == pytest.approx(rows["all", "ceiling@20"])


@pytest.mark.parametrize(
    ("mask", "expected"), [("absorbed", 1 / np.log2(3)), ("none", (1 + 1 / np.log2(4)) / (1 + 1 / np.log2(3)))]
)
def test_selection_masks_as_the_test_does(mask, expected):
    """Item 0 is absorbed and ranked first, item 2 second, item 1 last."""
    seen, valid = world_of(interactions([(0, 0), (1, 2)]), 2, 3).seen, interactions([(0, 0), (0, 1)])
    user, item = torch.ones(2, 1), torch.tensor([[3.0], [1.0], [2.0]])
    select = selector(BPR(), valid, seen, Settings(mask=mask))
    assert select is not None
    assert select(Embeddings(user, item, user, item)) == pytest.approx(expected)


def test_settings_take_from_the_stream_what_it_says():
    stream = simulated()
    measure = Settings.of(replace(stream, positive_from=4.0), topk=(20,))
    assert (measure.positive_from, measure.explicit, measure.universe) == (4.0, True, len(stream.items))
    assert measure.topk == (20,)
    assert not Settings.of(replace(stream, feedback="implicit")).explicit


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("evaluation.mask=absorbd", "evaluation.mask=absorbd is not known; did you mean 'absorbed'"),
        ("evaluation.matrix=diag", "evaluation.matrix=diag is not known"),
        ("evaluation.candidates=all", "evaluation.candidates=all is not known"),
    ],
)
def test_the_configuration_refuses_what_is_no_choice_by_its_key(stream, override, told):
    with pytest.raises(GnnrecError) as error:
        build.measure(compose([override]), stream)
    assert told in str(error.value)


@pytest.mark.parametrize("matrix", ["off", "diagonal"])
def test_the_configuration_gives_what_was_chosen(stream, matrix):
    measure = build.measure(compose([f"evaluation.matrix={matrix}", "evaluation.mask=none"]), stream)
    assert (measure.matrix, measure.mask) == (matrix, "none")
    assert measure == replace(Settings.of(stream), matrix=matrix, mask="none", topk=measure.topk)
