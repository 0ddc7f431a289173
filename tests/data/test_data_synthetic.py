"""The simulated world: deterministic, true to its own oracle, and worth learning."""

from __future__ import annotations

import numpy as np
import pytest

from gnnrec.core.errors import GnnrecError
from gnnrec.data.simulate.oracle import turned
from gnnrec.data.simulate.world import SimulatedWorld
from gnnrec.data.stream.cuts import ByCount
from gnnrec.data.summary import summarise

SMALL = {"users": 200, "items": 80, "events": 3000}


def test_the_same_arguments_give_the_same_bytes() -> None:
    first, second, other = (SimulatedWorld(**SMALL, seed=s).load() for s in (1, 1, 2))
    for name in ("user_code", "item_code", "value", "time"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()
    assert list(first.user_ids) == list(second.user_ids)
    assert list(first.user) != list(other.user)


def test_exactly_the_events_asked_for_all_pairs_distinct_in_time_order() -> None:
    data = SimulatedWorld(**SMALL).load()
    assert len(data) == 3000
    assert len(set(zip(data.user, data.item, strict=True))) == 3000
    assert np.all(np.diff(data.time) >= 0)
    assert set(np.unique(data.value)) <= set(np.arange(1, 5.1, 0.5))


@pytest.mark.parametrize("drift", [0.0, 1.0])
def test_the_oracle_predicts_ratings_up_to_their_noise(drift) -> None:
    data = SimulatedWorld(users=500, items=200, events=20_000, drift=drift, noise=0.4).load()
    error = data.value - data.oracle.value(data.user, data.item, data.time)
    assert abs(error.mean()) < 0.01
    assert 0.12 < np.mean(error**2) < 0.19, "noise² + rounding variance (½ star)²/12, less what clipping removes"
    swapped = data.oracle.value(data.user, data.item, np.full(len(data), data.time[0]))
    assert np.mean((data.value - swapped) ** 2) > np.mean(error**2) - 1e-12


def test_without_noise_the_oracle_is_exact() -> None:
    data = SimulatedWorld(**SMALL, noise=0.0).load()
    assert np.array_equal(data.value, data.oracle.value(data.user, data.item, data.time))


def test_scores_are_the_log_odds_events_were_drawn_with() -> None:
    world = SimulatedWorld(users=3, items=5, events=1, factors=2, drift=0.0, arrivals=0.0)
    truth = world._world()
    from gnnrec.data.simulate.world import _pairs

    user, item = _pairs(truth, np.full(60_000, truth.start), np.random.default_rng(0))
    oracle = world.load().oracle
    names = np.array(list(oracle._user), object), np.array(list(oracle._item), object)
    chance = np.exp(oracle.scores(names[0], truth.start, names[1]))
    assert np.allclose(chance.sum(axis=1), 1)
    for u in range(3):
        drawn = np.bincount(item[user == u], minlength=5) / max((user == u).sum(), 1)
        assert np.abs(drawn - chance[u]).max() < 0.02


def test_scores_stay_finite_for_items_still_to_come() -> None:
    data = SimulatedWorld(**SMALL, arrivals=0.5).load()
    assert np.isfinite(data.oracle.scores(data.user_ids, float(data.time[0]), data.item_ids)).all()


def test_arrivals_come_after_the_base() -> None:
    data = SimulatedWorld(users=400, items=80, events=6000, arrivals=0.5, base=0.5).load()
    half = data.time[0] + (data.time[-1] - data.time[0]) / 2
    early = np.unique(data.user_code[data.time < half - 86_400])
    assert len(early) <= 200
    assert len(data.user_ids) > 300
    none = SimulatedWorld(users=100, items=50, events=3000, arrivals=0.0).load()
    assert len(np.unique(none.user_code[:1500])) > 90


def test_drift_moves_tastes_at_its_rate() -> None:
    def moved(drift: float) -> float:
        data = SimulatedWorld(**SMALL, drift=drift).load()
        world = data.oracle.world
        users = np.arange(200)
        return float(
            np.abs(world.tastes(users, world.start) - world.tastes(users, world.start + world.span)).sum(1).mean()
        )

    assert moved(0.0) == 0.0
    assert 0.0 < moved(0.2) < moved(1.0)


def test_implicit_feedback_is_all_ones() -> None:
    data = SimulatedWorld(**SMALL, feedback="implicit").load()
    assert data.feedback == "implicit"
    assert set(data.value) == {1.0}
    assert set(data.oracle.value(data.user, data.item, data.time)) == {1.0}


def test_taste_beats_popularity_clearly() -> None:
    stream = ByCount(increments=2, test_share=0).build(SimulatedWorld(users=400, items=300, events=12_000).load())
    seen, upcoming = stream.increments[0].observed, stream.increments[0].upcoming
    users = np.unique(upcoming.user)
    known = stream.items[: seen.num_items]
    history = np.zeros((len(stream.users), len(stream.items)), bool)
    for part in (seen.arrived, seen.folded):
        history[part.user, part.item] = True
    relevant = np.zeros_like(history)
    relevant[upcoming.user, upcoming.item] = True

    def recall(scores: np.ndarray) -> float:
        scores = np.where(history[users, : seen.num_items], -np.inf, scores)
        top = np.argsort(-scores, axis=1)[:, :20]
        return float(np.mean(np.take_along_axis(relevant[users], top, 1).sum(1) / relevant[users].sum(1)))

    truth = recall(stream.oracle.scores(stream.users[users], float(upcoming.time[0]), known))
    popular = recall(np.tile(history[:, : seen.num_items].sum(0, dtype=float), (len(users), 1)))
    assert truth > 1.5 * popular


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"users": 0}, "whole number"),
        ({"arrivals": 1.0}, "outside"),
        ({"noise": -1}, "0 or more"),
        ({"days": 0}, "more than 0"),
        ({"feedback": "both"}, "explicit, implicit"),
        ({"users": 2, "items": 2, "events": 50}, "do not fit"),
    ],
)
def test_impossible_worlds_are_refused(wrong, message) -> None:
    with pytest.raises(GnnrecError, match=message):
        SimulatedWorld(**wrong).load()


def test_summary_says_what_there_is() -> None:
    data = SimulatedWorld(**SMALL).load()
    text = summarise(data, ByCount(increments=2).build(data))
    for part in ("3,000 events", "explicit", "rows read 3,000 = kept 3,000", "known x known", "fingerprint"):
        assert part in text
    assert len([line for line in text.splitlines() if line.strip()[:1] in "012" and ":" in line]) >= 3


@pytest.mark.slow
def test_a_million_events_in_a_few_seconds() -> None:
    import time

    start = time.perf_counter()
    SimulatedWorld(users=20_000, items=5000, events=1_000_000).load()
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize(
    ("recurrence", "smoothness", "expected"),
    [
        (0, 1.0, [0.0, 0.25, 0.5, 0.75, 1.0]),
        (0, 0.0, [0.0, 0.0, 1.0, 1.0, 1.0]),
        (1, 1.0, [0.0, 0.5, 1.0, 0.5, 0.0]),
        (2, 1.0, [0.0, 1.0, 0.0, 1.0, 0.0]),
        (1, 0.5, [0.0, 0.75, 1.0, 0.75, 0.0]),
    ],
)
def test_tastes_turn_as_often_and_as_evenly_as_asked(recurrence, smoothness, expected) -> None:
    assert turned(np.linspace(0, 1, 5), recurrence, smoothness).tolist() == pytest.approx(expected)
    data = SimulatedWorld(**SMALL, drift=1.0, recurrence=recurrence, smoothness=smoothness).load()
    world = data.oracle.world
    first, last = (world.tastes(np.arange(9), world.start + share * world.span) for share in (0.0, 1.0))
    assert np.allclose(first, last) == (expected[-1] == 0)


def test_a_smoothness_beyond_one_is_refused() -> None:
    with pytest.raises(GnnrecError, match=r"data\.smoothness=2 must lie between 0 and 1"):
        SimulatedWorld(smoothness=2)
