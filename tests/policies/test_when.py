"""When to update: each policy by numbers that can be told by hand."""

from __future__ import annotations

import math

import pytest

from gnnrec.core.errors import GnnrecError
from gnnrec.policies.amount import AfterRows, Every, EveryN
from gnnrec.policies.base import Came, Known
from gnnrec.policies.effect import ByCost, OnDrift, OnPerformance, WithinBudget
from gnnrec.quality.drift import Drift

DAY = 86_400.0


def facts(*waiting, past=(), **more):
    return Known(tuple(past), tuple(waiting), **more)


def test_every_and_every_nth():
    one, two = Came(1, 10), Came(2, 10)
    assert Every().decide(facts(one)).update
    assert not EveryN(2).decide(facts(one)).update
    assert EveryN(2).decide(facts(one, two)).update


def test_after_rows_or_age():
    few = facts(Came(1, 400), Came(2, 599), age=3 * DAY)
    assert not AfterRows(1000).decide(few).update
    assert AfterRows(999).decide(few).update
    assert AfterRows(1000, "3d").decide(few).update
    assert not AfterRows(1000, "4d").decide(few).update
    assert not AfterRows(1000, "4d").decide(facts(Came(1, 1))).update, "without times nothing is old"


def test_on_drift_asks_for_size_and_for_chance():
    def found(psi, p):
        return facts(Came(1, 10), drift=Drift(psi, 0.1, p, 100, 100, 5))

    assert OnDrift(0.1, 0.01).decide(found(0.2, 0.001)).update
    assert not OnDrift(0.1, 0.01).decide(found(0.05, 0.001)).update
    assert not OnDrift(0.1, 0.01).decide(found(0.2, 0.2)).update
    assert not OnDrift().decide(facts(Came(1, 10))).update


def test_usual_is_what_was_served_directly_behind_updates():
    past = (Came(1, 10, 0.4, 2.0), Came(2, 10, 0.2, math.nan), Came(3, 10, 0.1, 4.0))
    now = facts(Came(4, 10, 0.6), Came(5, 10, 0.3), past=past)
    # Increment 1 came behind the base, 2 behind the update by 1, 4 behind that by 3.
    assert now.fresh_quality == pytest.approx((0.4 + 0.2 + 0.6) / 3)
    assert now.seconds == 3.0


def test_on_performance():
    past = (Came(1, 10, 0.4, 2.0),)
    assert not OnPerformance(0.1).decide(facts(Came(2, 10, 0.4), past=past)).update
    assert not OnPerformance(0.1).decide(facts(Came(2, 10, 0.4), Came(3, 10, 0.37), past=past)).update
    assert OnPerformance(0.1).decide(facts(Came(2, 10, 0.4), Came(3, 10, 0.35), past=past)).update
    assert OnPerformance(0.1).decide(facts(Came(2, 10))).update, "where nothing can be scored nobody knows"


def test_by_cost_counts_events_lost_by_waiting():
    past = (Came(1, 100, 0.5, 2.0), Came(2, 100, 0.5, math.nan))
    waits = facts(Came(3, 100, 0.4), Came(4, 100, 0.3), past=past)
    # Usual is .5; lost are 100 × .1 + 100 × .2 = 30 events; an update takes 2 s.
    assert ByCost(15.0).decide(waits).update
    assert not ByCost(15.1).decide(waits).update
    assert ByCost().decide(facts(Came(1, 100, 0.5))).update, "what an update is worth is seen by making one"


def test_within_budget_saves_what_is_not_spent():
    past = (Came(1, 1000, 0.5, 3.0),)
    assert not WithinBudget(1.0).decide(facts(Came(2, 4999), past=past)).update  # 5.999 − 3 < 3
    assert WithinBudget(1.0).decide(facts(Came(2, 5000), past=past)).update


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: EveryN(0), "policy.n=0"),
        (lambda: AfterRows(0), "policy.rows=0"),
        (lambda: AfterRows(5, "1mo"), "policy.age=1mo"),
        (lambda: AfterRows(5, "soon"), "policy.age=soon"),
        (lambda: OnDrift(psi=0), "policy.psi=0"),
        (lambda: OnPerformance(1.0), r"policy.drop=1.0"),
        (lambda: ByCost(0), "policy.price=0"),
        (lambda: WithinBudget(-1), "policy.seconds=-1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(make, said):
    with pytest.raises(GnnrecError, match=said):
        make()
