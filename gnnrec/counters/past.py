"""Decayed popularity as it was: what stood in the counters when an event of the past came.

Letters: n events, s slices of time, i items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gnnrec.data.types import Floats, Interactions, Ints, Singles

MOST, CELLS = 256, 2**24
"""Slices at most, and counts of all of them together: 64 MiB."""
LEAST = 16
"""Slices below which the counts would be those of another time, nothing at all for the first of them."""
FORGOTTEN = 50
"""Half-lives after which an event counts for nothing."""


@dataclass(frozen=True, slots=True)
class PastPopularity:
    """Counts of items by slice of time.

    Attributes:
        begin: when each slice begins, ascending, [s].
        counts: decayed counts of each item, of the events before the slice began, [s, i].
    """

    begin: Floats
    counts: Singles

    def slice_of(self, time: Floats) -> Ints:
        """Return the number of the slice that each time lies in, [n]; times before the first slice belong to it."""
        return np.maximum(np.searchsorted(self.begin, time, side="right") - 1, 0)


def past_popularity(
    log: Sequence[Interactions], half_life: float, times: Floats, num_items: int
) -> PastPopularity | None:
    """Return the decayed counts as they stood when events of these times came; None where the times tell too little.

    Slices hold as many of the `times` each as may be, and begin between different ones, so that no event is among its own
    counts. Events of the log count in the order of their times, of equal ones in that of the log. Costs the events from the
    first of the `times` on, those of `FORGOTTEN` half-lives before it, and s · i.

    Args:
        log: absorbed events, each part sorted by time.
        half_life: in events, finite.
        times: of the events that the counts are for, [n].
        num_items: i.
    """
    asked = np.sort(times)
    slices = min(MOST, CELLS // max(num_items, 1), len(asked))
    begin = np.unique(asked[np.arange(slices) * len(asked) // max(slices, 1)])
    if len(begin) < min(LEAST, len(asked)) or not len(asked):
        return None
    item, time = _ordered(_needed(log, half_life, float(asked[0])))
    counts, sums, at = np.zeros((len(begin), num_items), np.float32), np.zeros(num_items), 0
    for row, cut in zip(counts, np.searchsorted(time, begin), strict=True):
        age = np.arange(cut - at - 1, -1, -1)
        fresh = np.bincount(item[at:cut], np.exp2(-age / half_life), minlength=num_items)
        sums = sums * np.exp2(-(cut - at) / half_life) + fresh
        row[:], at = sums, cut
    return PastPopularity(begin, counts)


def _needed(log: Sequence[Interactions], half_life: float, since: float) -> list[Interactions]:
    """Return the parts of the log that have anything to say from `since` on, in its order."""
    parts: list[Interactions] = []
    before, earliest = 0, np.inf
    for part in (p for p in reversed(log) if len(p)):
        if before >= FORGOTTEN * half_life and part.time[-1] <= earliest:
            break
        parts.append(part)
        before, earliest = before + int(np.searchsorted(part.time, since)), min(earliest, float(part.time[0]))
    return parts[::-1]


def _ordered(parts: list[Interactions]) -> tuple[Ints, Floats]:
    item = np.concatenate([np.zeros(0, np.int64), *(p.item for p in parts)])
    time = np.concatenate([np.zeros(0), *(p.time for p in parts)])
    order = np.argsort(time, kind="stable")
    return item[order], time[order]
