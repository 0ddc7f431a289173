"""What is absorbed and taken out again was never there; small changes leave large parts alone."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnrec.counters import additive
from gnnrec.counters.counters import Counters
from gnnrec.counters.itemknn import ItemKNN
from gnnrec.data.types import Interactions
from gnnrec.testing.worlds import interactions, random_events

USERS, ITEMS = 6, 5
EVENT = st.tuples(st.integers(0, USERS - 1), st.integers(0, ITEMS - 1), st.integers(1, 2), st.integers(0, 3))
"""User, item, value and time: few of each, so that many events are equal."""


def events(rows):
    user, item, value, time = (np.array([r[c] for r in rows], np.int64) for c in range(4))
    return Interactions(user, item, value.astype(float), time.astype(float))


def rows_of(found):
    return list(zip(*(getattr(found, c).tolist() for c in ("user", "item", "value", "time")), strict=True))


def absorbed(*parts):
    counts = Counters((2.0, 50.0))
    for part in (events([]), *parts):
        counts.absorb(part, USERS, ITEMS)
    return counts


def same(one, other):
    """Compare everything that counters say."""
    assert np.array_equal(one.popularity.total, other.popularity.total)
    for h, expected in other.popularity.decayed.items():
        assert np.allclose(one.popularity.decayed[h], expected, rtol=1e-12, atol=0)
    assert np.array_equal(one.companion.matrix.toarray(), other.companion.matrix.toarray())
    assert np.array_equal(one.companion.gram.toarray(), other.companion.gram.toarray())
    scores = (counts.companion.known_scores(np.arange(USERS + 1)) for counts in (one, other))
    assert np.allclose(*scores, atol=1e-6)  # parts are added in another order
    assert np.array_equal(one.companion.taken, one.companion.gram.diagonal())
    assert one.nbytes == other.nbytes


@pytest.mark.parametrize("ratio", [0, additive.MERGE_RATIO, 10**9], ids=["many parts", "as set", "one part"])
@settings(max_examples=60, deadline=None)
@given(
    st.lists(EVENT, max_size=25), st.integers(0, 25), st.lists(st.booleans(), min_size=25, max_size=25), st.booleans()
)
def test_absorbed_and_retracted_is_never_absorbed(ratio, rows, cut, goes, read):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(additive, "MERGE_RATIO", ratio)
        counts = absorbed(events(rows[:cut]), events(rows[cut:]))
        if read:
            counts.companion.settle()
        gone = [r for r, out in zip(rows, goes, strict=False) if out]
        found = counts.retract(events(gone))
        assert sorted(rows_of(found)) == sorted(gone)
        # Of equal events it is the newest that goes, so what stays is found from the oldest on.
        stays = list(rows)
        for row in gone:
            del stays[len(stays) - 1 - stays[::-1].index(row)]
        same(counts, absorbed(events(stays)))
        counts.absorb(events(rows), USERS, ITEMS)
        same(counts, absorbed(events(stays), events(rows)))


def test_events_that_were_not_absorbed_are_passed_over():
    counts = absorbed(events([(0, 1, 2, 3), (0, 1, 2, 3), (1, 1, 1, 1)]))
    asked = [(0, 1, 2, 3)] * 3 + [(0, 1, 1, 3), (0, 1, 2, 0), (5, 4, 1, 1), (1000, 7, 1, 1)]
    assert rows_of(counts.retract(events(asked))) == [(0, 1, 2.0, 3.0)] * 2
    same(counts, absorbed(events([(1, 1, 1, 1)])))
    assert len(counts.retract(events(asked))) == 0


def test_a_pair_is_orphaned_with_its_last_event():
    twice, once, never = (0, 1, 1, 0), (1, 1, 1, 0), (2, 2, 1, 0)
    counts = absorbed(events([twice, once]), events([(0, 1, 2, 3)]))
    asked = events([twice, once, never])
    counts.retract(asked)
    assert rows_of(counts.orphaned(asked)) == [once, never]
    counts.retract(events([(0, 1, 2, 3)]))
    assert len(counts.orphaned(asked)) == 3


def test_values_that_are_not_known_are_equal():
    nameless = Interactions(np.array([0]), np.array([1]), np.array([np.nan]), np.array([np.nan]))
    counts = absorbed(nameless)
    assert len(counts.retract(nameless)) == 1
    assert not counts.popularity.total.any()


def test_a_copy_is_independent_and_shares_the_log():
    counts = absorbed(random_events(30, USERS, ITEMS))
    twin = copy.deepcopy(counts)
    twin.retract(random_events(30, USERS, ITEMS))
    assert not twin.companion.gram.nnz
    same(counts, absorbed(random_events(30, USERS, ITEMS)))
    log = next(iter(counts.log)), next(iter(copy.deepcopy(counts).log))
    assert log[0] is log[1]


def test_a_small_change_leaves_large_parts_as_they_are():
    knn = ItemKNN()
    knn.absorb(random_events(4000, 300, 200), 300, 200)
    (large,) = knn.gram_parts
    for n in range(3):
        knn.absorb(interactions([(n, 7)]), 300, 200)
        assert knn.gram_parts[0] is large
        assert len(knn.gram_parts) <= 2 + n
    assert np.array_equal(sum(p.toarray() for p in knn.gram_parts), knn.gram.toarray())
    assert np.array_equal(knn.rows(np.array([5, 0])).toarray(), knn.matrix[[5, 0]].toarray())
    x = knn.matrix.toarray()
    assert np.array_equal(knn.gram.toarray(), x.T @ x)


def test_scores_are_the_same_to_the_byte_whenever_somebody_asked():
    steps = [random_events(4000, 300, 2000), *(random_events(20, 300, 2000, seed) for seed in range(1, 9))]
    often, once = ItemKNN(), ItemKNN()
    for part in steps:
        for knn in (often, once):
            knn.absorb(part, 300, 2000)
        assert often.nbytes
        assert often.known_scores(np.arange(10)).any()
    assert len(often.gram_parts) > 1
    assert np.array_equal(often.known_scores(np.arange(300)), once.known_scores(np.arange(300)))
