"""No training: a recommender that counts serves, brought up to date by what is new."""

from __future__ import annotations

import copy

from torch import Tensor

from gnnrec.data.types import Floats, Ints, Observed
from gnnrec.learner import Learner
from gnnrec.scorers.model import Scorer
from gnnrec.strategies.base import Strategy
from gnnrec.untrained.base import Untrained


class Refreshed:
    """What ranks by a recommender without training; values are predicted by a model.

    Args:
        recommender: has absorbed what `model` has.
        model: predicts.
    """

    def __init__(self, recommender: Untrained, model: Scorer) -> None:
        self.recommender, self.model = recommender, model

    def scores(self, user: Ints, num_items: int) -> Tensor:
        """Return [n, num_items]."""
        return self.recommender.scores(user, num_items)

    def predict(self, user: Ints, item: Ints) -> Floats | None:
        """Return the expected value of each pair, [n], or None."""
        return self.model.predict(user, item)


class Refresh(Strategy):
    """The model stays as the base was; what serves is `recommender`, refreshed by each increment's events and deletions.

    With a graph filter under a half-life this is FIRE (Xia et al., WWW 2022) without side information; with ItemKNN or EASE the
    classics. Exact under deletion, at the price of counting anew: what has been taken out had never been there. It needs no
    state: what it counts is the log, and a resumed run counts it again.

    Departs from FIRE in that a filter's half-life counts events, not seconds; its term of the leading vectors is `low_pass`, 0
    as `strategy=filter` comes.

    Args:
        recommender: without events; a copy is made whose scores do not depend on when they were asked for.
        seed: of nothing; the recommender has its own.
    """

    def __init__(self, recommender: Untrained, seed: int = 0) -> None:
        super().__init__(seed)
        self._fresh = recommender.cold()
        self.recommender = copy.deepcopy(self._fresh)

    def begin(self, learner: Learner, base: Observed) -> None:
        """Count the base."""
        self._catch_up(learner)
        self.recommender.settle()

    def update(self, learner: Learner, new: Observed) -> None:
        """Count what is new, let out what is removed, choose the blend, count valid."""
        self._catch_up(learner)
        learner.extend(new)
        if len(new.removed):
            # Counted again from what is left, which the increment's events are part of: a difference of sums would differ in
            # the last digits from what a resumed run counts.
            self.recommender = copy.deepcopy(self._fresh)
            self._catch_up(learner)
        else:
            self.recommender.absorb(new.arrived, learner.seen.num_users, learner.seen.num_items)
        learner.absorb(new)
        self.recommender.absorb(new.folded, new.num_users, new.num_items)
        self.recommender.settle()

    def consolidate(self, learner: Learner, new: Observed) -> None:
        """Count an increment that another strategy has let in."""
        if len(new.removed) or not self.recommender.num_users:
            self.recommender = copy.deepcopy(self._fresh)
            self._catch_up(learner)
        else:
            self.recommender.absorb(new.arrived, new.num_users, new.num_items)
            self.recommender.absorb(new.folded, new.num_users, new.num_items)
        self.recommender.settle()

    @property
    def counted_bytes(self) -> int:
        """Return those of the recommender."""
        return int(self.recommender.nbytes)

    def _catch_up(self, learner: Learner) -> bool:
        """Count all that the learner has absorbed, where nothing has been counted yet; return whether that was so."""
        if self.recommender.num_users:
            return False
        for events in learner.counters.log:
            self.recommender.absorb(events, learner.counters.num_users, learner.counters.num_items)
        return True

    def scorer(self, learner: Learner) -> Scorer:
        """Return the recommender; users without an event get the counter that valid prefers."""
        if self._catch_up(learner):
            self.recommender.settle()
        self.recommender.fallback = learner.counters.popularity.at(learner.blend.half_life)
        return Refreshed(self.recommender, learner.scorer())
