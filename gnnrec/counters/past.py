"""Decayed popularity as it was: what stood in the counters when an event of the past came.

Letters: s slices of time, i items.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gnnrec.data.types import Floats, Interactions, Ints, Singles

MOST, CELLS = 256, 2**24
"""Slices at most, and counts of all of them together: 64 MiB."""
PER_HALF_LIFE = 4
"""Slices of a half-life: counts then lag by 16 % at most, where there are not more than `MOST`."""
FORGOTTEN = 50
"""Half-lives after which an event counts for nothing."""


@dataclass(frozen=True, slots=True)
class PastPopularity:
    """Counts of items by slice of time.

    Attributes:
        begin: when each slice begins, ascending, [s].
        counts: absorbed events of each item before that, by age, [s, i].
    """

    begin: Floats
    counts: Singles

    def slice_of(self, time: Floats) -> Ints:
        """Return the number of the slice that each time lies in, [n]; what lies before all is in the first."""
        return np.maximum(np.searchsorted(self.begin, time, side="right") - 1, 0)


def past(log: Sequence[Interactions], half_life: float, since: float, num_items: int) -> PastPopularity:
    """Return the decayed counts of the slices from `since` to the end of the log.

    Events count in the order of their times, of equal ones in that of the log. Costs the events since then, those of the
    `FORGOTTEN` half-lives before, and s · i.

    Args:
        log: absorbed events, each part sorted by time.
        half_life: in events, finite.
        since: the time from which slices are asked for.
        num_items: i.
    """
    item, time = _ordered(_needed(log, half_life, since))
    first = int(np.searchsorted(time, since))
    slices = min(MOST, max(CELLS // max(num_items, 1), 1), math.ceil((len(item) - first) * PER_HALF_LIFE / half_life))
    cuts = np.unique(np.linspace(first, len(item), max(slices, 1), endpoint=False).astype(np.int64))
    counts, sums, at = np.zeros((len(cuts), num_items), np.float32), np.zeros(num_items), 0
    for row, cut in zip(counts, cuts, strict=True):
        age = np.arange(cut - at - 1, -1, -1)
        fresh = np.bincount(item[at:cut], np.exp2(-age / half_life), minlength=num_items)
        sums = sums * np.exp2(-(cut - at) / half_life) + fresh
        row[:], at = sums, cut
    return PastPopularity(time[np.minimum(cuts, len(time) - 1)] if len(time) else np.zeros(1), counts)


def _needed(log: Sequence[Interactions], half_life: float, since: float) -> Iterator[Interactions]:
    """Yield the newest parts of the log that have anything to say, the newest first."""
    before = 0
    for part in reversed(log):
        if before >= FORGOTTEN * half_life:
            return
        yield part
        before += int(np.searchsorted(part.time, since))


def _ordered(newest_first: Iterator[Interactions]) -> tuple[Ints, Floats]:
    parts = list(newest_first)[::-1]
    item = np.concatenate([np.zeros(0, np.int64), *(p.item for p in parts)])
    time = np.concatenate([np.zeros(0), *(p.time for p in parts)])
    order = np.argsort(time, kind="stable")
    return item[order], time[order]
