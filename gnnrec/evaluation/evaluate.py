"""Score a row of the table on held-out events: every candidate ranked, every user counted, rows of the tidy table out.

Letters: n events, u users with a relevant event, i candidates, K the largest cut-off.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnrec.data.types import Floats, Interactions, Ints
from gnnrec.evaluation import metrics
from gnnrec.evaluation.ranking import hits, tie_order, top_items
from gnnrec.evaluation.world import World
from gnnrec.scorers.model import Scorer

CACHED = 48 << 20
"""Bytes of scores of one block. Larger ones leave the cache and what the allocator keeps: a product takes 2.7 times as long."""

Bools = NDArray[np.bool_]
Row = tuple[str, str, float, int]
"""(segment, metric, value, n)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to measure.

    Attributes:
        topk: cut-offs.
        candidates: "known" ranks items known at t, "universe" every item of the data set.
        positive_from: smallest relevant value; None: every event is relevant.
        block: most users scored at once; fewer where their scores would pass `CACHED`.
        seed: of the order that breaks ties.
        explicit: whether values are ratings, so that MSE means something.
        universe: number of items of the data set, the candidates under "universe".
    """

    topk: tuple[int, ...] = (10, 20, 50)
    candidates: str = "known"
    positive_from: float | None = None
    block: int = 1024
    seed: int = 0
    explicit: bool = False
    universe: int = 0

    def starts(self, users: int, items: int) -> range:
        """Return where blocks of users begin; the step is their size."""
        return range(0, users, max(1, min(self.block, CACHED // (4 * max(items, 1)))))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one scoring gives: rows of the table, and per-user values for paired statistics.

    Attributes:
        rows: (segment, metric, value, n).
        user: [u] numbers of the users with a relevant event.
        known: [u] whether the user is known at t.
        relevant: [u] number of relevant items.
        per_user: metric → [u].
        truth, predicted: [n] values of the events on known users and items, and what the row expects; empty where n/a.
    """

    rows: list[Row]
    user: Ints
    known: Bools
    relevant: Ints
    per_user: dict[str, Floats]
    truth: Floats = field(default_factory=lambda: np.zeros(0))
    predicted: Floats = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True, slots=True)
class Truth:
    """Relevant pairs grouped by user: `user` [u] distinct numbers, `row` [p] into it, `item` [p], distinct pairs."""

    user: Ints
    row: Ints
    item: Ints

    @staticmethod
    def of(events: Interactions, positive_from: float | None) -> Truth:
        """Return the distinct relevant pairs of `events`."""
        keep = np.ones(len(events), bool) if positive_from is None else events.value >= positive_from
        pairs = np.unique(np.stack([events.user[keep], events.item[keep]], axis=1), axis=0)
        user, row = np.unique(pairs[:, 0], return_inverse=True)
        return Truth(user, row, pairs[:, 1])

    def counts(self, keep: Bools | None = None) -> Ints:
        """Return the number of relevant items per user, of those kept, [u]."""
        row = self.row if keep is None else self.row[keep]
        return np.bincount(row, minlength=len(self.user))


def evaluate(
    scorer: Scorer, events: Interactions, world: World, settings: Settings, segments: bool = True
) -> Evaluation:
    """Return the metrics of `scorer` on `events` given what the world had absorbed.

    Args:
        scorer: the row of the table.
        events: held-out events, by global numbers; numbers beyond the world's are unknown.
        world: candidates, masks and segments.
        settings: how to measure.
        segments: also by segment; otherwise all users and known users only.
    """
    true, predicted = _predictions(scorer, events, world, settings)
    rating: list[Row] = [("all", m, f(predicted, true), len(true)) for m, f in metrics.RATING.items() if len(predicted)]
    truth = Truth.of(events, settings.positive_from)
    known = truth.user < world.num_users
    if scorer.scores is None:
        return Evaluation(rating, truth.user, known, truth.counts(), {}, true, predicted)
    top = rank(scorer, truth.user, world, settings)
    rows = list(_ranking_rows(truth, top, _user_segments(truth, world, known, segments), settings))
    if segments:
        rows += _item_rows(truth, top, world, settings)
        rows += _ceilings(truth, world, settings)
    per_user = _per_user(hits(top, truth.row, truth.item, len(truth.user)), truth.counts(), settings.topk)
    return Evaluation(rows + rating, truth.user, known, truth.counts(), per_user, true, predicted)


def rank(scorer: Scorer, user: Ints, world: World, settings: Settings) -> Tensor:
    """Return the best K candidates of each user, [u, K]."""
    items = settings.universe if settings.candidates == "universe" else world.num_items
    order, k = tie_order(settings.seed, items), max(settings.topk)
    blocks = [torch.empty(0, k, dtype=torch.int64)]
    assert scorer.scores is not None
    starts = settings.starts(len(user), items)
    for start in starts:
        block = user[start : start + starts.step]
        seen = world.seen.neighbours(block, of_users=True)
        blocks.append(top_items(scorer.scores(block, items), k, order, seen))
    return torch.cat(blocks)


def _per_user(hit: Bools, relevant: Ints, topk: Sequence[int]) -> dict[str, Floats]:
    return {f"{name}@{k}": f(hit, relevant, k) for name, f in metrics.RANKING.items() for k in topk}


def _ranking_rows(truth: Truth, top: Tensor, segments: dict[str, Bools], settings: Settings) -> Iterator[Row]:
    values = _per_user(hits(top, truth.row, truth.item, len(truth.user)), truth.counts(), settings.topk)
    for segment, member in segments.items():
        for metric, value in values.items():
            if member.any():
                yield segment, metric, float(value[member].mean()), int(member.sum())


def _user_segments(truth: Truth, world: World, known: Bools, every: bool) -> dict[str, Bools]:
    segments = {"all": np.ones(len(truth.user), bool), "known_user": known}
    if every:
        returning = known.copy()
        returning[known] = ~world.recent[truth.user[known]]
        segments |= {"new_user": ~known, "returning_user": returning}
    return segments


def _item_rows(truth: Truth, top: Tensor, world: World, settings: Settings) -> Iterator[Row]:
    """Yield metrics on the relevant items of a segment alone; lists stay as they are, users without are left out."""
    known = truth.item < world.num_items
    third = np.full(len(truth.item), -1)
    third[known] = world.thirds()[truth.item[known]]
    segments = {"known_item": known, "new_item": ~known}
    segments |= {name: third == n for n, name in enumerate(("head_item", "middle_item", "tail_item"))}
    for segment, keep in segments.items():
        user, row = np.unique(truth.row[keep], return_inverse=True)
        part = Truth(user, row, truth.item[keep])
        everyone = {segment: np.ones(len(user), bool)}
        yield from _ranking_rows(part, top[torch.from_numpy(user)], everyone, settings)


def _ceilings(truth: Truth, world: World, settings: Settings) -> Iterator[Row]:
    known = truth.item < world.num_items
    if len(known):
        yield "all", "ceiling", float(known.mean()), len(known)
    for segment, member in (("all", slice(None)), ("known_user", truth.user < world.num_users)):
        for k in settings.topk:
            value = metrics.ceiling(truth.counts(known)[member], truth.counts()[member], k)
            if len(value):
                yield segment, f"ceiling@{k}", float(value.mean()), len(value)


def _predictions(scorer: Scorer, events: Interactions, world: World, settings: Settings) -> tuple[Floats, Floats]:
    """Return true and expected values of the events whose user and item are known at t; empty where n/a."""
    if not settings.explicit:
        return np.zeros(0), np.zeros(0)
    events = events.take((events.user < world.num_users) & (events.item < world.num_items))
    predicted = scorer.predict(events.user, events.item)
    return (np.zeros(0), np.zeros(0)) if predicted is None else (events.value, predicted)
