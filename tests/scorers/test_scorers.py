"""What a row of the table does where its model knows nothing."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from gnnrec.counters.counters import Counters
from gnnrec.encoders.mf import MF
from gnnrec.encoders.tables import Embeddings
from gnnrec.evaluation.reference import Absorbed
from gnnrec.evaluation.settings import Settings
from gnnrec.learner import Learner
from gnnrec.objectives.bpr import BPR
from gnnrec.objectives.rating import Rating
from gnnrec.scorers.blend import BlendScorer, BlendWeights, Grid
from gnnrec.scorers.model import ModelScorer, to_width
from gnnrec.scorers.references import (
    BiasPredictor,
    ItemKNNScorer,
    MeanPredictor,
    OracleScorer,
    PopularityScorer,
)
from gnnrec.testing.worlds import FIT, MEASURE, interactions, observed, random_events, simulated

USERS, ITEMS = 12, 9


@pytest.fixture
def model():
    events, chance = random_events(50, USERS - 1, ITEMS), torch.Generator().manual_seed(0)
    tables = [torch.randn(n, 4, generator=chance) for n in (USERS, ITEMS)]
    objective, counters = Rating(), Counters()
    objective.grow(events, USERS, ITEMS)
    counters.absorb(events, USERS, ITEMS)
    has_edge = np.bincount(events.user, minlength=USERS) > 0
    return ModelScorer(Embeddings(*tables, *tables), objective, counters, has_edge), counters


def test_known_users_are_ranked_by_the_model(model):
    scorer, _ = model
    expected = scorer.objective.scores(scorer.z, torch.tensor([2, 0]))
    assert torch.equal(scorer.scores(np.array([2, 0]), ITEMS), expected)


def test_users_without_a_number_or_an_edge_are_ranked_by_absorbed_popularity(model):
    scorer, counters = model
    found = scorer.scores(np.array([0, USERS - 1, USERS, 10**6]), ITEMS)
    for row in found[1:]:
        assert np.array_equal(row.numpy(), counters.popularity.total.astype(np.float32))
    assert not torch.equal(found[0], found[1])


def test_a_model_that_absorbed_nothing_still_scores():
    empty = torch.empty(0, 4)
    scorer = ModelScorer(Embeddings(empty, empty, empty, empty), BPR(), Counters(), np.empty(0, bool))
    assert not scorer.scores(np.array([0, 3]), 5).any()


def test_items_without_a_row_rank_no_higher_than_any_with_one(model):
    scorer, _ = model
    found = scorer.scores(np.array([0, USERS]), ITEMS + 3)
    assert found.shape == (2, ITEMS + 3)
    assert (found[:, ITEMS:].amax(1) <= found[:, :ITEMS].amin(1)).all()


def test_items_without_a_row_rank_below_every_item_with_one(model):
    scorer, _ = model
    found = scorer.scores(np.array([0, USERS]), ITEMS + 3)
    assert (found[:, ITEMS:].amax(1) < found[:, :ITEMS].amin(1)).all()


def test_fewer_candidates_cut_the_scores(model):
    scorer, _ = model
    assert torch.equal(scorer.scores(np.array([1]), 4), scorer.scores(np.array([1]), ITEMS)[:, :4])
    assert to_width(torch.empty(2, 0), 3).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_pairs_without_an_embedding_are_predicted_by_the_biases_there_are(model):
    scorer, _ = model
    bias = scorer.objective.bias
    mean, user, item = (float(x) for x in (bias.mean, bias.user.weight[3, 0], bias.item.weight[4, 0]))
    found = scorer.predict(np.array([3, 99, 3, 99]), np.array([4, 4, 99, 99]))
    product = float(scorer.z.user[3] @ scorer.z.item[4])
    assert found == pytest.approx([mean + user + item + product, mean + item, mean + user, mean], abs=1e-5)


def test_scoring_does_not_write_into_the_model(model):
    scorer, counters = model
    before = scorer.z.user.clone(), counters.popularity.total.copy()
    scorer.scores(np.array([0, USERS]), ITEMS).fill_(-torch.inf)
    PopularityScorer(counters.popularity.total).scores(np.array([0]), ITEMS).fill_(7)
    ItemKNNScorer(counters).scores(np.array([0]), ITEMS).fill_(7)
    assert torch.equal(scorer.z.user, before[0])
    assert np.array_equal(counters.popularity.total, before[1])
    assert not (scorer.scores(np.array([USERS]), ITEMS) == -torch.inf).any()


def test_itemknn_gives_unknown_users_popularity(model):
    counters = model[1]
    found = ItemKNNScorer(counters).scores(np.array([0, USERS]), ITEMS).numpy()
    assert np.array_equal(found[1], counters.popularity.total.astype(np.float32))
    assert np.array_equal(found[0], counters.companion.known_scores(np.array([0]))[0])


def test_reference_predictors_are_mean_and_bias_of_what_was_absorbed():
    events = interactions([(0, 0), (0, 1), (1, 0)], [5, 3, 1])
    pair = np.array([0, 1]), np.array([1, 1])
    assert MeanPredictor(events).predict(*pair).tolist() == [3.0, 3.0]
    found = BiasPredictor(events, 3, 2, shrinkage=1.0)
    assert found.predict(*pair) == pytest.approx(
        found.biases.mean + found.biases.user[[0, 1]] + found.biases.item[[1, 1]]
    )
    assert found.predict(*pair)[0] > found.predict(*pair)[1]
    assert MeanPredictor.scores is BiasPredictor.scores is None


def test_oracle_answers_by_stream_numbers():
    stream = simulated()
    upcoming = stream.increments[1].upcoming
    scorer = OracleScorer(stream, float(upcoming.time[0]))
    users, known = np.array([4, 1]), stream.increments[1].observed.num_items
    found = scorer.scores(users, known)
    expected = stream.oracle.scores(stream.users[users], float(upcoming.time[0]), stream.items[:known])
    assert found.shape == (2, known)
    assert np.allclose(found.numpy(), expected, atol=1e-5)
    values = stream.oracle.value(stream.users[users], stream.items[[0, 3]], float(upcoming.time[0]))
    assert np.array_equal(scorer.predict(users, np.array([0, 3])), values)


def by_loops(pairs, user, items):
    """Return Σ_{j in N(u), j ≠ i} cos(i, j) from the definition."""
    x = np.zeros((max(user) + 1, items))
    x[pairs] = 1
    norm = np.sqrt(np.maximum((x**2).sum(0), 1))
    cosine = x.T @ x / np.outer(norm, norm)
    return np.array([[sum(cosine[i, j] for j in np.flatnonzero(x[u]) if j != i) for i in range(items)] for u in user])


@pytest.mark.parametrize("mkl", [True, False])
def test_itemknn_scores_are_sums_of_cosines_with_mkl_and_without(mkl, monkeypatch):
    if not mkl:
        monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    events, counters = random_events(60, USERS, ITEMS), Counters()
    counters.absorb(events.take(slice(0, 40)), USERS, ITEMS)
    counters.companion.known_scores(np.array([0]))
    counters.absorb(events.take(slice(40, 60)), USERS, ITEMS)
    user = np.array([2, 0, USERS + 1, 2])
    found = counters.companion.known_scores(user)
    assert found.dtype == np.float32
    assert np.allclose(found, by_loops((events.user, events.item), user, ITEMS), atol=1e-5)
    assert not Counters().companion.known_scores(np.array([0])).size


def test_recent_biases_are_those_of_a_model_that_trains_on_every_increment():
    stream, kept = simulated(), Absorbed(Grid(half_life=(100.0,)))
    learner = Learner(MF(4), Rating(), FIT, measure=MEASURE)
    for increment in stream.increments:
        new = increment.observed
        kept.absorb(new, learner.seen, MEASURE)
        learner.extend(new)
        learner.fit(new.train, epochs=1)
        learner.absorb(new)
        pair = np.arange(new.num_users), np.arange(new.num_users) % new.num_items
        found = kept.scorers(explicit=True)["recent_bias"].predict(*pair)
        assert np.array_equal(found, learner.objective.prior(*pair).double().numpy())
    assert not np.allclose(found, kept.scorers(explicit=True)["bias"].predict(*pair))


def test_users_without_history_are_ranked_by_the_counter_that_ranks_valid_best():
    """The old favourite is dead: valid wants what came last; and the other way round."""
    old, new, ever = [(0, 0)] * 6, [(1, 1)] * 3, [(2, 2)]
    for wanted, half_life in (((3, 1), 2.0), ((3, 0), np.inf)):
        arrived, valid = interactions(old + new + ever), interactions([wanted])
        learner = Learner(MF(4), BPR(), FIT, grid=Grid(counters=(np.inf, 2.0, 3.0)), measure=Settings(topk=(1,)))
        base = observed(arrived, valid, 4, 3)
        learner.extend(base)
        learner.absorb(base)
        assert learner.blend.half_life == half_life
        counts = learner.counters.popularity.at(half_life)
        assert np.allclose(learner.scorer().scores(np.array([99]), 3)[0], counts)
        twin = Learner(MF(4), BPR(), FIT, grid=Grid(counters=(np.inf, 2.0, 3.0)), measure=Settings(topk=(1,)))
        twin.follow([base])
        twin.load_state_dict(learner.state_dict(), json.loads(json.dumps(learner.meta(), allow_nan=False)))
        assert twin.blend.half_life == half_life


def test_infinite_half_life_is_all_time_popularity():
    counters, events = Counters((5.0, math.inf)), random_events(50, USERS, ITEMS)
    counters.absorb(events, USERS, ITEMS)
    assert list(counters.popularity.decayed) == [5.0]
    assert np.array_equal(counters.popularity.at(math.inf), np.bincount(events.item, minlength=ITEMS))
    alone = BlendScorer(PopularityScorer(counters.popularity.total), counters, BlendWeights(0.0, 1.0, 0.0, math.inf))
    ranked = alone.scores(np.array([0]), ITEMS)[0].numpy()
    assert np.array_equal(np.argsort(-ranked, kind="stable"), np.argsort(-counters.popularity.total, kind="stable"))
