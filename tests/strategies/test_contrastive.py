"""Contrastive distillation (sgct, mgct, lwc_kd) and learnt weights of users: contracts and terms by hand."""

from __future__ import annotations

import math

import pytest
import torch
from support.penalties import LATER, OLD, embeddings, graph, prepared, step, teacher

from gnnrec.core.errors import GnnrecError
from gnnrec.strategies.distil.contrastive import RELATIONS, ContrastiveDistill, Relation
from gnnrec.strategies.distil.piw import UserWeights
from gnnrec.strategies.distil.teacher import Neighbours, Teacher
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.testing.strategies import StrategyContract, game


class TestSGCT(StrategyContract):
    make = staticmethod(lambda: ContrastiveDistill(positives=5, negatives=5))


class TestLWCKDWithLearntWeights(StrategyContract):
    make = staticmethod(
        lambda: ContrastiveDistill(
            relations=("ui", "iu", "uu", "ii"), layers=0.1, positives=3, negatives=3, weights=UserWeights(3, 4)
        )
    )


def contrast(denominator, of=("ui",), layers=None):
    """Return the strategy whose negative of user 0 is item 1, and of user 1 item 0."""
    far = torch.tensor([[1], [0]])
    related = [
        Relation(name[0] == "u", name[1] == "u", Neighbours.of(teacher(), graph(LATER), name[0] == "u", 10), far)
        for name in of
    ]
    strategy = ContrastiveDistill(1.0, of, layers, temperature=1.0, denominator=denominator)
    return prepared(strategy, _then=[embeddings(*OLD)], _related=related, _strengths=(1.0,))


def test_the_contrast_of_old_anchors_by_hand():
    # Old user 0 with items as they are: 0 and 2, positive item 0; user 1: 1 and 1, both positive.
    first, second = math.log(1 + math.e**2), math.log(2)
    pairs = [(0, 1), (1, 1)]
    assert float(contrast("per_anchor").penalty(step(pairs))) == pytest.approx((first + second) / 2)
    assert float(contrast("full").penalty(step(pairs))) == pytest.approx((first + second) / 2)
    batch = math.log(math.e**2 + math.e)
    assert float(contrast("batch").penalty(step(pairs))) == pytest.approx((batch - 0 + batch - 1) / 2)


def test_the_contrast_of_items_with_users_by_hand():
    # Old item 0, (1, 1), with users as they are: 2 and 2; both positives, its negative user 1: log 2 each.
    assert float(contrast("per_anchor", ("iu",)).penalty(step([(0, 0)]))) == pytest.approx(math.log(2))


def test_by_layers_of_a_model_without_layers_it_is_the_read_out():
    one, other = (
        contrast("per_anchor", ("ui", "iu"), layers).penalty(step([(0, 1), (1, 1)])) for layers in (None, [1.0])
    )
    assert torch.equal(one, other)


def test_equal_weights_of_users_are_none():
    plain, weighted = contrast("per_anchor"), contrast("per_anchor")
    weighted.weights = UserWeights(2, 3, soft=0.0)
    weighted.weights.fit_to(2, OLD[1], 0)
    torch.nn.init.zeros_(weighted.weights.second.weight)
    pairs = [(0, 1), (1, 1)]
    assert float(weighted.penalty(step(pairs))) == pytest.approx(float(plain.penalty(step(pairs))))


def test_learnt_weights_have_a_mean_of_one_and_a_slope():
    weights = UserWeights(3, 4)
    weights.fit_to(2, OLD[1], 0)
    found = weights(torch.randn(9, 2), torch.randn(9, 2))
    assert float(found.mean()) == pytest.approx(1.0)
    (found[0] + weights.spread(OLD[1])).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in weights.parameters())


def test_weights_tell_users_apart_however_small_their_moves_are():
    weights, then = UserWeights(3, 16), torch.randn(9, 2, generator=torch.Generator().manual_seed(0))
    weights.fit_to(2, OLD[1], 0)
    moved = then + 1e-3 * torch.randn(9, 2, generator=torch.Generator().manual_seed(1))
    assert float(weights(then, moved).std()) > 0.01
    assert torch.equal(weights(then, then), torch.ones(9))


def test_affinities_and_spread_by_hand():
    weights = UserWeights(2, 3, soft=0.5)
    weights.fit_to(2, OLD[1], 0)
    weights.centre.data = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    # e·μ is 1 and 2 for the first user, 0 and -2 for the second; W starts as the identity.
    found = weights._near(torch.tensor([[1.0, 1.0], [0.0, -1.0]]))
    share = 1 / (1 + math.exp(1.0)), 1 / (1 + math.exp(-2.0))
    assert found.flatten().tolist() == pytest.approx([share[0], 1 - share[0], share[1], 1 - share[1]])
    # Two items on the centres: squared distance 0 and 5, so q is (1, 1/6) and (1/6, 1) over 7/6.
    near, far = 6 / 7, 1 / 7
    sharp = near**2 / (near**2 + far**2), far**2 / (near**2 + far**2)  # both columns sum to 1
    kl = sum(p * math.log(p / q) for p, q in zip(sharp, (near, far), strict=True))
    assert float(weights.spread(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))) == pytest.approx(0.5 * kl)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", RELATIONS)
def test_positives_are_old_neighbours_and_negatives_never_the_node_itself(name):
    learner, new = game().play(FineTune(), until=1).learner, game().stream.increments[2].observed
    old = Teacher.of(learner)
    strategy = ContrastiveDistill(relations=[name], positives=3, negatives=50)
    related = strategy._relation(old, learner, name, new.index)
    own, other = (old.z.user if letter == "u" else old.z.item for letter in name)
    position, positive = related.near.of_nodes(torch.arange(len(own)))
    assert related.far.shape == (len(own), 50)
    assert int(related.far.min()) >= 0
    assert int(related.far.max()) < len(other)
    if name[0] == name[1]:
        cosine = torch.nn.functional.normalize(own, dim=1)
        cosine = (cosine @ cosine.T).fill_diagonal_(-2)
        best = cosine.topk(3, dim=1).indices
        found = positive.view(len(own), 3)
        assert all(set(a.tolist()) == set(b.tolist()) for a, b in zip(found, best, strict=True))
        assert not (related.far == torch.arange(len(own)).unsqueeze(1)).any()
    else:
        pair = (position, positive) if name == "ui" else (positive, position)
        assert learner.seen.has(*(x.numpy() for x in pair)).all()
        degree = learner.seen.degree_user if name == "ui" else learner.seen.degree_item
        assert torch.bincount(position, minlength=len(own)).tolist() == degree.clamp(max=3).tolist()
    again = strategy._relation(old, learner, name, new.index)
    assert torch.equal(again.far, related.far)  # by seed and increment
    assert not torch.equal(strategy._relation(old, learner, name, new.index + 1).far, related.far)


def test_layers_are_as_many_as_the_encoder_has():
    with pytest.raises(GnnrecError, match="has 3 weights, the encoder 2 layers"):
        game().play(ContrastiveDistill(layers=[1.0, 1.0, 1.0]))
