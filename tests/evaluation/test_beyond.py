"""What lists are like, against closed forms and a twin written with loops."""

from __future__ import annotations

from dataclasses import replace
from math import log, log2

import numpy as np
import polars as pl
import pytest
import torch

from gnnrec.evaluation.beyond.measures import Backdrop, beyond, divergence, gini, novelty
from gnnrec.evaluation.evaluate import Settings, Slice, evaluate_all
from gnnrec.evaluation.record import Name, Record, score_round
from gnnrec.evaluation.results import SCHEMA, beyond_accuracy, check, public
from gnnrec.evaluation.world import worlds
from gnnrec.reporting.html import increments_and_segments
from gnnrec.testing.worlds import interactions, simulated, world_of

USERS, ITEMS = 12, 30


def values(rows):
    return {metric: value for _, metric, value, _ in rows}


@pytest.mark.parametrize(
    ("count", "expected"), [([3, 3, 3], 0.0), ([0, 0, 0, 8], 0.75), ([0, 0, 0], 0.0), ([1, 3], 0.25)]
)
def test_gini_is_0_where_all_are_alike_and_near_1_where_one_has_everything(count, expected):
    assert gini(np.array(count)) == pytest.approx(expected)


def test_gini_is_half_the_mean_difference_over_the_mean():
    count = np.random.default_rng(0).integers(0, 9, 40)
    assert gini(count) == pytest.approx(np.abs(count[:, None] - count).mean() / (2 * count.mean()))


def test_novelty_is_the_surprise_of_an_events_item():
    assert novelty(np.array([8.0, 4.0, 4.0, 0.0])).tolist() == [1.0, 2.0, 2.0, 4.0]


def test_divergence_is_0_for_a_list_like_the_history_and_finite_for_one_that_lacks_a_tier():
    shares = np.array([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0]])
    assert divergence(shares, shares) == pytest.approx([0, 0])
    assert divergence(shares[1:], np.array([[0.0, 0.0, 1.0]])) == pytest.approx([log(100)])


def test_lists_of_the_most_popular_items_for_one_user():
    """Twenty-one items, the first with 20 events, the others with one; the user has item 20 and is shown the others."""
    pairs = [(0, 20), *((u, 0) for u in range(1, 21)), *((1, i) for i in range(1, 20))]
    world = world_of(interactions(pairs), 21, 21)
    found = values(beyond(torch.arange(20).unsqueeze(0), Backdrop.of(np.array([0]), world, 21)))
    assert found["coverage@20"] == pytest.approx(20 / 21)
    assert found["gini@20"] == pytest.approx(1 / 21)
    assert found["novelty@20"] == pytest.approx((19 * log2(40) + 1) / 20)
    assert found["popularity_lift@20"] == pytest.approx(39 / 20 - 1)
    assert found["calibration@20"] == pytest.approx(log(1 / (0.99 * 6 / 20 + 0.01)))
    assert "new_items@20" not in found  # everything is new in the base


def twin(top, user, world, candidates):
    """Return every measure by loops over users, items and definitions."""
    order = sorted(range(world.num_items), key=lambda i: (-world.popularity[i], i))
    tier = {i: n * 3 // world.num_items for n, i in enumerate(order)}
    popular = lambda i: world.popularity[i] if i < world.num_items else 0.0  # noqa: E731
    events, had = sum(world.popularity), {}
    for u, i in zip(*world.seen.edges(), strict=True):
        had.setdefault(u, set()).add(int(i))
    lists = {u: [i for i in row[:20] if i >= 0] for u, row in zip(user.tolist(), top.tolist(), strict=True)}
    lists = {u: row for u, row in lists.items() if row}
    shown = [sum(i in row for row in lists.values()) for i in range(candidates)]
    known = [u for u in lists if u in had]
    apart = []
    for u in known:
        p, q = ([np.mean([tier.get(i, 2) == g for i in items]) for g in range(3)] for items in (had[u], lists[u]))
        apart.append(sum(a * log(a / (0.99 * b + 0.01 * a)) for a, b in zip(p, q, strict=True) if a))
    far = sum(abs(a - b) for a in shown for b in shown)
    mean = lambda of: np.mean([np.mean([of(i) for i in row]) for row in lists.values()])  # noqa: E731
    lift = sum(np.mean([popular(i) for i in lists[u]]) for u in known)
    return {
        "coverage@20": sum(n > 0 for n in shown) / candidates,
        "gini@20": far / (2 * candidates * sum(shown)),
        "novelty@20": mean(lambda i: -log2(max(popular(i), 1) / events)),
        "new_items@20": mean(lambda i: world.old_items <= i < world.num_items),
        "popularity_lift@20": lift / sum(np.mean([popular(i) for i in had[u]]) for u in known) - 1,
        "calibration@20": np.mean(apart),
    }


@pytest.mark.parametrize("candidates", [ITEMS, ITEMS + 8])
def test_equals_the_twin(candidates):
    rng = np.random.default_rng(3)
    popular = 1.0 / (1 + np.arange(ITEMS))
    drawn = rng.integers(0, USERS - 2, 90), rng.choice(ITEMS, 90, p=popular / popular.sum())
    world = replace(world_of(interactions(sorted(set(zip(*drawn, strict=True)))), USERS, ITEMS), old_items=22)
    user = np.arange(2, USERS + 2)  # with some of no history, and some unknown
    top = torch.from_numpy(np.stack([rng.permutation(candidates)[:25] for _ in user]))
    top[3, 7:] = -1
    top[4] = -1
    rows = beyond(top, Backdrop.of(user, world, candidates))
    assert values(rows) == pytest.approx(twin(top, user, world, candidates))
    assert {m: n for _, m, _, n in rows}["coverage@20"] == len(user) - 1
    assert {m: n for _, m, _, n in rows}["calibration@20"] < len(user) - 1


class Ranks:
    """Everybody is shown the items in order."""

    def scores(self, user, num_items):
        return -torch.arange(num_items, dtype=torch.float32).repeat(len(user), 1)

    def predict(self, user, item):
        return None


def test_they_are_of_the_lists_that_accuracy_is_of_and_change_nothing_of_it():
    world = world_of(interactions([(u, u % 5) for u in range(USERS)]), USERS, ITEMS)
    events = interactions([(u, 10 + u) for u in range(USERS)])
    plain, asked = (Slice(events, world, beyond=wanted) for wanted in (False, True))
    without, found = (evaluate_all({"": Ranks()}, [s], Settings(topk=(5, 20)))[0][""] for s in (plain, asked))
    assert without.beyond == []
    assert found.rows == without.rows
    assert values(found.beyond)["coverage@20"] == 21 / ITEMS  # the first 21 but what a user has had
    assert evaluate_all({"": Ranks()}, [asked], Settings(topk=(5,)))[0][""].beyond == []
    assert beyond(torch.full((2, 20), -1), Backdrop.of(np.arange(2), world, ITEMS)) == []


def test_means_are_over_increments_and_then_seeds_and_older_rows_are_empty():
    rows = [
        ("e", "s", "model", seed, t, t + 1, "beyond", "all", "novelty@20", float(t + 10 * seed), 5)
        for seed in (0, 1)
        for t in range(4)
    ]
    rows += [("e", "old", "model", 0, t, t, "cost", "all", "core_seconds", 2.0, 1) for t in range(4)]
    results = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    frame = beyond_accuracy(results)
    assert frame.rows() == [("s", "model", 7.0, None), ("old", "model", None, 2.0)]
    assert frame.columns == ["strategy", "scorer", "novelty@20", "core_seconds"]
    ((heading, shown),) = increments_and_segments(results)
    assert heading.startswith("Beyond accuracy")
    assert shown.columns == ["strategy", "scorer", "novelty@20", "core-seconds"]


def test_a_round_records_them_for_the_increment_to_come_alone():
    stream, record = simulated(), Record(Name("e", "s", 0))
    reached, measure = worlds(stream), Settings.of(stream, topk=(20,))
    assert [w.old_items for w in reached] == [None, *(w.num_items for w in reached[:-1])]
    score_round(record, {"model": Ranks()}, 1, stream, reached, measure)
    results = check(record.frames()["results"])
    found = results.filter(split="beyond")
    assert set(found["evaluated_on"]) == {2}
    assert len(found) == 6
    users = results.filter(split="next", segment="all", metric="recall@20")["n"].item()
    assert found.filter(metric="coverage@20")["n"].item() == users
    assert public(results, 10**6).filter(split="beyond")["value"].null_count() == 6
