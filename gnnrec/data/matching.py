"""Which events of a log equal given ones, of equal ones as many as are given: how a deletion finds what it takes back.

Letters: n events of a log, m given ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Columns = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]
"""User, item, value and time of events."""


def matched(log: Columns, given: Columns) -> NDArray[np.bool_]:
    """Return, for each given event, the newest equal one of the log that is not taken yet, as a mask of the log, [n].

    Events are equal in every column; NaN equals NaN. Given events that the log does not have are passed over.
    """
    result = np.zeros(len(log[0]), bool)
    # Pairs that are given are few beside the log: only events of theirs are compared column by column.
    # Row numbers stay below 2^31, so that a pair fits into 63 bits.
    own, asked = ((user << 32) | item for user, item, *_ in (log, given))
    at = np.flatnonzero(np.isin(own, asked))
    result[at] = _newest([column[at] for column in log], given)
    return result


def _newest(found: list[NDArray[np.generic]], given: Columns) -> NDArray[np.bool_]:
    rows = np.concatenate([_rows(*found), _rows(*given)])
    _, kind = np.unique(rows, axis=0, return_inverse=True)
    own, asked = np.split(kind.ravel(), [len(found[0])])
    wanted = np.bincount(asked, minlength=len(rows))
    # How many equal events are newer: order by kind, within it from the newest back.
    order = np.lexsort((-np.arange(len(own)), own))
    sizes = np.bincount(own, minlength=len(rows))
    newer = np.empty(len(own), np.int64)
    newer[order] = np.arange(len(own)) - (np.cumsum(sizes) - sizes)[own[order]]
    result: NDArray[np.bool_] = newer < wanted[own]
    return result


def _rows(user: NDArray, item: NDArray, value: NDArray, time: NDArray) -> NDArray[np.int64]:  # type: ignore[type-arg]
    """Return the columns as rows of whole numbers, [n, 4], equal where the events are; NaN equals NaN, 0.0 equals -0.0."""
    real = (np.ascontiguousarray(x + 0.0).view(np.int64) for x in (value, time))
    return np.stack([user, item, *real], axis=1)
