"""Popularity and co-occurrence: closed forms, and the same however the log is cut."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnrec.counters.itemknn import ItemKNN
from gnnrec.counters.popularity import Popularity
from gnnrec.testing.worlds import interactions, random_events

USERS, ITEMS = 15, 10
CUTS = [[], [40], [0, 1, 2, 40, 40, 79]]


def parts(events, cuts):
    borders = [0, *cuts, len(events)]
    return [events.take(slice(a, b)) for a, b in itertools.pairwise(borders)]


def events_with_repeats():
    rng = np.random.default_rng(0)
    return interactions(list(zip(rng.integers(0, USERS, 80), rng.integers(0, ITEMS, 80), strict=True)))


def cosine_scores(events, user):
    """Return Σ_{j in N(u), j ≠ i} cos(i, j) by loops."""
    x = np.zeros((USERS, ITEMS))
    x[events.user, events.item] = 1
    norms = np.sqrt(x.sum(0))
    result = np.zeros(ITEMS)
    for i in range(ITEMS):
        for j in np.flatnonzero(x[user]):
            if j != i and norms[i] and norms[j]:
                result[i] += x[:, i] @ x[:, j] / (norms[i] * norms[j])
    return result


@pytest.mark.parametrize("cuts", CUTS)
def test_decayed_popularity_is_its_closed_form_for_every_cut(cuts):
    events, counts = events_with_repeats(), Popularity((7.0, 30.0))
    for part in parts(events, cuts):
        counts.absorb(part, ITEMS)
    for h in (7.0, 30.0):
        expected = np.zeros(ITEMS)
        for n, item in enumerate(events.item):
            expected[item] += 2.0 ** (-(len(events) - 1 - n) / h)
        assert np.allclose(counts.decayed[h], expected, rtol=1e-12)
    assert np.array_equal(counts.total, np.bincount(events.item, minlength=ITEMS))


def test_popularity_makes_room_for_new_items():
    counts = Popularity((2.0,))
    counts.absorb(interactions([(0, 0)]), 1)
    counts.absorb(interactions([(0, 2), (1, 2)]), 4)
    assert counts.total.tolist() == [1, 0, 2, 0]
    assert counts.decayed[2.0] == pytest.approx([0.5, 0, 1 + 2**-0.5, 0])


@pytest.mark.parametrize("read_between", [False, True])
@pytest.mark.parametrize("cuts", CUTS)
def test_itemknn_is_the_brute_force_cosine_for_every_cut(cuts, read_between):
    events, knn, users, items = events_with_repeats(), ItemKNN(), 0, 0
    for part in parts(events, cuts):
        users, items = max(users, part.user.max(initial=-1) + 1), max(items, part.item.max(initial=-1) + 1)
        knn.absorb(part, users, items)
        if read_between:  # counted now, not all at once in the end
            assert knn.gram.shape == (items, items)
    knn.absorb(interactions([]), USERS, ITEMS)
    found = knn.known_scores(np.arange(USERS))
    for u in range(USERS):
        assert np.allclose(found[u], cosine_scores(events, u), atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), max_size=30), st.integers(0, 30))
def test_itemknn_grows_to_the_same_gram_matrix(pairs, cut):
    whole, grown = ItemKNN(), ItemKNN()
    whole.absorb(interactions(pairs), 6, 5)
    for part in (pairs[:cut], pairs[cut:]):
        grown.absorb(interactions(part), 6, 5)
        assert grown.matrix.shape == (6, 5)
    assert np.array_equal(whole.gram.toarray(), grown.gram.toarray())
    assert np.array_equal(whole.matrix.toarray(), grown.matrix.toarray())


def test_unknown_and_silent_users_score_zero():
    knn = ItemKNN()
    knn.absorb(random_events(40, USERS - 1, ITEMS), USERS, ITEMS)
    found = knn.known_scores(np.array([USERS - 1, USERS, 10**6, 0]))
    assert not found[:3].any()
    assert found[3].any()
    assert ItemKNN().known_scores(np.array([0, 5])).shape == (2, 0)
