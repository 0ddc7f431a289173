"""A recommender from elsewhere: two methods, and all that it is given.

Letters: n events or users asked for, k places of a list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Interactions, Ints


@dataclass(frozen=True, slots=True)
class Released:
    """All that has been absorbed so far, and nothing else: read-only arrays that share memory with no later event.

    Attributes:
        events: [n] every absorbed event, the oldest first; `user` and `item` are row numbers, `value` is 1 for implicit
            feedback, `time` is in seconds.
        num_users, num_items: numbered nodes; every number in `events` is below, and numbers never change.
    """

    events: Interactions
    num_users: int
    num_items: int


class OutsideModel(Protocol):
    """What a recommender from elsewhere offers; no import of gnnrec is needed for it.

    `fit` is called once per increment with everything so far, on the same object: to begin anew or to go on is the model's
    affair. The same data in the same order must give the same lists, so a seed belongs to its constructor.
    """

    def fit(self, observed: Released) -> None:
        """Learn from all events that are released, those of earlier calls among them."""
        ...

    def recommend(self, users: Ints, k: int) -> Ints:
        """Return item numbers [n, at most k] for users [n], the best first; −1 where a list is shorter.

        Users have an event each. What a user has already may be in the list or not: the evaluator masks it. An item that is in
        no list ranks below all that are.
        """
        ...


class UnknownItemsError(GnnrecError):
    """A list names items that no absorbed event has: numbers of the future."""


def checked_model(model: Any) -> OutsideModel:
    """Return the model, if it has both methods.

    Raises:
        GnnrecError: it lacks one.
    """
    for method in ("fit", "recommend"):
        if not callable(getattr(model, method, None)):
            what = "nothing" if model is None else type(model).__name__
            raise GnnrecError(
                f"outside.model={what} has no method {method}: it needs fit(observed) and recommend(users, k); see "
                "docs/leakcheck.md"
            )
    found: OutsideModel = model
    return found


def checked_lists(lists: Any, users: Ints, k: int, num_items: int, who: str) -> Ints:
    """Return lists as [n, at most k] numbers.

    Raises:
        GnnrecError: they have another shape, or are no whole numbers.
        UnknownItemsError: they name an item that is not known.
    """
    found = np.asarray(lists)
    if found.ndim != 2 or len(found) != len(users) or found.shape[1] > k or found.dtype.kind not in "iu":
        raise GnnrecError(
            f"{who}.recommend must return whole numbers of shape [{len(users)}, at most {k}], got {found.dtype} of shape "
            f"{list(found.shape)}; shorter lists end with -1"
        )
    if found.size and (int(found.min()) < -1 or int(found.max()) >= num_items):
        odd = int(found.max()) if int(found.max()) >= num_items else int(found.min())
        raise UnknownItemsError(
            f"{who}.recommend names item {odd}, where items 0 to {num_items - 1} are known so far; return those, or -1"
        )
    return found.astype(np.int64)
