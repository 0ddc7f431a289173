"""Contrastive distillation (sgct, mgct, lwc_kd) and learnt weights of users: contracts and terms by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import softmax
from support.penalties import LATER, NEW, OLD, Told, embeddings, graph, prepared, step, teacher

from gnnrec.core.errors import GnnrecError
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.learner import Learner
from gnnrec.objectives.joint import Joint
from gnnrec.strategies.distil.contrastive import RELATIONS, ContrastiveDistill, Relation
from gnnrec.strategies.distil.nearest import nearest_rows
from gnnrec.strategies.distil.piw import UserWeights
from gnnrec.strategies.distil.teacher import Neighbours, Teacher
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.testing.strategies import StrategyContract, game
from gnnrec.testing.worlds import FIT, MEASURE, Game


class TestSGCT(StrategyContract):
    make = staticmethod(lambda: ContrastiveDistill(positives=5, negatives=5))


class TestMGCT(StrategyContract):
    make = staticmethod(lambda: ContrastiveDistill(relations=RELATIONS, positives=3, negatives=3))


class TestLWCKDWithLearntWeights(StrategyContract):
    make = staticmethod(
        lambda: ContrastiveDistill(
            relations=("ui", "iu", "uu", "ii"), layers=0.1, positives=3, negatives=3, weights=UserWeights(3, 4)
        )
    )


def positives(name):
    """Return old neighbours, and of a kind with itself the nearest other node."""
    if name[0] == name[1]:
        return nearest_rows(OLD[0] if name == "uu" else OLD[1], 10)
    return Neighbours.of(teacher(), graph(LATER), name[0] == "u", 10)


def contrast(denominator, of=("ui",), layers=None, temperature=1.0, then=(OLD,), strengths=(1.0,)):
    """Return the strategy whose negative of node 0 is node 1 of the other kind, and of node 1 node 0."""
    far = torch.tensor([[1], [0]])
    related = [Relation(name[0] == "u", name[1] == "u", positives(name), far) for name in of]
    strategy = ContrastiveDistill(None, of, layers, temperature=temperature, denominator=denominator)
    return prepared(strategy, _then=[embeddings(*x) for x in then], _related=related, _strengths=strengths)


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


def test_the_temperature_sharpens_the_contrast():
    # Products twice as large: items 0 and 4 of user 0, 2 and 2 of user 1.
    first, second = math.log(1 + math.e**4), math.log(2)
    for denominator in ("per_anchor", "full"):
        found = contrast(denominator, temperature=0.5).penalty(step([(0, 1), (1, 1)]))
        assert float(found) == pytest.approx((first + second) / 2)


@pytest.mark.parametrize(
    ("name", "batch"),
    [
        # User 0, (1, 0), with user 1 as it is: 0; user 1, (0, 1), with user 0 as it is: 1.
        ("uu", (math.log(1 + math.e) - 0 + math.log(1 + math.e) - 1) / 2),
        # Item 0, (1, 1), with item 1 as it is: 3; item 1, (2, 0), with item 0 as it is: 0.
        ("ii", (math.log(1 + math.e**3) - 3 + math.log(1 + math.e**3) - 0) / 2),
    ],
)
def test_the_contrast_of_nodes_of_a_kind_by_hand(name, batch):
    pairs = [(0, 0), (1, 1)]
    # The other node is positive and negative in one; among all old nodes but itself there is no other.
    assert float(contrast("per_anchor", (name,)).penalty(step(pairs))) == pytest.approx(math.log(2))
    assert float(contrast("batch", (name,)).penalty(step(pairs))) == pytest.approx(batch)
    assert float(contrast("full", (name,)).penalty(step(pairs))) == pytest.approx(0.0, abs=1e-6)


def test_layers_are_summed_by_their_weights():
    # Layer 0 as above; in layer 1, which went from NEW to OLD, user 0, (1, 1), has products 2 and 2, user 1, (0, 2), 2 and 0.
    first = (math.log(1 + math.e**2) + math.log(2)) / 2
    second = (math.log(2) + (math.log(2) + math.log(1 + math.e**2)) / 2) / 2
    strategy = contrast("per_anchor", layers=[2.0, 0.5], then=(OLD, NEW), strengths=(2.0, 0.5))
    batch = step([(0, 1), (1, 1)])
    batch = replace(batch, layers=lambda: [batch.z, embeddings(*OLD)])
    assert float(strategy.penalty(batch)) == pytest.approx(2 * first + 0.5 * second)


@pytest.mark.usefixtures("one_thread")
def test_by_layers_of_an_encoder_without_messages_it_is_the_read_out():
    rows = Game(game().stream, lambda: Learner(LightGCN(8, 0), Joint(width=8), FIT, measure=MEASURE))
    given = {"positives": 5, "negatives": 5}
    a, b, plain = (
        rows.play(strategy, until=2).learner.encoder.user.weight
        for strategy in (ContrastiveDistill(0.1, **given), ContrastiveDistill(layers=[0.1], **given), FineTune())
    )
    assert torch.allclose(a, b, atol=1e-5)  # the gradients are summed in another order
    assert not torch.allclose(a, plain, atol=1e-3)


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


def by_loop(weight, new=NEW):
    """Return the sum over all relations per anchor, node by node, of users by their weights and of items alike."""
    then, now = ({"u": rows[0].numpy(), "i": rows[1].numpy()} for rows in (OLD, new))
    near = {"ui": [[0], [0, 1]], "iu": [[0, 1], [1]], "uu": [[1], [0]], "ii": [[1], [0]]}
    total = 0.0
    for of, to in RELATIONS:
        for v in (0, 1):
            pairs = []
            for p in near[of + to][v]:
                good, bad = then[of][v] @ now[to][p], then[of][v] @ now[to][1 - v]
                pairs.append(math.log(math.exp(good) + math.exp(bad)) - good)
            total += (weight[v] if of == "u" else 1.0) * sum(pairs) / len(pairs) / 2
    return total


@pytest.mark.parametrize("pairs", [[(0, 1), (1, 0)], [(1, 1), (0, 0), (1, 0)]])
def test_unequal_weights_are_of_users_alone_each_its_own(pairs):
    told = contrast("per_anchor", RELATIONS)
    told.weights = Told(1.5, 0.5)
    assert float(told.penalty(step(pairs))) == pytest.approx(by_loop([1.5, 0.5]) + 0.25)
    learnt = contrast("per_anchor", RELATIONS)
    learnt.weights = by_hand()
    rows = torch.tensor([[0.0, 0.0], [0.5, 0.0]]), NEW[1]  # as in test_weights_of_users_by_hand
    weight = by_hand()(OLD[0], rows[0]).tolist()
    assert weight[0] > weight[1] + 0.1
    expected = by_loop(weight, rows) + float(by_hand().spread(OLD[1]))
    assert float(learnt.penalty(step(pairs, rows))) == pytest.approx(expected, rel=1e-5)


def test_weights_of_users_hold_in_every_layer():
    told = contrast("per_anchor", RELATIONS, layers=[2.0, 0.5], then=(OLD, OLD), strengths=(2.0, 0.5))
    told.weights = Told(1.5, 0.5)
    assert float(told.penalty(step([(0, 0), (1, 1)]))) == pytest.approx(2.5 * by_loop([1.5, 0.5]) + 0.25)


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


def by_hand():
    """Return weights with two clusters, an asymmetric turn and a network that are written down."""
    weights = UserWeights(2, 2, soft=0.5)
    weights.fit_to(2, OLD[1], 0)
    weights.centre.data = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    weights.turn.data[0] = torch.tensor([[1.0, 0.0], [3.0, 1.0]])
    weights.first.weight.data, weights.first.bias.data = torch.tensor([[1.0, 0.0], [0.0, -2.0]]), torch.tensor([0, 3.0])
    weights.second.weight.data, weights.second.bias.data = torch.tensor([[1.0, -1.0]]), torch.tensor([0.2])
    return weights


def test_weights_of_users_by_hand():
    then, now = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 0.0], [0.5, 0.0]])

    def near(rows):  # W_0 μ_0 is (1, 3), W_1 μ_1 is (0, 2)
        return softmax(rows @ np.array([[1.0, 0.0], [3.0, 2.0]]), axis=1)

    moved = (near(then) - near(now)) ** 2
    moved /= moved.mean()
    hidden = np.maximum(np.stack([moved[:, 0], 3 - 2 * moved[:, 1]], axis=1), 0)
    raw = np.log1p(np.exp(hidden[:, 0] - hidden[:, 1] + 0.2))
    found = by_hand()(torch.tensor(then).float(), torch.tensor(now).float())
    assert found.tolist() == pytest.approx((raw / raw.mean()).tolist(), rel=1e-5)
    assert abs(float(found[0] - found[1])) > 0.1


def test_the_spread_of_clusters_by_hand():
    # Three items by the centres (1, 0) and (0, 2): squared distances 0 and 5, 5 and 0, 1 and 4.
    q = 1 / (1 + np.array([[0.0, 5.0], [5.0, 0.0], [1.0, 4.0]]))
    q /= q.sum(1, keepdims=True)
    p = q**2 / q.sum(0)
    p /= p.sum(1, keepdims=True)
    items = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    assert float(by_hand().spread(items).detach()) == pytest.approx(0.5 * (p * np.log(p / q)).sum() / 3, rel=1e-5)


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


@pytest.mark.parametrize("layers", [0.1, [0.1, 0.2], 0.0])
def test_a_strength_beside_layers_is_refused(layers):
    with pytest.raises(GnnrecError, match=r"strategy\.strength=0\.5 weighs the read-out.*a weight for each layer"):
        ContrastiveDistill(0.5, layers=layers)
    assert ContrastiveDistill(layers=layers).strength is None


def test_the_read_out_weighs_a_tenth_where_nothing_is_said():
    assert ContrastiveDistill().strength == 0.1


def test_layers_are_as_many_as_the_encoder_has():
    with pytest.raises(GnnrecError, match="has 3 weights, the encoder 2 layers"):
        game().play(ContrastiveDistill(layers=[1.0, 1.0, 1.0]))
