"""How long to train, learnt from what came next."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from polars.testing import assert_frame_equal

from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.learner import Learner
from gnnrec.objectives.joint import Joint
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.strategies.frozen import Frozen
from gnnrec.testing.worlds import FIT, MEASURE, Game, differing, simulated
from gnnrec.training.ahead import DECAY, Ahead, grid, sample

AHEAD = replace(FIT, budget="ahead", max_epochs=12, patience=3)
STREAM = simulated()

pytestmark = pytest.mark.usefixtures("one_thread")


def learner(settings=AHEAD):
    return Learner(LightGCN(8, 2), Joint(width=8), settings, FIT, measure=MEASURE)


def test_lengths_grow_by_a_third_or_a_half():
    assert grid(20) == [0, 1, 2, 3, 4, 6, 8, 12, 16]
    assert grid(0) == [0]


def test_the_length_with_the_highest_mean_gain_is_chosen_the_shortest_of_equals():
    ahead = Ahead()
    assert ahead.chosen(10) is None
    ahead.held = {0: {"a": 0.1}, 1: {"a": 0.3}, 2: {"a": 0.3}, 3: {"a": 0.2}}
    ahead.judge(lambda held: held["a"])
    assert ahead.chosen(10) == 1
    assert ahead.held == {}
    ahead.held = {0: {"a": 0.1}, 1: {"a": 0.1}, 2: {"a": 0.5}}
    ahead.judge(lambda held: held["a"])
    mean = {1: (DECAY * 0.2 + 0.0) / (DECAY + 1), 2: (DECAY * 0.2 + 0.4) / (DECAY + 1), 3: 0.1}
    assert {n: ahead.gain[n] / ahead.weight[n] for n in mean} == pytest.approx(mean)
    assert ahead.chosen(10) == 2
    assert ahead.chosen(1) == 1


def test_one_length_beyond_the_chosen_is_trained_through():
    assert Ahead().lengths(2, 60) == [0, 1, 2, 3]
    assert Ahead().lengths(3, 60) == [0, 1, 2, 3, 4]
    assert Ahead().lengths(0, 60) == [0, 1]
    assert Ahead().lengths(12, 12) == [0, 1, 2, 3, 4, 6, 8, 12]


def test_the_weights_of_the_chosen_length_serve_and_no_valid_is_ranked():
    model, base, first, second = learner(), *(i.observed for i in STREAM.increments[:3])
    for new in (base, first):
        model.extend(new), model.fit(new.train), model.absorb(new)
    held = set(model.fits.ahead.held)
    assert 0 in held
    model.extend(second)
    chosen = model.fits.ahead.chosen(12)
    assert set(model.fits.ahead.gain) == held
    log = model.fit(second.train)
    assert {value for _, value in log.epochs} == {None}
    assert log.kept == chosen
    kept = model.fits.ahead.held[chosen]
    assert all(torch.equal(model.state_dict()[n], x) for n, x in kept.items())
    assert len(log.epochs) == max(model.fits.ahead.lengths(chosen, 12))


def test_judging_leaves_the_model_as_it_was():
    model, base, first, second = learner(), *(i.observed for i in STREAM.increments[:3])
    for new in (base, first):
        model.extend(new), model.fit(new.train), model.absorb(new)
    before = {n: x.clone() for n, x in model.state_dict().items() if n.startswith(("encoder", "objective"))}
    model.fits.judge(model._model(), second.arrived)
    assert all(torch.equal(x, model.state_dict()[n]) for n, x in before.items())
    assert model.fits.ahead.gain


@pytest.mark.parametrize("rows", ["all", "touched"])
def test_it_resumes_to_the_same_bytes(rows, tmp_path):
    game = Game(simulated(5), lambda: learner(replace(AHEAD, rows=rows)))
    whole = game.play(FineTune(), tmp_path / "whole")
    game.play(FineTune(), tmp_path / "torn", until=2)
    resumed = game.play(FineTune(), tmp_path / "torn")
    for t in (3, 4, 5):
        assert not differing(whole.prints[t], resumed.prints[t])
    assert_frame_equal(whole.results(), resumed.results(), check_exact=True)


def test_the_base_says_nothing_of_the_lengths_of_updates():
    model, base, first = (
        Learner(LightGCN(8, 2), Joint(width=8), AHEAD, measure=MEASURE),
        *(i.observed for i in STREAM.increments[:2]),
    )
    model.extend(base)
    assert model.fit(base.train).best is not None
    model.absorb(base)
    assert not model.fits.ahead.held
    model.extend(first)
    assert model.fits.ahead.chosen(12) is None


def test_a_strategy_that_fits_nothing_is_not_touched_by_the_budget():
    one, other = (Game(STREAM, lambda s=s: learner(s)).play(Frozen()) for s in (AHEAD, FIT))
    assert not differing(one.prints[3], other.prints[3])


def test_lengths_are_scored_on_a_seeded_sample_of_users():
    events = STREAM.increments[0].observed.train
    assert sample(events, 1) is events
