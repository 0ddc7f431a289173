"""A recommender from elsewhere as a row of a table: refitted at each increment on what has been released.

Letters: n users asked for, i items, k places of a list.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Interactions, Ints
from gnnrec.outside.base import Released, checked_lists, checked_model
from gnnrec.untrained.base import Untrained


class Outside(Untrained):
    """Lists of a model with `fit(observed)` and `recommend(users, k)`, as scores: 1 / place, 0 for what is in no list.

    The model is given absorbed events alone, valid's among them as for every row, and is asked for users with events; the
    others get the counter that ranks valid best, as in every row.

    Args:
        model: from elsewhere; see `gnnrec.outside.base.OutsideModel`.
        depth: places of a list that are asked for, beside as many as a user has events: the largest cut-off of
            `evaluation.topk` at least.
    """

    def __init__(self, model: Any = None, depth: int = 100) -> None:
        super().__init__()
        if depth < 1:
            raise GnnrecError(f"outside.depth={depth} must be 1 or more places")
        self.model, self.depth = checked_model(model), depth
        self._stale, self._fitted = True, (0, 0)

    def take_in(self, events: Interactions) -> None:
        """Let the next ranking fit, if there is anything new: events, or numbers."""
        self._stale = self._stale or bool(len(events)) or self._fitted != (self.num_users, self.num_items)

    def take_out(self, events: Interactions) -> None:
        """Let the next ranking fit."""
        self._stale = True

    def settle(self) -> None:
        """Fit on everything so far, if anything has come or gone since."""
        if not (self._stale and self.popularity.any()):
            return
        events = Interactions.concat(list(self._log)).owned()
        self.model.fit(Released(events, self.num_users, self.num_items))
        self._stale, self._fitted = False, (self.num_users, self.num_items)

    def rank(self, user: Ints) -> NDArray[np.float32]:
        """Return [n, i]; of a list as many places count as `depth` and the user's own events."""
        self.settle()
        places = self.depth + self._events[user].astype(np.int64)
        k = min(self.num_items, int(places.max(initial=0)))
        lists = checked_lists(self.model.recommend(user.copy(), k), user, k, self.num_items, type(self.model).__name__)
        place = np.broadcast_to(np.arange(lists.shape[1]), lists.shape)
        listed = (lists >= 0) & (place < places[:, None])
        found = np.zeros((len(user), self.num_items), np.float32)
        # Of an item that is named twice the better place counts.
        np.maximum.at(found, (np.nonzero(listed)[0], lists[listed]), (1.0 / (1.0 + place[listed])).astype(np.float32))
        return found

    @property
    def nbytes(self) -> int:
        """Bytes that the model says it keeps by an attribute `nbytes`; 0 where it says nothing."""
        said = getattr(self.model, "nbytes", 0)
        return int(said) if isinstance(said, int | np.integer) else 0
