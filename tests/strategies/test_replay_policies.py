"""Which stored events are replayed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Interactions
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.learner import Learner
from gnnrec.objectives.joint import Joint
from gnnrec.scorers.pairs import pair_scores
from gnnrec.strategies.policies import (
    InverseDegree,
    LossRank,
    NewestShare,
    Proportional,
    Recency,
    Uniform,
    divergence,
)
from gnnrec.strategies.replay import Replay
from gnnrec.testing.strategies import StrategyContract, game
from gnnrec.testing.worlds import FIT, MEASURE, Game, differing, interactions, observed

EVENTS = interactions([(0, 0), (0, 1), (1, 0), (0, 2), (2, 3), (1, 4)])


class TestInverseDegree(StrategyContract):
    make = staticmethod(lambda: Replay(budget=40, policy=InverseDegree()))


class TestProportional(StrategyContract):
    make = staticmethod(lambda: Replay(budget=40, policy=Proportional()))


class TestRecency(StrategyContract):
    make = staticmethod(lambda: Replay(budget=40, policy=Recency(200.0)))


class TestWindow(StrategyContract):
    make = staticmethod(lambda: Replay(budget=40, policy=NewestShare(0.5)))


class TestLossRank(StrategyContract):
    make = staticmethod(lambda: Replay(budget=40, policy=LossRank()))


def test_short_histories_weigh_as_much_as_long_ones():
    weight = InverseDegree(1.0).weights(EVENTS, None)
    assert np.allclose(np.bincount(EVENTS.user, weight), 1.0)
    assert np.allclose(InverseDegree(2.0).weights(EVENTS, None)[[0, 2, 4]], [1 / 9, 1 / 4, 1])


def test_recent_events_weigh_by_their_age_whatever_their_order():
    turned = EVENTS.take(np.array([5, 0, 3, 1, 4, 2]))
    assert np.allclose(Recency(2.0).weights(turned, None), 2.0 ** (-(5 - turned.time) / 2))


def test_a_window_is_the_newest_share():
    assert NewestShare(0.5).weights(EVENTS, None).tolist() == [0, 0, 0, 1, 1, 1]


def learner():
    return game().play(Replay(0), until=1).learner


def test_what_is_ranked_badly_weighs_up_to_e_times_as_much():
    model, events = learner(), game().stream.increments[0].observed.train
    weight = LossRank().weights(events, model)
    found = pair_scores(model.objective, model.embed(), events.user, events.item)
    assert np.all(np.diff(weight[np.argsort(-found, kind="stable")]) > 0)
    assert weight.max() == pytest.approx(np.e)
    every = model.objective.scores(model.embed(), torch.from_numpy(events.user)).numpy()
    assert np.allclose(found, every[np.arange(len(events)), events.item], atol=1e-5)


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_user_s_events_together_weigh_by_how_far_it_has_shifted(sign):
    model, policy = learner(), Proportional(sign)
    policy.remember(model)
    before = model.embed().user.clone()
    model.extend(game().stream.increments[2].observed)
    events = game().stream.increments[0].observed.train
    weight = policy.weights(events, model)
    users = np.unique(events.user)
    shift = divergence(before, model.embed().user[: len(before)]).numpy()[users]
    scaled = (shift - shift.min()) / (shift.max() - shift.min())
    total = np.bincount(events.user, weight)
    assert shift.max() > 0
    assert np.allclose(total[users], np.exp(sign * scaled))


def test_the_divergence_of_rows_is_scipy_s():
    from scipy.spatial.distance import jensenshannon
    from scipy.special import softmax

    a, b = (torch.randn(6, 5, generator=torch.Generator().manual_seed(n)) for n in (0, 1))
    expected = [
        jensenshannon(softmax(x), softmax(y)) ** 2 for x, y in zip(a.double().numpy(), b.double().numpy(), strict=True)
    ]
    assert np.allclose(divergence(a, b), expected)
    assert np.allclose(divergence(a, a), 0.0, atol=1e-12)


def drawn(policy, budget=2, rounds=4000):
    counts = np.zeros(len(EVENTS))
    for seed in range(rounds):
        strategy = Replay(budget, policy=policy, seed=seed)
        strategy.stored = EVENTS
        strategy._weight = policy.weights(EVENTS, None)
        found = strategy._drawn(np.random.default_rng(seed))
        assert len(np.unique(found)) == len(found)
        counts[found] += 1
    return counts / rounds


def test_a_single_draw_is_in_proportion_to_the_weights():
    weight = InverseDegree(1.0).weights(EVENTS, None)
    assert np.allclose(drawn(InverseDegree(1.0), budget=1), weight / weight.sum(), atol=0.03)


def test_what_weighs_nothing_is_never_drawn_and_no_more_than_there_is():
    assert drawn(NewestShare(0.5), budget=5, rounds=50).tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    "same", [lambda: InverseDegree(0.0), lambda: NewestShare(1.0), lambda: LossRank(0.0), lambda: Recency(1e300)]
)
def test_without_a_preference_policies_are_uniform(same):
    a, b = (game().play(Replay(30, policy=policy), until=1).prints[1] for policy in (same(), Uniform()))
    assert not differing(a, b)


@pytest.mark.usefixtures("one_thread")
def test_where_nobody_has_shifted_each_user_weighs_alike():
    still = Game(game().stream, lambda: Learner(LightGCN(8, 0), Joint(width=8), FIT, measure=MEASURE))
    a, b = (still.play(Replay(30, policy=p), until=2).prints[2] for p in (Proportional(), InverseDegree(1.0)))
    assert not differing(a, b)


def test_what_is_there_twice_and_taken_back_once_stays_once():
    twice = Interactions(*(np.array(x) for x in ([0, 0, 1], [0, 0, 1], [1.0, 1.0, 1.0], [5.0, 5.0, 6.0])))
    nothing = twice.take(slice(0, 0))
    new = replace(observed(nothing, nothing, 2, 2), index=1, removed=twice.take(slice(0, 1)))
    for whole in (True, False):  # as what updates, and as a candidate that was not chosen
        strategy = Replay(policy=Uniform())
        strategy.stored = twice
        if whole:
            strategy.prepare(None, new)
            assert strategy.data(nothing, new).item.tolist() == [0, 1]
        strategy.consolidate(None, new)
        assert strategy.stored.item.tolist() == [0, 1]


@pytest.mark.usefixtures("one_thread")
def test_a_budget_above_the_store_replays_all_of_it_whatever_the_policy():
    a, b = (game().play(Replay(10**6, policy=policy), until=1).prints[1] for policy in (InverseDegree(), None))
    assert not differing(a, b)


def test_policies_of_nothing_are_empty():
    nothing = Interactions.empty()
    for policy in (Uniform(), InverseDegree(), Recency(), NewestShare()):
        assert len(policy.weights(nothing, None)) == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InverseDegree(-1.0), r"temperature=-1\.0 must be 0 or more"),
        (lambda: Recency(0.0), r"half_life=0\.0 must be above 0"),
        (lambda: NewestShare(0.0), r"share=0\.0 must be above 0"),
        (lambda: LossRank(-1.0), r"sharpness=-1\.0"),
        (lambda: Proportional(0), r"sign=0 must be -1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(make, message):
    with pytest.raises(GnnrecError, match=message):
        make()
