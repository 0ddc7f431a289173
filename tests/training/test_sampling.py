"""Negatives and batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from gnnrec.core.errors import GnnrecError
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.objectives.base import Negatives
from gnnrec.testing.worlds import interactions, random_events
from gnnrec.training.sampling import EpochBatches, negatives, shared_items

USERS, ITEMS = 12, 10


def graph(events, items=ITEMS):
    return BipartiteGraph.empty().extend(events, USERS, items)


def test_negatives_are_never_positives_and_always_known_items():
    seen = graph(random_events(90, USERS, ITEMS))
    user = np.repeat(np.arange(USERS), 300)
    item = negatives(user, seen, np.random.default_rng(0))
    assert item.min() >= 0
    assert item.max() < seen.num_items
    assert not seen.has(user, item).any()


def test_negatives_are_uniform_over_the_free_items_even_for_a_user_with_few_left():
    pairs = [(0, i) for i in range(9)] + [(1, 0), (1, 1), (1, 2)]
    seen, rng = graph(interactions(pairs), items=12), np.random.default_rng(0)
    for user, free in ((0, {9, 10, 11}), (1, set(range(3, 12))), (5, set(range(12)))):
        found = negatives(np.full(6000, user), seen, rng)
        assert set(found) == free
        assert stats.chisquare(np.bincount(found, minlength=12)[sorted(free)]).pvalue > 1e-3


def test_a_user_with_all_items_but_one_gets_that_one_and_with_all_gets_none():
    pairs = [(0, i) for i in range(400) if i != 217] + [(1, i) for i in range(400)]
    seen = graph(interactions(pairs), items=400)
    found = negatives(np.array([0, 1, 0, 1]), seen, np.random.default_rng(0))
    assert found.tolist() == [217, -1, 217, -1]


def test_a_user_with_all_items_is_no_positive_for_the_pairwise_loss():
    events = interactions([(0, i) for i in range(ITEMS)] + [(1, 0)])
    batch = next(iter(EpochBatches(events, graph(events), 100, None, 0)))
    assert torch.equal(batch.positive, batch.user == 1)
    assert batch.negative.min() >= 0


def test_every_event_comes_once_per_epoch_in_another_order_each_time():
    events = random_events(50, USERS, ITEMS)
    batches = EpochBatches(events, graph(events), 16, None, 3)
    epochs = [list(batches) for _ in range(3)]
    assert [len(e) for e in epochs] == [len(batches)] * 3 == [4] * 3
    orders = [torch.cat([b.user * ITEMS + b.item for b in epoch]) for epoch in epochs]
    whole = np.sort(events.user * ITEMS + events.item)
    for order in orders:
        assert np.array_equal(np.sort(order.numpy()), whole)
    assert not torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[1], orders[2])
    value = {int(u * ITEMS + i): v for u, i, v in zip(events.user, events.item, events.value, strict=True)}
    assert all(
        value[int(u * ITEMS + i)] == float(v)
        for b in epochs[0]
        for u, i, v in zip(b.user, b.item, b.value, strict=True)
    )


def test_batches_depend_on_the_seed_alone():
    events = random_events(50, USERS, ITEMS)
    make = lambda seed: list(EpochBatches(events, graph(events), 16, None, seed))  # noqa: E731
    first = make(1)
    np.random.default_rng(9).random(5)
    again, other = make(1), make(2)
    assert all(torch.equal(x, y) for a, b in zip(first, again, strict=True) for x, y in zip(a, b, strict=True))
    assert any(not torch.equal(a.negative, b.negative) for a, b in zip(first, other, strict=True))


def test_values_below_the_threshold_are_no_positives():
    events = random_events(50, USERS, ITEMS)
    batch = next(iter(EpochBatches(events, graph(events), 100, 4.0, 0)))
    assert torch.equal(batch.positive, batch.value >= 4)
    assert 0 < int(batch.positive.sum()) < 50


def drawn(source, shared, times=3000):
    """Return how often each item is among the shared ones."""
    seen, rng = graph(random_events(90, USERS, ITEMS)), np.random.default_rng(0)
    item = np.arange(4)
    found = [shared_items(Negatives(False, shared=shared, source=source), item, seen, rng) for _ in range(times)]
    assert all((np.diff(f) > 0).all() for f in found)
    return np.bincount(np.concatenate(found), minlength=ITEMS), seen.degrees[1]


def test_shared_negatives_are_distinct_and_from_where_they_are_to_be():
    uniform, _ = drawn("uniform", 3)
    assert stats.chisquare(uniform).pvalue > 1e-3
    popular, degree = drawn("popularity", 1)
    assert stats.chisquare(popular, degree / degree.sum() * 3000).pvalue > 1e-3
    own, _ = drawn("batch", 3)
    assert own[4:].sum() == 0
    assert stats.chisquare(own[:4]).pvalue > 1e-3


def test_as_many_shared_negatives_as_there_are_at_most():
    for source, most in (("uniform", ITEMS), ("popularity", ITEMS), ("batch", 4)):
        assert drawn(source, 99, times=1)[0].sum() == most


def test_several_candidates_are_drawn_for_each_event():
    events = random_events(50, USERS, ITEMS)
    batch = next(iter(EpochBatches(events, graph(events), 16, None, 0, Negatives(candidates=5))))
    assert batch.negative.shape == (16, 5)
    assert not graph(events).has(np.repeat(batch.user.numpy(), 5), batch.negative.flatten().numpy()).any()


def test_an_unknown_source_of_negatives_is_said():
    with pytest.raises(GnnrecError, match=r"objective.negatives=popular .*popularity"):
        Negatives(source="popular")
    with pytest.raises(GnnrecError, match="candidates=0"):
        Negatives(candidates=0)


def test_events_carry_the_slice_of_their_time():
    events = random_events(50, USERS, ITEMS)
    batches = EpochBatches(events, graph(events), 16, None, 3, slice_of=lambda time: (time // 7).astype(np.int64))
    of = {(u, i): t // 7 for u, i, t in zip(events.user, events.item, events.time, strict=True)}
    for batch in batches:
        pairs = zip(batch.user.tolist(), batch.item.tolist(), strict=True)
        assert [of[p] for p in pairs] == batch.within.tolist()
