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


@pytest.mark.usefixtures("one_thread")
def test_with_equal_importances_an_update_is_the_pull_s_to_the_byte():
    learner, new, ends = game().play(FineTune(), until=2).learner, game().stream.increments[3].observed, []
    ewc = EWC(1.0, samples=0)
    ewc.importance = {n: (torch.arange(len(x)), torch.ones(x.shape)) for n, x in learner.encoder.tables().items()}
    for strategy in (ewc, Pull(0.5, by_degree=False), FineTune()):
        twin = learner.fork()
        strategy.update(twin, new)
        ends.append(twin.state_dict())
    assert all(torch.equal(ends[0][n], ends[1][n]) for n in ends[0])
    assert not torch.equal(ends[0]["encoder.user.weight"], ends[2]["encoder.user.weight"])


@pytest.mark.parametrize("chunk", [1, 2])
def test_importances_are_squared_gradients_of_single_events_or_of_chunks(chunk):
    learner, new = game().play(FineTune(), until=1).learner, game().stream.increments[1].observed
    some = new.train.take(slice(0, 6))
    strategy = EWC(samples=6, chunk=chunk)
    strategy._drawn = lambda new: some
    found = strategy._fisher(learner, new)
    expected = {name: torch.zeros_like(x) for name, x in learner.encoder.tables().items()}
    learner.fits.number -= 6 // chunk  # the same negatives again
    for k in range(0, 6, chunk):
        (one,) = learner.loop(some.take(slice(k, k + chunk)))
        slopes = torch.autograd.grad(one.loss(), [one.trained[name].parameter for name in expected])
        for name, slope in zip(expected, slopes, strict=True):
            expected[name] += slope.square() * chunk / (6 // chunk)
    for name, rows in expected.items():
        assert torch.allclose(found[name], rows)
        assert float(rows.max()) > 0


def test_importances_decay_and_only_rows_that_have_some_are_kept():
    learner, new = game().play(FineTune(), until=1).learner, game().stream.increments[1].observed
    strategy = EWC(decay=0.5, samples=10)
    known = torch.tensor([0, 2]), torch.full((2, 8), 4.0).half()
    strategy.importance = {"user": known}
    told = {n: torch.zeros_like(x) for n, x in learner.encoder.tables().items()}
    told["user"][[2, 3]] = 1.0
    strategy._fisher = lambda learner, new: told
    strategy.consolidate(learner, new)
    node, rows = strategy.importance["user"]
    assert node.tolist() == [0, 2, 3]
    assert rows[:, 0].tolist() == [2.0, 3.0, 1.0]
    assert len(strategy.importance["item"][0]) == 0
