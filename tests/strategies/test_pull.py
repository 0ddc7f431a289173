"""Pull: its contract, its term by hand, and the stronger it is the less old rows move."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.penalties import LATER, graph, prepared, step, teacher

from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.learner import Learner
from gnnrec.objectives.joint import Joint
from gnnrec.strategies.distil.pull import Pull
from gnnrec.testing.strategies import StrategyContract, game
from gnnrec.testing.worlds import FIT, MEASURE, Game


class TestPull(StrategyContract):
    make = staticmethod(lambda: Pull(strength=0.1))


def moved(own, strategy):
    """Return how far the rows of old users went in one update of so many steps, root mean square."""
    base = own.base.weights["encoder.user.weight"]
    rows = own.play(strategy, until=1).learner.state_dict()["encoder.user.weight"][: len(base)]
    return float((rows - base).square().mean().sqrt())


def test_the_stronger_the_pull_the_less_old_rows_move():
    fit = replace(FIT, budget="equal", steps=20)
    own = Game(game().stream, lambda: Learner(LightGCN(8, 2), Joint(width=8), fit, FIT, measure=MEASURE))
    far = [moved(own, Pull(strength, by_degree=False)) for strength in (0.0, 0.1, 10.0)]
    assert far[0] > far[1] > far[2]


def test_pull_by_hand():
    # Every row moves by a square of 1. Degrees: users 1, 2 → 2, 2; items 2, 1 → 2, 2.
    share = teacher().shares(graph(LATER))
    assert [x.tolist() for x in share] == [[0.5, 1.0], [1.0, 0.5]]
    strategy = prepared(Pull(2.0), _weight=dict(zip(("user", "item"), share, strict=True)))
    assert strategy.penalty(step([(0, 0)])).item() == pytest.approx(2 * 3.0)
