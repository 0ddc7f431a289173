"""Distillation of scores: contracts and terms by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.penalties import LATER, Told, graph, prepared, step, teacher

from gnnrec.objectives.bpr import BPR
from gnnrec.strategies.distil.piw import UserWeights
from gnnrec.strategies.distil.scores import Distill, LightDistill
from gnnrec.strategies.distil.teacher import Neighbours
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.testing.strategies import StrategyContract, game


class TestDistill(StrategyContract):
    make = staticmethod(lambda: Distill(best=5, others=5))


class TestLightDistill(StrategyContract):
    make = staticmethod(LightDistill)


class TestDistillWithLearntWeights(StrategyContract):
    make = staticmethod(lambda: Distill(best=5, others=5, weights=UserWeights(3, 4)))


class TestLightDistillWithLearntWeights(StrategyContract):
    make = staticmethod(lambda: LightDistill(weights=UserWeights(3, 4)))


def lists(row, candidates, then, temperature=1.0):
    """Return what `prepare` notes: candidates of users, and the old scores of these."""
    found = torch.tensor(candidates)
    old = (torch.tensor(then) / temperature).log_softmax(1)
    noted = {
        "_row": torch.tensor(row),
        "_candidates": found,
        "_then": old,
        "_repeats": torch.zeros_like(found, dtype=bool),
    }
    return {**noted, "_objective": BPR()}


def test_distillation_of_lists_by_hand():
    # User 0: old scores 1 and 2, new 1 and 3.
    strategy = prepared(Distill(2.0, best=1), **lists([0, -1], [[0, 1]], [[1.0, 2.0]]), _common=torch.tensor([1]))
    p, q = (np.exp(s) / np.exp(s).sum() for s in (np.array([1.0, 2.0]), np.array([1.0, 3.0])))
    first = (p * np.log(p / q)).sum()
    assert strategy.penalty(step([(0, 0)])).item() == pytest.approx(2 * first, rel=1e-5)
    assert [x.tolist() for x in strategy.nodes(step([(0, 0)]).batch)] == [[], [0, 1]]
    # User 1 is replayed: its candidates, the best item 0 and the common item 1, are looked up; 1 and 0, now 2 and 2.
    p, q = np.array([np.e, 1]) / (np.e + 1), np.array([0.5, 0.5])
    both = (first + (p * np.log(p / q)).sum()) / 2
    assert strategy.penalty(step([(0, 0), (1, 1)])).item() == pytest.approx(2 * both, rel=1e-5)


def test_lists_of_several_users_are_a_mean_and_the_temperature_softens_them():
    # Old scores 1 and 2 of user 0, 0 and 1 of user 1 (item 1 first); new ones 1 and 3, 2 and 2.
    noted = lists([0, 1], [[0, 1], [1, 0]], [[1.0, 2.0], [0.0, 1.0]], temperature=2.0)
    strategy, expected = prepared(Distill(3.0, temperature=2.0), **noted), []
    for old, new in (((1.0, 2.0), (1.0, 3.0)), ((0.0, 1.0), (2.0, 2.0))):
        p, q = (np.exp(np.array(x) / 2) / np.exp(np.array(x) / 2).sum() for x in (old, new))
        expected.append((p * np.log(p / q)).sum())
    assert strategy.penalty(step([(0, 0), (1, 1)])).item() == pytest.approx(3 * np.mean(expected), rel=1e-5)


def test_lists_of_users_count_as_is_learnt():
    noted = lists([0, -1], [[0, 1]], [[1.0, 2.0]])
    plain, told = prepared(Distill(2.0), **noted), prepared(Distill(2.0), **noted, weights=Told(1.5))
    pairs = [(0, 0), (5, 1)]  # user 5 is new
    assert float(told.penalty(step(pairs))) == pytest.approx(1.5 * float(plain.penalty(step(pairs))) + 0.25)


def test_old_items_of_users_count_as_is_learnt():
    near = Neighbours.of(teacher(), graph(LATER), True, 10)
    strategy = prepared(LightDistill(3.0), _objective=BPR(), _old=near, weights=Told(1.5, 0.5))
    assert float(strategy.penalty(step([(0, 1), (1, 0)]))) == pytest.approx(3 * 0.5 * 5 / 3 + 0.25)


@pytest.mark.usefixtures("one_thread")
def test_candidates_are_the_old_models_best_and_others_by_chance_each_once():
    learner, new = game().play(FineTune(), until=1).learner, game().stream.increments[2].observed
    strategy = Distill(best=4, others=6)
    strategy.remember(learner, new)
    strategy.prepare(learner, new)
    z = learner.embed()
    with torch.no_grad():
        scores = learner.objective.scores(z, torch.arange(len(z.user)))
    old = np.unique(new.train.user[new.train.user < len(z.user)])
    assert np.flatnonzero(strategy._row.numpy() >= 0).tolist() == old.tolist()
    users, items = strategy._lists(step([(int(u), 0) for u in old]).batch)
    repeats = strategy._repeats[strategy._row[users]]
    for user, row, twice in zip(users.tolist(), items, repeats, strict=True):
        assert set(row[:4].tolist()) == set(scores[user].topk(4).indices.tolist())
        kept = row[~twice].tolist()
        assert len(set(kept)) == len(kept)
        assert set(kept) == set(row.tolist())
    assert items[:, 4:].eq(items[0, 4:]).all()  # alike for all users
    shares = strategy._shares(torch.zeros(items.shape), users).exp()
    assert torch.allclose(shares, (~repeats) / (~repeats).sum(1, keepdim=True))
    with torch.no_grad():
        old = learner.objective.affinity(z.user[users].unsqueeze(1), z.item[items]).masked_fill(repeats, -1e4)
    assert torch.allclose(strategy._then[strategy._row[users]], old.log_softmax(1), atol=1e-5)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("make", [Distill, LightDistill])
def test_weights_are_learnt_and_saved(make):
    learnt = game().play(make(weights=UserWeights(3, 4))).strategy
    fresh = UserWeights(3, 4)
    fresh.fit_to(learnt.weights.turn.shape[1], learnt.weights.centre.detach(), 0)
    assert not torch.equal(learnt.weights.first.weight, fresh.first.weight)
    assert any(name.startswith("modules.") for name in learnt.state_dict())


def test_distillation_of_old_items_by_hand():
    # Old pairs: (0, 0) scores 1 → 1, (1, 0) 1 → 2, (1, 1) 0 → 2.
    near = Neighbours.of(teacher(), graph(LATER), True, 10)
    strategy = prepared(LightDistill(3.0), _objective=BPR(), _old=near)
    assert strategy.penalty(step([(0, 1), (1, 0)])).item() == pytest.approx(3 * 5 / 3)
    assert strategy.penalty(step([(1, 0)])).item() == pytest.approx(3 * 5 / 2)
