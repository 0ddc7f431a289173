"""How to measure: settings, what of held-out events is relevant, and which items are no candidates.

Letters: n events, u users with a relevant event, p relevant pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnrec.data.types import Interactions, Ints, Stream
from gnnrec.graph.bipartite import BipartiteGraph

CACHED = 24 << 20
"""Bytes of scores of one block. From 32 MiB on glibc maps every temporary anew, and the kernel clears its pages each time."""
CANDIDATES = ("known", "universe")
MASKS = ("absorbed", "none")
MATRICES = ("full", "diagonal", "off")

Bools = NDArray[np.bool_]
MaskedPairs = tuple[Ints, Ints]
"""(row, item), each [p]."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to measure.

    Attributes:
        topk: cut-offs.
        candidates: "known" ranks items known at t, "universe" every item of the data set.
        mask: "absorbed": what a user has already is neither a candidate nor relevant; "none": it is both, for logs of repeat
            consumption.
        matrix: of R, "full" (k ≤ t + 4), "diagonal" (k = t) or "off".
        positive_from: smallest relevant value; None: every event is relevant.
        block: most users scored at once; fewer where their scores would pass `CACHED`.
        seed: of the order that breaks ties.
        explicit: whether values are ratings, so that MSE means something.
        universe: number of items of the data set, the candidates under "universe".
    """

    topk: tuple[int, ...] = (10, 20, 50)
    candidates: str = "known"
    mask: str = "absorbed"
    matrix: str = "full"
    positive_from: float | None = None
    block: int = 1024
    seed: int = 0
    explicit: bool = False
    universe: int = 0

    @staticmethod
    def of(stream: Stream, **chosen: Any) -> Settings:
        """Return settings with what the stream says: relevance, kind of feedback, number of items.

        Args:
            stream: what is measured on.
            chosen: any other attribute.
        """
        told = {
            "positive_from": stream.positive_from,
            "explicit": stream.feedback == "explicit",
            "universe": len(stream.items),
        }
        return Settings(**{**told, **chosen})

    def starts(self, users: int, items: int) -> range:
        """Return where blocks of users begin; the step is their size."""
        return range(0, users, max(1, min(self.block, CACHED // (4 * max(items, 1)))))

    def truth(self, events: Interactions, seen: BipartiteGraph) -> Relevant:
        """Return what of `events` is relevant: pairs among `seen` are not, where those are masked."""
        return Relevant.of(events, self.positive_from, seen if self.mask == "absorbed" else None)

    def masked(self, seen: BipartiteGraph, user: Ints) -> MaskedPairs:
        """Return the (row of `user`, item) pairs that are no candidates, of those that are edges of `seen`."""
        nothing = np.empty(0, np.int64)
        return seen.neighbours(user, of_users=True) if self.mask == "absorbed" else (nothing, nothing)


@dataclass(frozen=True, slots=True)
class Relevant:
    """Relevant pairs grouped by user: `user` [u] distinct numbers, ascending, `row` [p] into it, `item` [p], distinct pairs."""

    user: Ints
    row: Ints
    item: Ints

    @staticmethod
    def of(events: Interactions, positive_from: float | None, seen: BipartiteGraph | None = None) -> Relevant:
        """Return the distinct relevant pairs of `events` that are no edges of `seen`."""
        keep = np.ones(len(events), bool) if positive_from is None else events.value >= positive_from
        if seen is not None:
            keep = keep & ~seen.has(events.user, events.item)
        pairs = np.unique(np.stack([events.user[keep], events.item[keep]], axis=1), axis=0)
        user, row = np.unique(pairs[:, 0], return_inverse=True)
        return Relevant(user, row, pairs[:, 1])

    def counts(self, keep: Bools | None = None) -> Ints:
        """Return the number of relevant items per user, of those kept, [u]."""
        row = self.row if keep is None else self.row[keep]
        return np.bincount(row, minlength=len(self.user))

    def between(self, start: int, end: int) -> tuple[Ints, Ints]:
        """Return (row, item) of the users numbered start to end here, rows counted from `start`."""
        low, high = np.searchsorted(self.row, [start, end])  # pairs are sorted by user
        return self.row[low:high] - start, self.item[low:high]
