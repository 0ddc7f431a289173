"""The blend head: what it adds up, and that valid chooses the best setting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gnnrec.core.errors import GnnrecError
from gnnrec.counters.counters import Counters
from gnnrec.evaluation.blend_choice import Evidence, weigh
from gnnrec.evaluation.evaluate import Settings, evaluate
from gnnrec.scorers.blend import BlendScorer, BlendWeights, Grid, standardised
from gnnrec.testing.worlds import interactions, random_events, world_of
from gnnrec.untrained.ease import EASE

USERS, ITEMS = 30, 25
GRID = Grid(half_life=(20.0, 60.0))


class Fixed:
    """Scores that were drawn once."""

    def __init__(self, seed=0):
        self.table = torch.randn(USERS + 5, ITEMS, generator=torch.Generator().manual_seed(seed)) * 3 + 1

    def scores(self, user, num_items):
        return self.table[torch.from_numpy(user), :num_items].clone()

    def predict(self, user, item):
        return np.full(len(user), 2.5)


@pytest.fixture
def absorbed():
    seen, counters = random_events(250, USERS, ITEMS), Counters(GRID.half_life)
    counters.absorb(seen, USERS, ITEMS)
    return seen, counters


def valid_events(seen):
    """Return events that prefer popular items, so that the blend has something to find."""
    rng, taken = np.random.default_rng(1), set(zip(seen.user.tolist(), seen.item.tolist(), strict=True))
    count = np.bincount(seen.item, minlength=ITEMS) ** 2.0
    pairs = [(int(u), int(i)) for u in rng.integers(0, USERS, 80) for i in rng.choice(ITEMS, 2, p=count / count.sum())]
    return interactions(sorted({p for p in pairs if p not in taken}))


def z(x):
    return (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)


@pytest.mark.parametrize(
    "weights", [BlendWeights(1, 0.5, 1, 20.0), BlendWeights(0, 2, 0.5, 60.0), BlendWeights(1, 0, 0)]
)
def test_blend_is_the_weighted_sum_of_normalised_parts(absorbed, weights):
    _, counters = absorbed
    model, user = Fixed(), np.array([3, 0, 29])
    popularity = np.log(1 + counters.popularity.decayed.get(weights.half_life, np.ones(ITEMS)))[None]
    knn = counters.companion.known_scores(user)
    expected = weights.alpha * z(model.scores(user, ITEMS).numpy())
    if weights.beta:
        expected = expected + weights.beta * z(popularity)
    expected = expected + weights.kappa * knn / knn.std(1, keepdims=True)
    found = BlendScorer(model, counters, weights).scores(user, ITEMS).numpy()
    assert np.allclose(found, expected, atol=1e-5)


def test_z_scores_have_mean_0_and_deviation_1_and_constants_become_0():
    found = standardised(torch.tensor([[1.0, 2, 3, 10], [4, 4, 4, 4]]))
    assert found[0].mean() == pytest.approx(0, abs=1e-6)
    assert found[0].std(correction=0) == pytest.approx(1, abs=1e-6)
    assert not found[1].any()


def test_alpha_1_alone_ranks_as_the_model(absorbed):
    _, counters = absorbed
    user = np.arange(USERS)
    alone = BlendScorer(Fixed(), counters, BlendWeights(1, 0, 0)).scores(user, ITEMS)
    assert torch.equal(alone.argsort(1), Fixed().scores(user, ITEMS).argsort(1))


def test_blend_predicts_what_the_model_predicts(absorbed):
    scorer = BlendScorer(Fixed(), absorbed[1], BlendWeights(0, 1, 1, 20.0))
    assert scorer.predict(np.array([1, 2]), np.array([0, 0])).tolist() == [2.5, 2.5]


def test_grid_is_the_protocol_and_starts_with_the_plain_model():
    settings = Grid().settings()
    assert settings[0] == BlendWeights(1.0, 0.0, 0.0, 1000.0)
    combinations = {(w.alpha, w.beta, w.kappa) for w in settings}
    assert combinations == {(a, b, k) for a in (0, 1) for b in (0, 0.25, 0.5, 1, 2) for k in (0, 0.5, 1)} - {(0, 0, 0)}
    assert {w.half_life for w in settings if w.beta} == {1000.0, 3000.0}
    assert len(settings) == len(set(settings))
    assert {w.alpha for w in Grid().without_model().settings()} == {0.0}


@pytest.mark.parametrize("block", [7, 1024])
def test_chosen_weights_have_the_best_valid_ndcg_plus_recall_by_brute_force(absorbed, block):
    seen, counters = absorbed
    valid, world, measure = valid_events(seen), world_of(seen, USERS, ITEMS), Settings(topk=(20,), block=block)

    def quality(weights):
        rows = evaluate(BlendScorer(Fixed(), counters, weights), valid, world, measure).rows
        return sum(v for segment, metric, v, _ in rows if segment == "all" and metric in ("ndcg@20", "recall@20"))

    values = {w: quality(w) for w in GRID.settings()}
    chosen = weigh(Fixed(), counters, valid, world, measure, GRID).best
    assert values[chosen] == pytest.approx(max(values.values()), abs=1e-12)
    assert chosen.beta > 0
    assert values[chosen] > values[BlendWeights(1.0, 0.0, 0.0, 20.0)]


def test_equal_settings_leave_the_plain_model(absorbed):
    seen, counters = absorbed
    hopeless = interactions([(0, ITEMS + 3)])
    chosen = weigh(Fixed(), counters, hopeless, world_of(seen, USERS, ITEMS), Settings(), GRID).best
    assert chosen == BlendWeights(1.0, 0.0, 0.0, 20.0)


def test_without_a_relevant_valid_event_nothing_is_chosen(absorbed):
    seen, counters = absorbed
    world = world_of(seen, USERS, ITEMS)
    assert weigh(Fixed(), counters, interactions([]), world, Settings(), GRID) is None
    nothing_else = Grid((1.0,), (0.0,), (0.0,)).without_model()
    assert weigh(Fixed(), counters, valid_events(seen), world, Settings(), nothing_else) is None
    low, strict = interactions([(0, 1)], [2.0]), Settings(positive_from=4.0)
    assert weigh(Fixed(), counters, low, world, strict, GRID) is None


def test_the_only_setting_of_a_grid_needs_no_valid_event(absorbed):
    seen, counters = absorbed
    alone, world = Grid().model_alone(), world_of(seen, USERS, ITEMS)
    assert alone.settings() == [BlendWeights()]
    assert weigh(Fixed(), counters, interactions([]), world, Settings(), alone).best == BlendWeights()


def test_what_earlier_increments_say_counts_less_at_each_new_one():
    settings = [BlendWeights(1.0), BlendWeights(0.0, 1.0), BlendWeights(1.0, 1.0)]
    earlier, new = np.array([0.0, 5.0, 2.0]), Evidence(settings, np.array([2.0, 0.0, 1.5]))
    assert new.best == new.after(None, 0.5).best == new.after(earlier, 0.0).best == settings[0]
    assert new.after(earlier, 0.4).best == settings[2]
    assert new.after(earlier, 1.0).best == settings[1]
    assert new.after(earlier, 0.4).quality.tolist() == [2.0, 2.0, 2.3]


def test_a_memory_outside_0_to_1_is_refused():
    with pytest.raises(GnnrecError, match=r"scorer.grid.memory=1.5 must lie between 0 and 1"):
        Grid(memory=1.5)


def test_the_companion_stands_in_for_itemknn(absorbed):
    events = random_events(250, USERS, ITEMS)
    counters, ease = Counters(GRID.half_life, EASE(3.0)), EASE(3.0)
    for made in (counters, ease):
        made.absorb(events, USERS, ITEMS)
    user = np.array([3, 0, 29])
    found = BlendScorer(Fixed(), counters, BlendWeights(0.0, 0.0, 2.0)).scores(user, ITEMS).numpy()
    expected = ease.rank(user)
    assert np.allclose(found, 2 * expected / expected.std(1, keepdims=True), atol=1e-5)
    assert not np.allclose(found, BlendScorer(Fixed(), absorbed[1], BlendWeights(0.0, 0.0, 2.0)).scores(user, ITEMS))
    assert not counters.companion.known_scores(np.array([USERS + 5])).any()


def test_of_many_users_some_are_drawn_to_choose(absorbed):
    seen, counters = absorbed
    valid, world, measure = valid_events(seen), world_of(seen, USERS, ITEMS), Settings(topk=(20,))
    every, few = (weigh(Fixed(), counters, valid, world, measure, replace(GRID, most_users=m)) for m in (10**6, 7))
    again = weigh(Fixed(), counters, valid, world, measure, replace(GRID, most_users=7))
    assert np.array_equal(few.quality, again.quality)
    assert 0 < few.quality.max() <= 2 * 7 < len(np.unique(valid.user))
    assert not np.array_equal(few.quality, every.quality)
