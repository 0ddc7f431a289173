"""Every recommender without training keeps the contract."""

import numpy as np
import pytest
import torch

from gnnrec.testing.untrained import ITEMS, USERS, UntrainedContract, log
from gnnrec.testing.worlds import interactions
from gnnrec.untrained.ease import EASE
from gnnrec.untrained.filter import GraphFilter
from gnnrec.untrained.itemknn import NearestItems
from gnnrec.untrained.popularity import PopularItems, RandomItems


class TestPopularItems(UntrainedContract):
    make, personal = staticmethod(PopularItems), False


class TestRecentItems(UntrainedContract):
    make, personal = staticmethod(lambda: PopularItems(half_life=20.0)), False

    def test_users_without_events_get_popularity(self):
        found = self.of(log()).scores(np.array([USERS - 1, USERS, 0]), ITEMS)
        assert torch.equal(found, found[2].expand(3, -1))  # the row's own


class TestRandomItems(UntrainedContract):
    make, personal = staticmethod(RandomItems), False

    def test_users_without_events_get_popularity(self):
        found = self.of(log()).scores(np.array([USERS - 1, USERS]), ITEMS)
        assert not torch.equal(found[0], found[1])

    def test_nothing_absorbed_scores_nothing(self):
        assert self.make().scores(np.array([0, 5]), 0).shape == (2, 0)


class TestNearestItems(UntrainedContract):
    make = staticmethod(NearestItems)


class TestFewNearestItems(UntrainedContract):
    make = staticmethod(lambda: NearestItems(neighbours=4, shrinkage=2.0, asymmetry=0.3))


class TestNearestItemsOfRareUsers(UntrainedContract):
    make = staticmethod(lambda: NearestItems(exponent=0.3))


class TestNearestItemsByTfIdf(UntrainedContract):
    make = staticmethod(lambda: NearestItems(tf_idf=True))


class TestGraphFilter(UntrainedContract):
    make = staticmethod(lambda: GraphFilter(user_exponent=0.3, after=0.4))


class TestLowPass(UntrainedContract):
    make = staticmethod(lambda: GraphFilter(linear=0.0, low_pass=1.0, vectors=4, passes=400, warm=400))
    close = 1e-3


class TestMixture(UntrainedContract):
    make = staticmethod(lambda: GraphFilter(low_pass=0.3, vectors=4, passes=400, warm=400))
    close = 1e-3


class TestPolynomial(UntrainedContract):
    make = staticmethod(lambda: GraphFilter(user_exponent=0.6, before=0.4, after=0.4, order=2))


class TestTurbo(UntrainedContract):
    make = staticmethod(lambda: GraphFilter(user_exponent=0.7, before=0.3, after=0.3, power=1.5))


class TestRootFilter(UntrainedContract):
    make = staticmethod(lambda: GraphFilter(power=0.3))


class TestFilterOfFewNeighbours(UntrainedContract):
    make = staticmethod(lambda: GraphFilter(neighbours=8))


class TestDecayedFilter(UntrainedContract):
    make = staticmethod(lambda: GraphFilter(half_life=40.0, low_pass=0.3, vectors=3, passes=400, warm=400))
    close = 1e-3


def test_who_has_nothing_left_under_a_half_life_gets_the_fall_back():
    made = GraphFilter(half_life=1.0)
    made.absorb(interactions([(0, 1), (0, 2)]), USERS, ITEMS)
    made.absorb(interactions([(1, 3), (2, 3)] * 60), USERS, ITEMS)
    made.fallback = np.arange(ITEMS, dtype=float)
    assert torch.equal(made.scores(np.array([0, USERS - 1]), ITEMS), torch.arange(ITEMS).float().expand(2, -1))


class TestEASE(UntrainedContract):
    make = staticmethod(lambda: EASE(l2=2.0))


class TestTruncatedEASE(UntrainedContract):
    make, personal = staticmethod(lambda: EASE(l2=2.0, most_items=5)), False


def test_who_has_no_item_of_a_truncated_ease_gets_the_fall_back():
    made = EASE(l2=2.0, most_items=1)
    made.absorb(interactions([(0, 1), (1, 1), (2, 9)]), USERS, ITEMS)
    assert made.scores(np.array([2]), ITEMS)[0].tolist() == made.popularity.tolist()


class TestIALS(UntrainedContract):
    close = 1e-4

    @staticmethod
    def make():
        pytest.importorskip("implicit")
        from gnnrec.untrained.ials import IALS

        return IALS(factors=4, iterations=8, refit=0.0)
