"""A strategy chosen per increment by how each has served what came next."""

from __future__ import annotations

import pytest

from gnnrec.core.errors import GnnrecError
from gnnrec.evaluation.evaluate import evaluate
from gnnrec.strategies.distil.ewc import EWC
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.strategies.frozen import Frozen
from gnnrec.strategies.full_retrain import FullRetrain
from gnnrec.strategies.refresh import Refresh
from gnnrec.strategies.replay import Replay
from gnnrec.strategies.select import Selector
from gnnrec.strategies.stale import Stale
from gnnrec.testing.strategies import StrategyContract, game
from gnnrec.testing.worlds import MEASURE, differing, interactions
from gnnrec.untrained.filter import GraphFilter


class TestSelect(StrategyContract):
    make = staticmethod(
        lambda: Selector({"frozen": Frozen(), "replay": Replay(40), "ewc": EWC(10.0, samples=20)}, explore=1, every=2)
    )


def learnt(prints):
    """Return what the learner holds, without what the strategy stores."""
    return {n: x for n, x in prints.items() if not n.startswith("strategy.")}


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("make", [FineTune, lambda: Replay(40), FullRetrain])
def test_with_one_candidate_it_is_that_one(make):
    a, b = game().play(Selector({"only": make()})), game().play(make())
    for t in a.prints:
        assert not differing(learnt(a.prints[t]), learnt(b.prints[t]))


@pytest.mark.usefixtures("one_thread")
def test_the_first_update_is_the_first_candidate_s_whatever_is_tried_beside():
    chosen = game().play(Selector({"fine": FineTune(), "full": FullRetrain(), "idle": Frozen()}), until=1)
    assert not differing(learnt(chosen.prints[1]), learnt(game().play(FineTune(), until=1).prints[1]))


def served(make):
    """Return NDCG plus recall at 20 of what arrives with increment 2, for who is known, after an update by a strategy."""
    learner = game().play(make(), until=1).learner
    world, arrived = learner.history.world(), game().stream.increments[2].observed.arrived
    rows = evaluate(learner.scorer(), arrived.take(arrived.user < world.num_users), world, MEASURE, segments=False).rows
    return sum(value for segment, metric, value, _ in rows if segment == "all" and metric in ("ndcg@20", "recall@20"))


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("turned", [False, True])
def test_what_has_served_best_what_came_next_is_chosen(turned):
    makers = {"full": lambda: FullRetrain(epochs=1), "strong": lambda: Replay(200), "idle": Frozen}
    makers = dict(reversed(makers.items())) if turned else makers
    strategy = Selector({name: make() for name, make in makers.items()}, explore=1)
    game().play(strategy)
    quality = {name: served(make) for name, make in makers.items()}
    mean = sum(quality.values()) / 3
    assert {n: total / weight for n, (total, weight) in strategy.gain.items()} == pytest.approx(
        {n: value - mean for n, value in quality.items()}
    )
    assert len(set(quality.values())) > 1
    assert strategy.chosen == [next(iter(makers)), *[max(quality, key=quality.get)] * 2]


def test_a_high_price_chooses_what_costs_least():
    strategy = Selector({"full": FullRetrain(), "fine": FineTune(), "idle": Frozen()}, explore=1, price=100.0)
    game().play(strategy)
    assert strategy.chosen == ["full", "idle", "idle"]
    assert strategy.work["full"] > strategy.work["fine"] > strategy.work["idle"]


def test_trials_are_charged():
    def triplets(strategy):
        cost = game().play(strategy).results().filter(split="cost", metric="triplets", scorer="model", trained_to=1)
        return cost["value"].item()

    assert triplets(Selector({"fine": FineTune(), "full": FullRetrain()})) == triplets(FineTune()) + triplets(
        FullRetrain()
    )


def test_candidates_that_are_not_chosen_store_what_they_need():
    strategy = Selector({"fine": FineTune(), "replay": Replay(40)}, explore=1)
    game().play(strategy)
    expected = sum(len(i.observed.train) for i in game().stream.increments)
    assert len(strategy.candidates["replay"].stored) == expected


def test_what_lets_no_increment_in_cannot_be_tried():
    with pytest.raises(GnnrecError, match=r"strategy\.candidates\.stale lets no increment in"):
        game().play(Selector({"fine": FineTune(), "stale": Stale()}))


def test_an_increment_in_which_nobody_who_is_known_does_anything_tells_nothing():
    strategy = Selector({"fine": FineTune(), "idle": Frozen()}, explore=1)
    learner = game().play(strategy, until=1).learner
    strategy._judge(learner, interactions([(10**6, 0)]))
    assert strategy.gain == {}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Selector({}), "at least one candidate"),
        (
            lambda: Selector({"filter": Refresh(GraphFilter())}),
            r"strategy\.candidates\.filter serves, reads out or widens",
        ),
        (lambda: Selector({"fine": FineTune()}, explore=0), r"strategy\.explore must be 1 or more"),
    ],
)
def test_settings_that_mean_nothing_are_refused(make, message):
    with pytest.raises(GnnrecError, match=message):
        make()
