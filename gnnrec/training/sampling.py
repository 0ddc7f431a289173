"""Batches of events with sampled negatives: items known at t, never a known positive of the user."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from gnnrec.core.seeds import generator
from gnnrec.data.types import Interactions, Ints
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.objectives.base import Batch

ROUNDS = 8
"""Rejection rounds before the few pairs left are drawn from the explicit complement."""


def negatives(user: Ints, seen: BipartiteGraph, rng: np.random.Generator) -> Ints:
    """Return one item per user, uniform over the items that are no edge of theirs, [n]; −1 where every item is one.

    Args:
        user: [n] numbers.
        seen: the absorbed pairs; candidates are its items.
        rng: source of randomness.
    """
    item = rng.integers(0, max(seen.num_items, 1), len(user))
    todo = np.flatnonzero(seen.has(user, item))
    for _ in range(ROUNDS):
        if not len(todo):
            return item
        item[todo] = rng.integers(0, seen.num_items, len(todo))
        todo = todo[seen.has(user[todo], item[todo])]
    for n in todo:
        _, positives = seen.neighbours(user[n : n + 1], of_users=True)
        free = np.setdiff1d(np.arange(seen.num_items), positives)
        item[n] = rng.choice(free) if len(free) else -1
    return item


class EpochBatches:
    """An epoch of events in seeded random order; every pass over it is the next epoch.

    Args:
        events: what to fit on.
        seen: absorbed pairs, for negatives.
        batch_size: events per step.
        positive_from: smallest value that counts as positive; None: every event.
        seed: of order and negatives.
        paired: whether every event needs a negative of its own.
        shared: negatives that the events of a batch share: as many in a small batch as in a large one.
    """

    def __init__(
        self,
        events: Interactions,
        seen: BipartiteGraph,
        batch_size: int,
        positive_from: float | None,
        seed: int,
        paired: bool = True,
        shared: int = 0,
    ) -> None:
        self.events, self.seen, self.batch_size = events, seen, batch_size
        self.positive_from, self.seed, self.epoch = positive_from, seed, 0
        self.paired, self.shared = paired, min(shared, seen.num_items)

    def __len__(self) -> int:
        return -(-len(self.events) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        rng = generator(self.seed, "epoch", self.epoch)
        self.epoch += 1
        order = rng.permutation(len(self.events))
        user = self.events.user[order]
        negative = negatives(user, self.seen, rng) if self.paired else np.zeros(len(order), np.int64)
        for start in range(0, len(order), self.batch_size):
            at = slice(start, start + self.batch_size)
            shared = rng.choice(self.seen.num_items, self.shared, replace=False, shuffle=False)
            yield self._batch(self.events.take(order[at]), negative[at], shared.astype(np.int64))

    def _batch(self, events: Interactions, negative: Ints, shared: Ints) -> Batch:
        positive = negative >= 0
        if self.positive_from is not None:
            positive &= events.value >= self.positive_from
        return Batch(
            torch.from_numpy(events.user),
            torch.from_numpy(events.item),
            torch.from_numpy(events.value).float(),
            torch.from_numpy(positive),
            torch.from_numpy(np.maximum(negative, 0)),
            torch.from_numpy(shared),
        )
