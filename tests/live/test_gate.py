"""The gate lets something worse by the margin through in one of twenty cases at most, and tells why it says what it says."""

from __future__ import annotations

import numpy as np
import pytest

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Interactions
from gnnrec.evaluation.settings import Settings
from gnnrec.evaluation.world import World
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.live.gate import AcceptanceGate, Told, lower_bound
from gnnrec.scorers.references import PopularityScorer


def recall(rng, users, mean, churn):
    """Return recall of users under two lists that agree but for a share of them, both of this mean."""
    one = rng.binomial(4, mean, users) / 4
    other = np.where(rng.random(users) < churn, rng.binomial(4, mean, users) / 4, one)
    return one, other


@pytest.mark.parametrize("users", [60, 400])
def test_what_is_worse_by_the_margin_passes_in_one_of_twenty_cases(users):
    rng, gate, passed = np.random.default_rng(0), AcceptanceGate(margin=0.2, resamples=400), 0
    for _ in range(500):
        was, new = recall(rng, users, 0.3, 0.4)
        lost = np.where(rng.random(users) < 0.2, 0.0, new)  # a fifth of the recall is gone: the margin
        passed += bool(gate._holds("champion", lost, was, 0.2, 0.95).passed)
    assert passed <= 0.05 * 500 + 2 * (500 * 0.05 * 0.95) ** 0.5


def test_power_grows_with_users():
    """Of as good a model as the champion, whose lists differ for two users in five, with a margin of a tenth."""
    rng, gate, power = np.random.default_rng(1), AcceptanceGate(resamples=300), {}
    for users in (100, 3000):
        passes = []
        for _ in range(60):
            was, new = recall(rng, users, 0.3, 0.4)
            passes.append(gate._holds("champion", new, was, 0.1, 0.95).passed)
        power[users] = np.mean([p is True for p in passes])
    assert power[100] < 0.6
    assert power[3000] > 0.95


def test_the_bound_is_that_of_a_normal_mean():
    x = np.random.default_rng(0).normal(1.0, 2.0, 4000)
    assert lower_bound(x, 0.95, 4000, 0) == pytest.approx(x.mean() - 1.645 * x.std() / 4000**0.5, abs=0.01)
    assert lower_bound(np.zeros(50), 0.95, 100, 0) == 0.0


def world(users=40, items=30, seen=()):
    graph = BipartiteGraph.empty().extend(
        Interactions.pairs(*(np.array(c, np.int64) for c in zip(*seen, strict=True))), users, items
    )
    return World(1, users, items, graph, np.arange(items, 0, -1).astype(float), np.zeros(users, bool))


def asked(users, items=30, seed=0):
    rng = np.random.default_rng(seed)
    return Interactions.pairs(np.arange(users), rng.integers(items // 2, items, users))


MEASURE = Settings(topk=(10, 20))


def judge(champion, challenger, users=40, known=40, gate=None, **more):
    events, place = asked(users), world(users=40, seen=[(0, 0)])
    return (gate or AcceptanceGate(resamples=200)).judge(
        champion(events, place), challenger(events, place), events, place, known, MEASURE, **more
    )


def oracle(events, place):
    return Told(events, place, 0)


def chance(events, place):
    return Told(Interactions.empty(), place, 7)


def popular(events, place):
    return PopularityScorer(place.popularity)


def checks(verdict):
    return {c.name: c.passed for c in verdict.checks}


def test_a_better_one_passes_and_a_worse_one_does_not():
    good = judge(popular, oracle)
    assert good.passed, good.reason
    assert checks(good) == {"harness": True, "popularity": True, "champion": True, "known users": True}
    bad = judge(oracle, popular)
    assert not bad.passed
    assert checks(bad)["champion"] is False
    assert "too few users" in bad.reason or "worse than the champion" in bad.reason
    assert not bad.undecided


def test_itself_passes_unless_popularity_is_better():
    assert judge(oracle, oracle).passed
    below = judge(chance, chance)
    assert checks(below)["champion"] is True
    assert checks(below)["popularity"] is (below.checks[1].value >= below.checks[1].bound)


def test_new_users_have_a_floor():
    found = checks(judge(oracle, oracle, known=20))
    assert found["new users"] is True
    harsh = judge(oracle, popular, known=20, gate=AcceptanceGate(cold_floor=5.0, resamples=200))
    assert checks(harsh)["new users"] is False


def test_too_few_users_or_events_that_tell_nothing_leave_it_open():
    few = judge(oracle, oracle, users=5)
    assert few.undecided
    assert "5 users can be scored, 10 are needed" in few.reason
    gate, same = AcceptanceGate(resamples=200), np.ones(50)
    assert gate._harness(same - same, 0.95).passed is None


def holds(mean, users, spread=0.1):
    """Return whether a challenger that differs by so much passes, by so many users with a champion's recall of 0.3."""
    was = np.full(users, 0.3)
    difference = np.tile([spread, -spread], users // 2) + mean
    return AcceptanceGate(margin=0.1)._holds("champion", was + difference, was, 0.1, 0.95)


def test_no_other_try_is_made_where_users_are_too_few_to_tell():
    assert holds(0.0, 2000).passed is True
    assert holds(-0.04, 24).passed is None, "looks worse, but so might an equal one"
    assert holds(-0.02, 24).passed is None
    assert holds(-0.2, 24).passed is False, "shown to be worse"
    assert holds(-0.04, 2000).passed is False
    near = holds(-0.029, 2000)
    assert near.passed is False, "an equal one would have been told: another try may be one"
    assert near.said.startswith("not shown to be as good as")


def test_time_has_a_ceiling():
    slow = judge(oracle, oracle, gate=AcceptanceGate(seconds=1.0, resamples=200), seconds=2.0)
    assert not slow.passed
    assert "took 2.0 s, 1 s are allowed" in slow.reason


@pytest.mark.parametrize(
    "wrong", [{"margin": 0}, {"old_margin": -1}, {"level": 0.5}, {"level": 1}, {"cold_floor": -0.1}]
)
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(GnnrecError, match=rf"live\.gate\.{next(iter(wrong))}="):
        AcceptanceGate(**wrong)
