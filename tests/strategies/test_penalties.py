"""Strategies with a penalty: the contract, the terms by hand on four nodes, and nothing to add is fine-tuning."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from support.penalties import NEW, OLD, PAIRS, embeddings, graph, step, teacher
from torch.nn import functional as F

from gnnrec.core.errors import GnnrecError
from gnnrec.encoders.inmo import INMO
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.encoders.ngcf import NGCF
from gnnrec.learner import Learner
from gnnrec.objectives.bpr import BPR
from gnnrec.objectives.joint import Joint
from gnnrec.strategies.chain import Chain
from gnnrec.strategies.distil.anchors import Anchors, clustered
from gnnrec.strategies.distil.contrastive import ContrastiveDistill, Relation
from gnnrec.strategies.distil.ewc import EWC
from gnnrec.strategies.distil.graph_sail import GraphSAIL
from gnnrec.strategies.distil.nearest import nearest_rows
from gnnrec.strategies.distil.pisa import PISA, largest
from gnnrec.strategies.distil.piw import UserWeights
from gnnrec.strategies.distil.pull import Pull
from gnnrec.strategies.distil.scores import Distill, LightDistill
from gnnrec.strategies.distil.teacher import Neighbours
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.strategies.parts import EMA
from gnnrec.testing.strategies import StrategyContract, game
from gnnrec.testing.worlds import FIT, MEASURE, Game, differing, interactions

LATER = [*PAIRS, (0, 1)]


class TestPull(StrategyContract):
    make = staticmethod(lambda: Pull(strength=0.1))


class TestEWC(StrategyContract):
    make = staticmethod(lambda: EWC(strength=10.0, samples=60, chunk=8))


class TestDistill(StrategyContract):
    make = staticmethod(lambda: Distill(best=5, others=5))


class TestLightDistill(StrategyContract):
    make = staticmethod(LightDistill)


class TestGraphSAIL(StrategyContract):
    make = staticmethod(lambda: GraphSAIL(clusters=3))


class TestSGCT(StrategyContract):
    make = staticmethod(lambda: ContrastiveDistill(positives=5, negatives=5))


class TestLWCKDWithLearntWeights(StrategyContract):
    make = staticmethod(
        lambda: ContrastiveDistill(
            relations=("ui", "iu", "uu", "ii"), layers=0.1, positives=3, negatives=3, weights=UserWeights(3, 4)
        )
    )


class TestPISA(StrategyContract):
    make = staticmethod(lambda: PISA(clusters=3, share=0.5))


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    "make",
    [
        lambda: Pull(0.0),
        lambda: EWC(0.0),
        lambda: Distill(0.0),
        lambda: LightDistill(0.0),
        lambda: GraphSAIL(0.0, 0.0, 0.0),
        lambda: ContrastiveDistill(0.0),
        lambda: ContrastiveDistill(layers=0.0),
        lambda: PISA(0.0),
        lambda: EMA(0.0),
        lambda: Chain({"pull": Pull(0.0), "fine": FineTune()}),
    ],
    ids=["pull", "ewc", "distill", "light_distill", "graph_sail", "sgct", "lwc_kd", "pisa", "ema", "chain"],
)
def test_with_nothing_to_add_it_is_fine_tuning(make):
    a, b = game().play(make()), game().play(FineTune())
    for t in a.prints:
        assert not differing(*({n: x for n, x in p.prints[t].items() if not n.startswith("strategy.")} for p in (a, b)))
    assert_frame_equal(*(p.results().filter(pl.col("split") != "cost") for p in (a, b)), check_exact=True)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    "make",
    [
        Pull,
        lambda: EWC(10.0, samples=20),
        LightDistill,
        lambda: Distill(best=5, others=5),
        GraphSAIL,
        ContrastiveDistill,
        PISA,
        EMA,
    ],
)
def test_with_something_to_add_it_is_not(make):
    a, b = game().play(make()), game().play(FineTune())
    assert "encoder.item.weight" in differing(a.prints[3], b.prints[3])


TERMS = {
    "pull": Pull,
    "ewc": lambda: EWC(10.0, samples=20),
    "distill": lambda: Distill(best=5, others=5),
    "light_distill": LightDistill,
    "graph_sail": lambda: GraphSAIL(clusters=3),
    "lwc_kd": lambda: ContrastiveDistill(relations=("ui", "iu", "uu", "ii"), layers=0.1, weights=UserWeights(3, 4)),
    "pisa": lambda: PISA(clusters=3),
}


@pytest.mark.parametrize("name", TERMS)
def test_terms_reach_the_rows_that_are_trained_where_only_some_are(name):
    fit = replace(FIT, rows="touched")
    own = Game(game().stream, lambda: Learner(LightGCN(8, 2), Joint(width=8), fit, FIT, measure=MEASURE))
    ends = [own.play(s, until=2).learner.encoder.item.weight for s in (TERMS[name](), FineTune())]
    assert torch.isfinite(ends[0]).all()
    assert not torch.equal(*ends)


@pytest.mark.parametrize("name", TERMS)
def test_terms_are_those_of_an_encoder_that_reads_out_more_than_it_keeps(name):
    own = Game(game().stream, lambda: Learner(NGCF(8, 2), Joint(width=8), FIT, measure=MEASURE))
    assert torch.isfinite(own.play(TERMS[name](), until=2).learner.embed().user).all()


def moved(strategy):
    """Return how far the rows of old users went in one update of so many steps, root mean square."""
    fit = replace(FIT, budget="equal", steps=20)
    own = Game(game().stream, lambda: Learner(LightGCN(8, 2), Joint(width=8), fit, FIT, measure=MEASURE))
    base = own.base.weights["encoder.user.weight"]
    rows = own.play(strategy, until=1).learner.state_dict()["encoder.user.weight"][: len(base)]
    return float((rows - base).square().mean().sqrt())


def test_the_stronger_the_pull_the_less_old_rows_move():
    far = [moved(Pull(strength, by_degree=False)) for strength in (0.0, 0.1, 10.0)]
    assert far[0] > far[1] > far[2]


def prepared(strategy, pairs=LATER, **given):
    """Return a strategy whose old model is that of the four nodes, its graph grown to `pairs`."""
    strategy._teacher = teacher()
    for name, value in given.items():
        setattr(strategy, name, value)
    return strategy


def test_pull_by_hand():
    # Every row moves by a square of 1. Degrees: users 1, 2 → 2, 2; items 2, 1 → 2, 2.
    share = teacher().shares(graph(LATER))
    assert [x.tolist() for x in share] == [[0.5, 1.0], [1.0, 0.5]]
    strategy = prepared(Pull(2.0), _weight=dict(zip(("user", "item"), share, strict=True)))
    assert float(strategy.penalty(step([(0, 0)]))) == pytest.approx(2 * 3.0)


def test_ewc_by_hand_and_with_equal_importances_it_is_the_pull():
    whole = {"user": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "item": torch.zeros(2, 2)}
    assert float(prepared(EWC(2.0), _whole=whole).penalty(step([(0, 0)]))) == pytest.approx(6.0)
    ones = {name: torch.ones(2, 2) for name in whole}
    flat = {name: torch.ones(2) for name in whole}
    ewc = prepared(EWC(3.0), _whole=ones).penalty(step([(0, 0)]))
    assert torch.equal(ewc, prepared(Pull(1.5, by_degree=False), _weight=flat).penalty(step([(0, 0)])))


def test_importances_are_squared_gradients_of_single_events():
    learner, new = game().play(FineTune(), until=1).learner, game().stream.increments[1].observed
    some = new.train.take(slice(0, 6))
    strategy = EWC(samples=6, chunk=1)
    strategy._drawn = lambda new: some
    found = strategy._fisher(learner, new)
    expected = torch.zeros_like(learner.encoder.user.weight)
    learner.fits.number -= 6  # the same negatives again
    for k in range(6):
        (one,) = learner.loop(some.take(slice(k, k + 1)))
        expected += torch.autograd.grad(one.loss(), one.trained["user"].parameter)[0].square() / 6
    assert torch.allclose(found["user"], expected)
    assert float(expected.max()) > 0


def test_importances_decay_and_only_rows_that_have_some_are_kept():
    learner, new = game().play(FineTune(), until=1).learner, game().stream.increments[1].observed
    strategy = EWC(decay=0.5, samples=10)
    known = torch.tensor([0, 2]), torch.full((2, 8), 4.0).half()
    strategy.importance = {"user": known}
    strategy._fisher = lambda learner, new: {n: torch.zeros_like(x) for n, x in learner.encoder.tables().items()}
    strategy.consolidate(learner, new)
    node, rows = strategy.importance["user"]
    assert node.tolist() == [0, 2]
    assert torch.equal(rows, torch.full((2, 8), 2.0).half())
    assert len(strategy.importance["item"][0]) == 0


def test_distillation_of_lists_by_hand():
    # User 0: old scores 1 and 2, new 1 and 3.
    lists = {"_row": torch.tensor([0, -1]), "_candidates": torch.tensor([[0, 1]]), "_objective": BPR()}
    lists["_repeats"] = torch.zeros(1, 2, dtype=torch.bool)
    strategy = prepared(Distill(2.0), **lists)
    p, q = (np.exp(s) / np.exp(s).sum() for s in (np.array([1.0, 2.0]), np.array([1.0, 3.0])))
    assert float(strategy.penalty(step([(0, 0), (1, 1)]))) == pytest.approx(2 * (p * np.log(p / q)).sum(), rel=1e-5)
    assert [x.tolist() for x in strategy.nodes(step([(0, 0), (1, 1)]).batch)] == [[], [0, 1]]
    assert strategy.penalty(step([(1, 1)])) == 0.0  # its candidates were not asked for


def test_distillation_of_old_items_by_hand():
    # Old pairs: (0, 0) scores 1 → 1, (1, 0) 1 → 2, (1, 1) 0 → 2.
    near = Neighbours.of(teacher(), graph(LATER), True, 10)
    strategy = prepared(LightDistill(3.0), _objective=BPR(), _old=near)
    assert float(strategy.penalty(step([(0, 1), (1, 0)]))) == pytest.approx(3 * 5 / 3)
    assert float(strategy.penalty(step([(1, 0)]))) == pytest.approx(3 * 5 / 2)


def test_what_is_taken_back_teaches_no_more():
    near = Neighbours.of(teacher(), graph([(0, 0), (1, 1)]), True, 10)
    assert near.of_nodes(torch.tensor([0, 1]))[1].tolist() == [0, 1]


def sail(**weights):
    near = [Neighbours.of(teacher(), graph(LATER), side, 10) for side in (True, False)]
    every = Anchors(torch.tensor([0, 1]), torch.tensor([0, 1]), 2)
    terms = {"own": 0.0, "local": 0.0, "globe": 0.0} | weights
    given = {"_share": teacher().shares(graph(LATER))}
    given |= {"_near": tuple(near)} if terms["local"] else {}
    given |= {"_anchors": (every, every)} if terms["globe"] else {}
    return prepared(GraphSAIL(**terms), **given)


def test_graph_sail_s_self_information_by_hand():
    # User 1 stays: users (.5 · 1 + 1 · 0) / .75 / 2 = 1/3; both items move by 1: 1.
    rows = torch.stack([NEW[0][0], OLD[0][1]]), NEW[1]
    assert float(sail(own=3.0).penalty(step([(0, 0), (1, 1)], rows))) == pytest.approx(3 * (1 / 3 + 1))


def test_graph_sail_s_local_structure_by_hand():
    # <e, mean of old neighbours>: users 1 → 1, .5 → 2; items 1 → 1.5, 0 → 2.
    assert float(sail(local=2.0).penalty(step([(0, 0), (1, 1)]))) == pytest.approx(2 * (2.25 / 2 + (0.25 + 4) / 2))


def test_graph_sail_s_global_structure_by_hand():
    def places(rows, anchors):
        s = np.exp(rows @ anchors.T)
        return s / s.sum(1, keepdims=True)

    old, new = [x.numpy() for x in OLD], [x.numpy() for x in NEW]
    expected = 0.0
    for kind in (0, 1):
        for anchors in (0, 1):
            p, q = places(new[kind], new[anchors]), places(old[kind], old[anchors])
            expected += (p * np.log(p / q)).sum(1).mean()
    assert float(sail(globe=0.5).penalty(step([(0, 0), (1, 1)]))) == pytest.approx(0.5 * expected, rel=1e-5)


def test_graph_sail_adds_nothing_to_a_model_that_has_not_moved():
    total = sail(own=1.0, local=1.0, globe=1.0).penalty(step([(0, 0), (1, 1)], OLD))
    assert float(total) == pytest.approx(0.0, abs=1e-6)


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


def test_pisa_s_contrast_by_hand():
    # Cosines of old users with new ones: (1, 0) with (1, 1) and (0, 2): .7071, 0; (0, 1): .7071, 1.
    near = np.array([[math.sqrt(0.5), 0.0], [math.sqrt(0.5), 1.0]]) / 0.5
    loss = np.log(np.exp(near).sum(1)) - np.diag(near)
    found = PISA(temperature=0.5)._pulled(OLD[0], NEW[0], torch.tensor([0.4, 0.8]))
    assert float(found) == pytest.approx((np.array([0.4, 0.8]) * loss).mean(), rel=1e-5)


def test_pisa_pulls_who_drifts_to_the_forward_model_and_others_to_the_old_one():
    # With one centre everybody's share is 1 and nobody drifts: w = .5 for both, and both count on either side.
    forward = embeddings(OLD[0].flip(0), OLD[1])
    near = Neighbours.of(teacher(), graph(LATER), True, 10)
    strategy = PISA(strength=2.0, share=1.0, temperature=1.0, clusters=1)
    strategy = prepared(strategy, _forward=forward, _old=near, _new=near, _index=1)
    z, half = NEW[0], torch.tensor([0.5, 0.5])
    mean = torch.stack([OLD[1][0], OLD[1].mean(0)])  # of user 0's item and of user 1's two, alike in both models
    expected = sum(strategy._pulled(a, z, half) for a in (forward.user, OLD[0], mean, mean))
    assert float(strategy.penalty(step([(0, 0), (1, 1)]))) == pytest.approx(2 * float(expected), rel=1e-5)


def test_pisa_keeps_the_weights_of_who_drifts_most():
    weight = torch.tensor([0.5, 0.6, 0.4, 0.45, 0.55])
    assert largest(weight, 0.4).tolist() == pytest.approx([0, 0.6, 0, 0, 0.55])
    assert largest(weight, 1.0).tolist() == weight.tolist()


def test_newest_items_of_events_are_kept():
    events = interactions([(0, 5), (1, 2), (0, 3), (0, 5), (0, 7), (4, 1)])
    near = Neighbours.of_events(events, 2, 2, torch.device("cpu"))
    assert sorted(near.of_nodes(torch.tensor([0]))[1].tolist()) == [5, 7]
    assert near.of_nodes(torch.tensor([1]))[1].tolist() == [2]


def test_nearest_rows_are_those_of_the_highest_cosine():
    rows = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    near = nearest_rows(rows, 3)
    cosine = F.normalize(rows, dim=1) @ F.normalize(rows, dim=1).T
    cosine.fill_diagonal_(-2)
    for node in range(40):
        assert set(near.of_nodes(torch.tensor([node]))[1].tolist()) == set(cosine[node].topk(3).indices.tolist())


def test_clusters_that_are_apart_are_found():
    rows = torch.cat([torch.randn(20, 4) * 0.1 + 5 * torch.eye(4)[k] for k in range(3)])
    _, label = clustered(rows, (0, 1), 3)
    assert [len(set(label[20 * k : 20 * k + 20].tolist())) for k in range(3)] == [1, 1, 1]
    assert len(set(label.tolist())) == 3
    anchors = Anchors.of(rows, (0, 1), 3, 5)
    assert torch.bincount(anchors.cluster).tolist() == [5, 5, 5]
    means = anchors.means(rows[anchors.node])
    assert torch.allclose(means[anchors.cluster[0]], rows[anchors.node[anchors.cluster == anchors.cluster[0]]].mean(0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Pull(-1.0), r"strategy\.strength=-1\.0 must be 0 or more"),
        (lambda: EWC(decay=2.0), r"strategy\.decay between 0 and 1, got"),
        (lambda: Distill(temperature=0.0), r"strategy\.temperature=0\.0 must be above 0"),
        (lambda: LightDistill(-1.0), r"strategy\.strength=-1\.0"),
        (lambda: GraphSAIL(own=-1.0), r"strategy\.own, local and globe must be 0 or more"),
        (lambda: ContrastiveDistill(denominator="batches"), r"'batches' is not known; did you mean 'batch'"),
        (lambda: ContrastiveDistill(relations=("xx",)), r"strategy\.relations: 'xx' is not known"),
        (lambda: PISA(share=0.0), r"strategy\.share above 0 and 1 at most; got 0\.5 and 0\.0"),
        (lambda: EMA(-0.1), r"strategy\.weight=-0\.1 must be 0 or more"),
    ],
)
def test_settings_that_mean_nothing_are_refused(make, message):
    with pytest.raises(GnnrecError, match=message):
        make()


@pytest.mark.parametrize("make", [Pull, EWC])
def test_rows_cannot_be_held_where_there_are_none(make):
    own = Game(game().stream, lambda: Learner(INMO(8, 2), Joint(width=8), FIT, measure=MEASURE))
    with pytest.raises(GnnrecError, match="INMO keeps none"):
        own.play(make())


def test_layers_are_as_many_as_the_encoder_has():
    with pytest.raises(GnnrecError, match="has 3 weights, the encoder 2 layers"):
        game().play(ContrastiveDistill(layers=[1.0, 1.0, 1.0]))
