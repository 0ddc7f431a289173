"""The item term of a score: its counts follow the stream, and in training they are those of the events' time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gnnrec.encoders.mf import MF
from gnnrec.evaluation.evaluate import Settings, evaluate
from gnnrec.learner import Learner
from gnnrec.objectives.item_term import inclusion
from gnnrec.objectives.softmax import Softmax
from gnnrec.scorers.blend import Grid
from gnnrec.testing.worlds import FIT, MEASURE, interactions, observed, random_events

USERS, ITEMS, WIDTH = 7, 6, 4


def timed(n):
    rng = np.random.default_rng(0)
    return interactions(list(zip(rng.integers(0, USERS, n), rng.integers(0, ITEMS, n), strict=True)))


@pytest.mark.parametrize("half_life", [5.0, np.inf])
def test_fits_and_loops_have_the_counts_of_their_events_time(half_life):
    """In every order of asking: a loop inside another, two side by side, a loss asked after the loop."""
    learner = Learner(MF(4), Softmax(half_life=half_life), FIT, measure=MEASURE)
    events, aged = timed(90), np.isfinite(half_life)
    learner.extend(observed(events, interactions([]), USERS, ITEMS))
    term = learner.objective.term
    steps = list(learner.loop(events))
    after = [s.loss().item() for s in steps]
    assert {len(s.batch.within) == len(s.batch.user) for s in steps} == {aged}
    learner.fits.number = 0
    assert after == [s.loss().item() for s in learner.loop(events)]
    learner.fits.number = 0
    nested = []
    for step in learner.loop(events):
        _ = [inner.loss() for inner in learner.fork().loop(events.take(slice(20, 60)))]
        nested.append(step.loss().item())
    assert after == nested
    with term.as_of(None):
        today = [learner.objective(s.z, s.batch).item() for s in steps]
    assert (today == after) is not aged


def test_a_strategys_own_batch_has_todays_term():
    learner = Learner(MF(4), Softmax(half_life=5.0), FIT, measure=MEASURE)
    learner.extend(observed(timed(90), interactions([]), USERS, ITEMS))
    seen = []

    def penalty(step):
        own = step.batch._replace(within=torch.empty(0, dtype=torch.int64))
        seen.append((learner.objective(step.z, own).item(), step.loss().item()))
        return 0.1 * learner.objective(step.z, own)

    learner.fit(timed(90), penalty)
    assert all(own != loss for own, loss in seen)


def quality(learner, valid):
    rows = evaluate(learner.scorer(), valid, learner.history.world(), learner.measure, segments=False).rows
    return next(value for _, metric, value, _ in rows if metric == "ndcg@5")


def test_what_was_in_fashion_is_not_taken_for_taste():
    """Every item is all the rage for some days, nobody has any taste: a fit must leave the ranking to what is in fashion."""
    days, rng = np.repeat(np.arange(60), 40), np.random.default_rng(0)
    drawn = [(int(rng.integers(0, 50)), int(d // 2 + rng.integers(0, 3))) for d in days]
    train, valid = interactions(drawn), interactions([(u, int(rng.integers(29, 32))) for u in range(40)])
    found = {}
    for causal in (True, False):
        grid = Grid(counters=(40.0,))
        fit = replace(FIT, max_epochs=30, epochs_without_valid=30, lr=0.05)
        learner = Learner(MF(8), Softmax(popularity=1.0), fit, measure=Settings(topk=(5,)), grid=grid)
        if not causal:
            learner.counters.past = lambda *_: None
        learner.extend(observed(train, interactions([]), 50, 32))  # nothing to select on
        before = quality(learner, valid)
        learner.fit(train)
        found[causal] = quality(learner, valid) / before
    assert found[True] > 0.9
    assert found[False] < 0.7


@pytest.mark.parametrize("number", [1, 5, 30, 50])
def test_chances_of_inclusion_are_those_of_draws(number):
    rng, weight = np.random.default_rng(0), np.arange(1, 51) ** 1.5
    drawn = [rng.choice(50, number, replace=False, p=weight / weight.sum()) for _ in range(4000)]
    found = inclusion(torch.from_numpy(weight), number).numpy()
    assert found.sum() == pytest.approx(number)
    assert np.abs(found - np.bincount(np.concatenate(drawn), minlength=50) / 4000).max() < 0.04


@pytest.mark.parametrize("half_life", [None, np.inf, 7.0], ids=["as valid prefers", "all alike", "a number"])
def test_counts_follow_the_stream_through_extend_absorb_reset_and_resume(half_life):
    """Trained or not: the term is of what has been absorbed at that moment, by its half-life."""
    new = observed(random_events(40, USERS, ITEMS), random_events(9, USERS, ITEMS, seed=4), USERS, ITEMS)
    # Of counters, one: nobody else's choice could be mistaken for the term's.
    made = lambda: Learner(  # noqa: E731
        MF(WIDTH), Softmax(popularity=1.0, half_life=half_life), FIT, measure=MEASURE, grid=Grid(counters=(3.0,))
    )
    learner = made()

    def follows(one):
        counts = one.counters.popularity.at(half_life or 3.0)
        return np.allclose(one.objective.term.all_items().numpy(), np.log1p(counts), atol=1e-6)

    learner.extend(new)
    assert follows(learner)
    arrived = learner.objective.term.all_items().clone()
    learner.absorb(new)
    assert follows(learner)
    assert not torch.equal(learner.objective.term.all_items(), arrived)
    learner.reset(new.train)
    assert follows(learner)
    twin = made()
    twin.follow([new])
    twin.load_state_dict(learner.state_dict(), learner.meta())
    assert follows(twin)


def test_the_item_term_learns_what_is_in_fashion_and_what_was_before_a_fit():
    """The old favourite is dead, and valid says so: scores of a model that was never fitted follow."""
    events = interactions([(0, 0)] * 6 + [(1, 1)] * 3 + [(2, 2)])
    for wanted, half_life in (((3, 1), 2.0), ((3, 0), np.inf)):
        grid = Grid(counters=(np.inf, 2.0, 4.0))
        learner = Learner(MF(WIDTH), Softmax(), FIT, measure=Settings(topk=(1,)), grid=grid)
        learner.extend(observed(events, interactions([wanted]), 4, 3))
        assert learner.blend.half_life == half_life
        expected = 0.8 * np.log1p(learner.counters.popularity.at(half_life))
        assert np.allclose(learner.objective.term.all_items(), expected, atol=1e-6)
