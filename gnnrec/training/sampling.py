"""Batches of events with sampled negatives: items known at t, never a known positive of the user."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from gnnrec.core.seeds import generator
from gnnrec.data.types import Floats, Interactions, Ints
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.objectives.base import Batch, Negatives

PAIRS = Negatives()
"""One negative for each event."""
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


def shared_items(drawn: Negatives, item: Ints, seen: BipartiteGraph, rng: np.random.Generator) -> Ints:
    """Return distinct items that the events of a batch share as negatives, ascending, [m]; as many as there are at most.

    Args:
        drawn: how many, and where from.
        item: [n] of the batch's events.
        seen: the absorbed pairs.
        rng: source of randomness.
    """
    if drawn.source == "batch":
        own = np.unique(item)
        return np.sort(rng.choice(own, min(drawn.shared, len(own)), replace=False, shuffle=False))
    size = min(drawn.shared, seen.num_items)
    if drawn.source == "uniform":
        return np.sort(rng.choice(seen.num_items, size, replace=False, shuffle=False)).astype(np.int64)
    # The largest of log p + Gumbel noise are a sample without replacement (Efraimidis & Spirakis, IPL 2006).
    degree = np.maximum(seen.degrees[1], 0.5)  # what has no edge comes last, and is there where all are asked for
    key = np.log(degree) + rng.gumbel(size=seen.num_items)
    return np.sort(np.argpartition(-key, size - 1)[:size]) if size else np.zeros(0, np.int64)


class EpochBatches:
    """An epoch of events in seeded random order; every pass over it is the next epoch.

    Args:
        events: what to fit on.
        seen: absorbed pairs, for negatives.
        batch_size: events per step.
        positive_from: smallest value that counts as positive; None: every event.
        seed: of order and negatives.
        drawn: which negatives.
        slice_of: the slice of the fit's time that events of these times came in; None: today's counts hold for all.
    """

    def __init__(
        self,
        events: Interactions,
        seen: BipartiteGraph,
        batch_size: int,
        positive_from: float | None,
        seed: int,
        drawn: Negatives = PAIRS,
        slice_of: Callable[[Floats], Ints] | None = None,
    ) -> None:
        self.events, self.seen, self.batch_size = events, seen, batch_size
        self.positive_from, self.seed, self.epoch = positive_from, seed, 0
        self.drawn, self.slice_of = drawn, slice_of

    def __len__(self) -> int:
        return -(-len(self.events) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        rng = generator(self.seed, "epoch", self.epoch)
        self.epoch += 1
        order = rng.permutation(len(self.events))
        user = self.events.user[order]
        negative = self._own(user, rng)
        for start in range(0, len(order), self.batch_size):
            at = slice(start, start + self.batch_size)
            events = self.events.take(order[at])
            yield self._batch(events, negative[at], shared_items(self.drawn, events.item, self.seen, rng))

    def _own(self, user: Ints, rng: np.random.Generator) -> Ints:
        """Return negatives of each event's own, [n], or [n, k] where it has several to choose from."""
        if not self.drawn.paired:
            return np.zeros(len(user), np.int64)
        several = self.drawn.candidates
        found = negatives(np.repeat(user, several), self.seen, rng)
        return found if several == 1 else found.reshape(-1, several)

    def _batch(self, events: Interactions, negative: Ints, shared: Ints) -> Batch:
        positive = (negative >= 0).reshape(len(negative), -1).all(1)
        if self.positive_from is not None:
            positive &= events.value >= self.positive_from
        within = np.zeros(0, np.int64) if self.slice_of is None else self.slice_of(events.time)
        return Batch(
            torch.from_numpy(events.user),
            torch.from_numpy(events.item),
            torch.from_numpy(events.value).float(),
            torch.from_numpy(positive),
            torch.from_numpy(np.maximum(negative, 0)),
            torch.from_numpy(shared),
            torch.from_numpy(within),
        )
