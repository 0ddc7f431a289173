"""EWC: its contract, its term by hand, its importances by single events."""

from __future__ import annotations

import pytest
import torch
from support.penalties import prepared, step

from gnnrec.strategies.distil.ewc import EWC
from gnnrec.strategies.distil.pull import Pull
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.testing.strategies import StrategyContract, game


class TestEWC(StrategyContract):
    make = staticmethod(lambda: EWC(strength=10.0, samples=60, chunk=8))


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
