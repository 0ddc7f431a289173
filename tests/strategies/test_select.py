"""A strategy chosen per increment by how each has served what came next."""

from __future__ import annotations

import pytest

from gnnrec.core.errors import GnnrecError
from gnnrec.evaluation.evaluate import evaluate
from gnnrec.scorers.model import ModelScorer
from gnnrec.scorers.references import PopularityScorer
from gnnrec.strategies.adapted.expand import Expand
from gnnrec.strategies.distil.ewc import EWC
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.strategies.frozen import Frozen
from gnnrec.strategies.full_retrain import FullRetrain
from gnnrec.strategies.refresh import Refresh, Refreshed
from gnnrec.strategies.replay import Replay
from gnnrec.strategies.selection.select import Selector
from gnnrec.strategies.stale import Stale
from gnnrec.testing.strategies import StrategyContract, game
from gnnrec.testing.worlds import MEASURE, differing, interactions
from gnnrec.untrained.filter import GraphFilter


class TestSelect(StrategyContract):
    make = staticmethod(
        lambda: Selector({"frozen": Frozen(), "replay": Replay(40), "ewc": EWC(10.0, samples=20)}, explore=1, every=2)
    )


class TestSelectOfFilters(StrategyContract):
    make = staticmethod(
        lambda: Selector(
            {"filter": Refresh(GraphFilter(low_pass=0.3, vectors=4)), "fine": FineTune()}, explore=1, every=2
        )
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


def served(make, half_life):
    """Return how far NDCG plus recall at 20 of what arrives with increment 2 is above the counter's, for who is known."""
    learner = game().play(make(), until=1).learner
    world, arrived = learner.history.world(), game().stream.increments[2].observed.arrived
    known = arrived.take(arrived.user < world.num_users)

    def quality(scorer):
        rows = evaluate(scorer, known, world, MEASURE, segments=False).rows
        return sum(
            value for segment, metric, value, _ in rows if segment == "all" and metric in ("ndcg@20", "recall@20")
        )

    return quality(learner.serving()) - quality(PopularityScorer(learner.counters.popularity.at(half_life)))


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("turned", [False, True])
def test_what_has_served_best_what_came_next_is_chosen(turned):
    makers = {
        "full": lambda: FullRetrain(epochs=1),
        "strong": lambda: Replay(200),
        "filter": lambda: Refresh(GraphFilter()),
    }
    makers = dict(reversed(makers.items())) if turned else makers

    def made():
        return Selector({name: make() for name, make in makers.items()}, explore=1, stale=10.0)

    strategy, half_life = made(), game().play(made(), until=1).learner.blend.half_life
    game().play(strategy, until=2)
    gain = {name: served(make, half_life) for name, make in makers.items()}
    assert {n: [g.value for g in past] for n, past in strategy.gains.past.items()} == {
        n: [pytest.approx(value)] for n, value in gain.items()
    }
    assert len(set(gain.values())) > 1
    assert strategy.chosen == [next(iter(makers)), max(gain, key=gain.get)]


def test_what_is_chosen_is_what_serves():
    filters, model = Selector({"filter": Refresh(GraphFilter())}), Selector({"fine": FineTune()})
    assert isinstance(game().play(filters).learner.serving(), Refreshed)
    assert isinstance(game().play(model).learner.serving(), ModelScorer)


@pytest.mark.usefixtures("one_thread")
def test_a_model_that_fell_behind_the_counter_calls_for_the_last_candidate():
    def first(stale, behind):
        strategy = Selector({"fine": FineTune(), "full": FullRetrain()}, stale=stale)
        strategy._judge = lambda *_: -behind  # as if what has served were so far below the counter
        game().play(strategy, until=1)
        return strategy.chosen

    assert first(0.02, 0.01) == ["fine"]
    assert first(0.02, 0.03) == ["full"]


@pytest.mark.usefixtures("one_thread")
def test_a_run_that_went_on_behind_the_rule_is_one_that_never_stopped(tmp_path):
    def make():
        strategy = Selector({"idle": Frozen(), "fine": FineTune()}, explore=1, stale=0.0)
        judge = strategy._judge
        strategy._judge = lambda *given: judge(*given) and -1.0  # what has served is always behind
        return strategy

    whole = game().play(make())
    game().play(make(), tmp_path, until=2)
    assert not differing(whole.prints[3], game().play(make(), tmp_path).prints[3])


def test_increments_of_which_nobody_is_known_spend_no_budget_on_trials():
    strategy = Selector({"idle": Frozen(), "full": FullRetrain()}, explore=1, budget=1.0)
    strategy._judge = lambda *_: None
    game().play(strategy)
    assert strategy.chosen == ["idle"] * 3
    assert strategy.spent < 2 * strategy.work["full"] + 3 * strategy.work["idle"]


def test_no_work_is_no_unit_of_a_budget():
    strategy = Selector({"idle": Frozen(), "fine": FineTune()}, budget=2.0)
    strategy.work = {"idle": 0.0, "fine": 100.0}
    assert strategy._affords(200.0)
    assert not strategy._affords(201.0)


def test_a_budget_is_kept_by_what_costs_least():
    def played(budget):
        strategy = Selector({"idle": Frozen(), "full": FullRetrain()}, explore=1, price=0.0, budget=budget)
        strategy.gains.expected = lambda name, *_: (
            float(name == "full") if strategy.work else None
        )  # what costs most is worth most
        game().play(strategy)
        return strategy

    free, bound = played(None), played(1.5)
    assert free.chosen == ["idle", "full", "full"]
    assert bound.chosen == ["idle", "idle", "idle"]  # the trial alone has spent more than three updates may
    assert bound.spent < free.spent
    assert not bound._affords(bound.work["full"])
    bound.budget = 1000.0
    assert bound._affords(bound.work["full"])


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
    assert strategy.gains.past == {}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Selector({}), "at least one candidate"),
        (lambda: Selector({"wide": Expand()}), r"strategy\.candidates\.wide reads out or widens"),
        (
            lambda: Selector({"both": Selector({"fine": FineTune()})}),
            r"strategy\.candidates\.both .* must see every increment",
        ),
        (lambda: Selector({"fine": FineTune()}, budget=0.5), r"strategy\.budget must be 1 or more"),
        (lambda: Selector({"fine": FineTune()}, explore=0), r"strategy\.explore must be 1 or more"),
    ],
)
def test_settings_that_mean_nothing_are_refused(make, message):
    with pytest.raises(GnnrecError, match=message):
        make()
