"""All strategies under the contract, and where two of them must be one."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from scipy import stats

from gnnrec.core.errors import GnnrecError
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.learner import Learner
from gnnrec.objectives.joint import Joint
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.strategies.frozen import Frozen
from gnnrec.strategies.full_retrain import FullRetrain, WarmRetrain
from gnnrec.strategies.replay import Replay, Reservoir
from gnnrec.strategies.stale import Stale
from gnnrec.testing.strategies import StrategyContract, game, odd_game
from gnnrec.testing.worlds import FIT, MEASURE, Game, daily, differing, fingerprint, random_events, some_rows

EVERYTHING = 10**9


class TestStale(StrategyContract):
    make = staticmethod(Stale)


class TestFrozen(StrategyContract):
    make = staticmethod(Frozen)


class TestFineTune(StrategyContract):
    make = staticmethod(FineTune)


class TestReplay(StrategyContract):
    make = staticmethod(lambda: Replay(budget=50))


class TestReservoirReplay(StrategyContract):
    make = staticmethod(lambda: Replay(budget=50, store=Reservoir(100)))


class TestFullRetrain(StrategyContract):
    make = staticmethod(FullRetrain)


class TestWarmRetrain(StrategyContract):
    make = staticmethod(WarmRetrain)


def learnt(prints):
    """Return what the learner holds, without what the strategy stores."""
    return {n: x for n, x in prints.items() if not n.startswith("strategy.")}


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("one", "other"),
    [(lambda: Replay(budget=0), FineTune), (lambda: Replay(budget=EVERYTHING), WarmRetrain)],
    ids=["replay of nothing is fine-tuning", "replay of everything is warm retraining"],
)
def test_degenerate_replay(one, other):
    a, b = game().play(one()), game().play(other())
    for t in a.prints:
        assert not differing(learnt(a.prints[t]), learnt(b.prints[t]))
    scores = [p.results().filter(pl.col("split") != "cost") for p in (a, b)]
    assert_frame_equal(*scores, check_exact=True)


def test_replay_between_the_extremes_differs_from_both():
    mean = game().play(Replay(budget=50)).prints[3]
    for extreme in (FineTune(), WarmRetrain()):
        assert "encoder.user.weight" in differing(mean, game().play(extreme).prints[3])


def test_frozen_without_new_edges_is_stale():
    empty = odd_game("empty")
    rows = [empty.play(s).results().filter(pl.col("split") != "cost", trained_to=1) for s in (Frozen(), Stale())]
    assert rows[0].height
    assert_frame_equal(*rows, check_exact=True)


def test_frozen_on_repeated_edges_keeps_the_embeddings():
    base, repeats = (
        odd_game("repeats_only").play(Stale()).learner,
        odd_game("repeats_only").play(Frozen(), until=1).learner,
    )
    assert torch.equal(base.embed().user, repeats.embed().user)
    assert torch.equal(base.embed().item, repeats.embed().item)


def test_frozen_and_stale_differ_once_edges_arrive():
    stale, frozen = (game().play(s).learner for s in (Stale(), Frozen()))
    known = len(stale.embed().user)
    assert not torch.equal(stale.embed().user, frozen.embed().user[:known])


@pytest.mark.usefixtures("one_thread")
def test_stale_changes_nothing_at_all():
    prints = game().play(Stale()).prints
    base = Game(game().stream).play(Stale(), until=1).prints[1]
    for t in prints:
        assert not differing(base, prints[t])
    learner = game().learner()
    new = [i.observed for i in game().stream.increments]
    learner.extend(new[0]), learner.fit(new[0].train), learner.absorb(new[0])
    before, graph = fingerprint(learner), learner.graph
    Stale().update(learner, new[1])
    assert not differing(before, fingerprint(learner))
    assert learner.graph is graph
    assert not differing(base, before)


def test_frozen_keeps_old_rows_and_biases():
    old, new = game().base.weights, game().play(Frozen()).learner.state_dict()
    for name in (
        "encoder.user.weight",
        "encoder.item.weight",
        "objective.bias.user.weight",
        "objective.bias.item.weight",
    ):
        assert len(new[name]) > len(old[name])
        assert torch.equal(new[name][: len(old[name])], old[name]), name
    for name in ("objective.bias.mean", "objective.taste"):
        assert torch.equal(new[name], old[name]), name


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(("make", "forgets"), [(FullRetrain, True), (WarmRetrain, False)])
def test_cold_retraining_does_not_depend_on_earlier_weights_and_warm_does(make, forgets):
    new, ends = [i.observed for i in game().stream.increments], []
    for shift in (0.0, 0.5):
        learner, strategy = game().learner(), make()
        learner.follow(new[:1])
        learner.load_state_dict(game().base.weights)
        strategy.begin(learner, new[0])
        with torch.no_grad():
            learner.encoder.user.weight.add_(shift)
            learner.objective.taste.add_(shift)
        strategy.update(learner, new[1])
        ends.append(fingerprint(learner))
    assert (not differing(*ends)) == forgets


def test_full_retraining_fits_on_all_history_and_fine_tuning_on_the_increment():
    lengths = [len(i.observed.train) for i in game().stream.increments]
    for strategy, expected in ((FullRetrain(), sum(lengths)), (FineTune(), lengths[-1])):
        cost = game().play(strategy).record.frames()["results"].filter(split="cost", scorer="model", trained_to=3)
        triplets = cost.filter(pl.col("metric") == "triplets")["value"].item()
        assert triplets % expected == 0
        assert 1 <= triplets / expected <= 3


@pytest.mark.parametrize("kind", ["model", "blend"])
def test_the_base_row_is_the_same_for_all(kind):
    rows = [
        game().play(s).results().filter(pl.col("split") != "cost", trained_to=0, scorer=kind)
        for s in (Stale(), FineTune(), FullRetrain())
    ]
    assert_frame_equal(rows[0], rows[1], check_exact=True)
    assert_frame_equal(rows[0], rows[2], check_exact=True)


def test_replayed_events_are_distinct_old_ones_with_every_new_one():
    strategy, new = Replay(budget=30), [i.observed for i in game().stream.increments]
    strategy.consolidate(None, new[0])
    data = strategy.data(new[1].train, new[1])
    assert len(data) == 30 + len(new[1].train)
    assert len(np.unique(data.time[:30])) == len(np.unique(data.user[:30] * 1000 + data.item[:30])) == 30
    assert set(data.time[:30]) <= set(new[0].train.time)
    assert np.all(np.diff(data.time) >= 0)
    assert not np.array_equal(data.time, Replay(30, seed=1).data(new[1].train, new[1]).time)


def chance(counts, rounds, size):
    """Return how likely counts so uneven are where each of `rounds` rounds keeps `size` events, all with the same chance."""
    n, share = len(counts), size / len(counts)
    statistic = ((counts - rounds * share) ** 2).sum() / (rounds * share * (1 - share)) * (n - 1) / n
    return stats.chi2.sf(statistic, n - 1)


def test_reservoir_keeps_every_event_with_the_same_chance():
    events, rounds, size, counts = random_events(60, 10, 10), 3000, 12, np.zeros(60)
    for n in range(rounds):
        store, stored = Reservoir(size), events.take(slice(0, 0))
        for part in (slice(0, 5), slice(5, 40), slice(40, 60)):
            stored = store.add(stored, events.take(part), n)
        assert len(stored) == size
        assert np.all(np.diff(stored.time) > 0)
        counts[stored.time.astype(int)] += 1
    assert chance(counts, rounds, size) > 1e-3


def test_reservoir_is_uniform_after_events_are_taken_back():
    events, rounds, counts, kept = random_events(80, 10, 10), 3000, np.zeros(80), 0
    gone = np.arange(0, 40, 2)
    for n in range(rounds):
        store = Reservoir(12)
        stored = store.add(events.take(slice(0, 0)), events.take(slice(0, 40)), n).without(events.take(gone))
        stored = store.add(stored, events.take(slice(40, 80)), n)
        counts[stored.time.astype(int)] += 1
        kept += len(stored)
        assert len(stored) <= 12
    left = np.setdiff1d(np.arange(80), gone)
    assert counts[gone].sum() == 0
    # Sizes vary, so that counts spread no more than if each event were drawn by itself.
    share = kept / rounds / len(left)
    assert (
        stats.chi2.sf(((counts[left] - rounds * share) ** 2).sum() / (rounds * share * (1 - share)), len(left) - 1)
        > 1e-3
    )
    assert counts[1:40:2].mean() == pytest.approx(counts[40:].mean(), rel=0.05)  # old ones and new ones alike


def test_a_reservoir_takes_many_events_in_no_time():
    """The bound is the same machine's time for as many plain draws, generously."""
    n = 200_000
    events, rng = random_events(n, 500, 500), np.random.default_rng(0)
    begin = time.perf_counter()
    [rng.random() for _ in range(n)]
    draws, begin = time.perf_counter() - begin, time.perf_counter()
    stored = Reservoir(20_000).add(events.take(slice(0, 0)), events, 0)
    assert time.perf_counter() - begin < 5 * draws
    assert len(stored) == len(np.unique(stored.time)) == 20_000


def test_reservoir_larger_than_the_log_keeps_it_all():
    new = game().stream.increments[0].observed.train
    stored = Reservoir(10_000).add(new.take(slice(0, 0)), new, 0)
    assert np.array_equal(stored.time, new.time)


@pytest.mark.parametrize("bad", [lambda: Replay(budget=-1), lambda: Reservoir(0)])
def test_impossible_budgets_are_refused(bad):
    with pytest.raises(GnnrecError, match="got"):
        bad()


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("make", [FineTune, lambda: Replay(budget=0)])
def test_training_on_an_empty_increment_changes_no_weight(make):
    empty = Game(daily(some_rows(150), [], some_rows(60, 3)))
    before, after = empty.base.weights, empty.play(make(), until=1).learner.state_dict()
    assert [n for n in before if not torch.equal(before[n], after[n])] == []


def test_a_cold_start_is_fitted_by_the_base_s_schedule_unless_it_is_capped():
    settings = replace(FIT, max_epochs=1), replace(FIT, max_epochs=4, patience=9)
    own = Game(game().stream, lambda: Learner(LightGCN(8, 2), Joint(width=8), *settings, measure=MEASURE))
    epochs = {}
    for strategy in (FineTune(), FullRetrain(), FullRetrain(epochs=2)):
        cost = own.play(strategy).results().filter(split="cost", metric="epochs", scorer="model")
        epochs[strategy.epochs, strategy.schedule] = set(cost.filter(pl.col("trained_to") > 0)["value"])
    assert epochs == {(None, "update"): {1.0}, (None, "base"): {4.0}, (2, "base"): {2.0}}
    with pytest.raises(GnnrecError, match=r"strategy\.epochs=0 must be 1 or more"):
        FullRetrain(epochs=0)


def test_an_equal_budget_is_equal_for_a_cold_start_too():
    settings = replace(FIT, budget="equal", steps=5), FIT
    own = Game(game().stream, lambda: Learner(LightGCN(8, 2), Joint(width=8), *settings, measure=MEASURE))
    steps = [
        set(own.play(s).results().filter(split="cost", metric="steps").filter(pl.col("trained_to") > 0)["value"])
        for s in (FineTune(), FullRetrain())
    ]
    assert steps == [{5.0}, {5.0}]
