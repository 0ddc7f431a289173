"""The contract of a recommender without training, as tests. A new one passes it by two lines.

class TestGraphFilter(UntrainedContract):
    make = staticmethod(lambda: GraphFilter(after=0.4))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from gnnrec.data.types import Interactions
from gnnrec.scorers.model import Scorer
from gnnrec.testing.worlds import communities, interactions, one_thread
from gnnrec.untrained.base import Untrained

USERS, ITEMS = 24, 16
CUTS: tuple[list[int], ...] = ([], [60], [0, 1, 2, 60, 60, 119])


def log(n: int = 120, seed: int = 0) -> Interactions:
    """Return events in which pairs come again, popular items more often, and the last two users and items never."""
    rng = np.random.default_rng(seed)
    item = (rng.random(n) ** 2 * (ITEMS - 2)).astype(np.int64)
    return interactions(list(zip(rng.integers(0, USERS - 2, n).tolist(), item.tolist(), strict=True)))


class UntrainedContract:
    """What every recommender without training keeps.

    Attributes:
        make: returns one that has absorbed nothing; the same at every call.
        close: how far scores of equal ones may be apart, of the largest.
        personal: whether users with events are ranked by these.
    """

    make: Callable[[], Untrained]
    close = 1e-5
    personal = True

    @pytest.fixture(autouse=True)
    def _on_one_thread(self) -> Iterator[None]:
        with one_thread():
            yield

    def of(self, *parts: Interactions, read: bool = False) -> Untrained:
        """Return a recommender that absorbed these, asked for scores in between where `read` is set."""
        made = self.make()
        for part in parts:
            made.absorb(part, USERS, ITEMS)
            if read:
                self.everything(made)
        return made

    def everything(self, made: Untrained) -> Tensor:
        """Return all scores."""
        found = made.scores(np.arange(USERS), ITEMS)
        assert found.shape == (USERS, ITEMS)
        assert found.dtype == torch.float32
        assert torch.isfinite(found).all()
        return found

    def same(self, one: Untrained, other: Untrained) -> None:
        """Compare everything that two recommenders say."""
        found, expected = (self.everything(x) for x in (one, other))
        assert torch.allclose(found, expected, rtol=0, atol=self.close * float(expected.abs().max().clamp(min=1e-3)))
        assert np.array_equal(one.popularity, other.popularity)

    @pytest.mark.parametrize("read", [False, True])
    @pytest.mark.parametrize("cuts", CUTS, ids=len)
    def test_what_arrives_in_steps_counts_as_at_once(self, cuts: list[int], read: bool) -> None:
        events = log()
        parts = [events.take(slice(a, b)) for a, b in pairwise([0, *cuts, len(events)])]
        self.same(self.of(*parts, read=read), self.of(events))

    def test_a_cold_one_does_not_depend_on_when_it_was_asked(self) -> None:
        events, often, once = log(), self.make().cold(), self.make().cold()
        for part in (events.take(slice(0, 50)), events.take(slice(50, 51)), events.take(slice(51, None))):
            for made in (often, once):
                made.absorb(part, USERS, ITEMS)
            self.everything(often)
        assert torch.equal(self.everything(often), self.everything(once))

    def test_numbers_of_nodes_grow_with_the_events(self) -> None:
        events, made = log(), self.make()
        for part in (events.take(slice(0, 9)), events.take(slice(9, 70)), events.take(slice(70, None))):
            users, items = (
                max(int(x.max()) + 1, n) for x, n in ((part.user, made.num_users), (part.item, made.num_items))
            )
            made.absorb(part, users, items)
            made.scores(np.arange(users), items)
        made.absorb(Interactions.empty(), USERS, ITEMS)
        self.same(made, self.of(events))

    @pytest.mark.parametrize("read", [False, True])
    def test_what_is_retracted_was_never_there(self, read: bool) -> None:
        events, rng = log(), np.random.default_rng(1)
        goes = rng.random(len(events)) < 0.3
        made = self.of(events.take(slice(0, 80)), events.take(slice(80, None)), read=read)
        gone = made.retract(events.take(goes))
        assert len(gone) == goes.sum()
        self.same(made, self.of(events.take(~goes)))
        made.absorb(log(30, seed=2), USERS, ITEMS)
        self.same(made, self.of(events.take(~goes), log(30, seed=2)))

    def test_what_was_not_absorbed_is_passed_over(self) -> None:
        made = self.of(log(), read=True)
        assert not len(made.retract(interactions([(0, 1), (USERS + 5, ITEMS + 7)], [99.0, 98.0])))
        self.same(made, self.of(log()))

    def test_all_can_be_retracted_and_come_again(self) -> None:
        made = self.of(log(), read=True)
        made.retract(log())
        assert not made.popularity.any()
        self.everything(made)
        made.absorb(log(), USERS, ITEMS)
        self.same(made, self.of(log()))

    def test_users_without_events_get_popularity(self) -> None:
        found = self.of(log()).scores(np.array([USERS - 1, USERS, 10**6]), ITEMS)
        expected = torch.from_numpy(np.bincount(log().item, minlength=ITEMS)).float()
        assert torch.equal(found, expected.expand(3, -1))

    def test_scores_of_an_item_are_the_same_for_every_width(self) -> None:
        made = self.of(log())
        whole = made.scores(np.arange(USERS), ITEMS)
        assert torch.equal(made.scores(np.arange(USERS), 5), whole[:, :5])
        wide = made.scores(np.arange(USERS), ITEMS + 3)
        assert torch.equal(wide[:, :ITEMS], whole)
        assert (wide[:, ITEMS:] < whole.amin(1, keepdim=True)).all()

    def test_scores_of_a_user_are_the_same_beside_others(self) -> None:
        made = self.of(log())
        some = made.scores(np.array([7, 2]), ITEMS)
        scale = float(some.abs().max())
        assert torch.allclose(some, self.everything(made)[[7, 2]], rtol=0, atol=self.close * scale)

    def test_two_are_equal_to_the_byte(self) -> None:
        first, second = (self.everything(self.of(log(), log(9, seed=3), read=True)) for _ in range(2))
        assert torch.equal(first, second)

    def test_nothing_absorbed_scores_nothing(self) -> None:
        assert self.make().scores(np.array([0, 5]), 0).shape == (2, 0)
        assert torch.equal(self.make().scores(np.array([0, 5]), 3), torch.zeros(2, 3))
        assert not self.everything(self.of(Interactions.empty())).any()

    def test_it_ranks_and_does_not_predict(self) -> None:
        made: Scorer = self.of(log())
        assert made.scores is not None
        assert made.predict(np.array([0]), np.array([0])) is None

    def test_finds_two_communities(self) -> None:
        if not self.personal:
            return
        known, held = communities()
        made = self.make()
        made.absorb(known, 30, 24)
        score = made.scores(np.arange(30), 24).numpy()
        mine = score[held.user, held.item]
        other = np.concatenate([row[(u + 1) % 2 :: 2] for u, row in enumerate(score)])
        assert (mine[:, None] > other[None, :]).mean() > 0.9
