"""GraphSAIL: its contract and its three terms by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.penalties import LATER, NEW, OLD, Told, graph, prepared, step, teacher

from gnnrec.strategies.distil.anchors import Anchors
from gnnrec.strategies.distil.graph_sail import GraphSAIL
from gnnrec.strategies.distil.piw import UserWeights
from gnnrec.strategies.distil.teacher import Neighbours
from gnnrec.testing.strategies import StrategyContract


class TestGraphSAIL(StrategyContract):
    make = staticmethod(lambda: GraphSAIL(clusters=3))


class TestGraphSAILWithLearntWeights(StrategyContract):
    make = staticmethod(lambda: GraphSAIL(clusters=3, weights=UserWeights(3, 4)))


def sail(temperature=1.0, **weights):
    near = [Neighbours.of(teacher(), graph(LATER), side, 10) for side in (True, False)]
    every = Anchors(torch.tensor([0, 1]), torch.tensor([0, 1]), 2)
    terms = {"own": 0.0, "local": 0.0, "globe": 0.0} | weights
    given = {"_share": teacher().shares(graph(LATER))}
    given |= {"_near": tuple(near)} if terms["local"] else {}
    given |= {"_anchors": (every, every)} if terms["globe"] else {}
    return prepared(GraphSAIL(**terms, temperature=temperature), **given)


def test_graph_sail_s_self_information_by_hand():
    # User 1 stays: users (.5 · 1 + 1 · 0) / .75 / 2 = 1/3; both items move by 1: 1.
    rows = torch.stack([NEW[0][0], OLD[0][1]]), NEW[1]
    assert float(sail(own=3.0).penalty(step([(0, 0), (1, 1)], rows))) == pytest.approx(3 * (1 / 3 + 1))


def test_graph_sail_s_local_structure_by_hand():
    # <e, mean of old neighbours>: users 1 → 1, .5 → 2; items 1 → 1.5, 0 → 2.
    assert float(sail(local=2.0).penalty(step([(0, 0), (1, 1)]))) == pytest.approx(2 * (2.25 / 2 + (0.25 + 4) / 2))


def places_moved(temperature=1.0, weight=(1.0, 1.0), rows=NEW):
    """Return the sum of the four mean divergences, of users by their weights and of items alike."""

    def places(rows, anchors):
        s = np.exp(rows @ anchors.T / temperature)
        return s / s.sum(1, keepdims=True)

    old, new = [x.numpy() for x in OLD], [x.numpy() for x in rows]
    total = 0.0
    for kind in (0, 1):
        for anchors in (0, 1):
            p, q = places(new[kind], new[anchors]), places(old[kind], old[anchors])
            moved = (p * np.log(p / q)).sum(1)
            total += sum(w * x for w, x in zip((1.0, 1.0) if kind else weight, moved, strict=True)) / 2
    return total


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_graph_sail_s_global_structure_by_hand(temperature):
    found = sail(globe=0.5, temperature=temperature).penalty(step([(0, 0), (1, 1)]))
    assert float(found) == pytest.approx(0.5 * places_moved(temperature), rel=1e-5)


def test_weights_of_users_are_of_users_alone():
    strategy = sail(own=3.0)
    strategy.weights = Told(1.5, 0.5)
    rows = torch.stack([NEW[0][0], OLD[0][1]]), NEW[1]
    assert float(strategy.penalty(step([(0, 0), (1, 1)], rows))) == pytest.approx(3 * (1.5 / 3 + 1) + 0.25)
    strategy = sail(local=2.0)
    strategy.weights = Told(1.5, 0.5)
    expected = 2 * (0.5 * 2.25 / 2 + (0.25 + 4) / 2) + 0.25
    assert float(strategy.penalty(step([(0, 0), (1, 1)]))) == pytest.approx(expected)
    strategy = sail(globe=0.5)
    strategy.weights = Told(1.5, 0.5)
    expected = 0.5 * places_moved(weight=(1.5, 0.5), rows=rows)
    assert abs(expected - 0.5 * places_moved(rows=rows)) > 0.01  # with NEW, both users' places move alike
    assert float(strategy.penalty(step([(0, 0), (1, 1)], rows))) == pytest.approx(expected + 0.25, rel=1e-5)


def test_equal_weights_of_users_change_nothing():
    plain, told = (sail(own=1.0, local=1.0, globe=1.0) for _ in range(2))
    told.weights = Told(1.0, 1.0)
    pairs = [(0, 0), (1, 1)]
    assert float(told.penalty(step(pairs))) == pytest.approx(float(plain.penalty(step(pairs))) + 0.25)
    told.weights = Told(0.0, 2.0)
    assert float(told.penalty(step(pairs))) != pytest.approx(float(plain.penalty(step(pairs))) + 0.25)


def test_graph_sail_adds_nothing_to_a_model_that_has_not_moved():
    total = sail(own=1.0, local=1.0, globe=1.0).penalty(step([(0, 0), (1, 1)], OLD))
    assert float(total) == pytest.approx(0.0, abs=1e-6)
