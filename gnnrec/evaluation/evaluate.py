"""Score a row of the table on held-out events: every candidate ranked, every user counted, rows of the tidy table out.

Letters: n events, u users with a relevant event, i candidates, K the largest cut-off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from gnnrec.data.types import Floats, Interactions, Ints
from gnnrec.evaluation import metrics
from gnnrec.evaluation.beyond.measures import LENGTH, Backdrop, beyond
from gnnrec.evaluation.lists import Asked, best
from gnnrec.evaluation.ranking import hits
from gnnrec.evaluation.settings import Bools, Relevant, Settings
from gnnrec.evaluation.world import World
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.scorers.model import Scorer

__all__ = ["Evaluation", "MetricRow", "Relevant", "Settings", "Slice", "evaluate", "evaluate_all", "rank"]

MetricRow = tuple[str, str, float, int]
"""(segment, metric, value, n)."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one scoring gives: rows of the table, and per-user values for paired statistics.

    Attributes:
        rows: (segment, metric, value, n).
        user: [u] numbers of the users with a relevant event.
        known: [u] whether the user is known at t.
        relevant: [u] number of relevant items.
        per_user: metric → [u].
        rated: [n] users of the events on known users and items; empty where values are n/a.
        truth, predicted: [n] values of these events, and what the row expects.
        beyond: (segment, metric, value, n) of what the lists are like, whatever of them is relevant; empty where not asked for.
    """

    rows: list[MetricRow]
    user: Ints
    known: Bools
    relevant: Ints
    per_user: dict[str, Floats]
    rated: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    truth: Floats = field(default_factory=lambda: np.zeros(0))
    predicted: Floats = field(default_factory=lambda: np.zeros(0))
    beyond: list[MetricRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Slice:
    """Held-out events and what they are scored against.

    Attributes:
        events: by global numbers; numbers beyond the world's are unknown.
        world: candidates, what is relevant, and segments.
        seen: pairs that are no candidates, but for the relevant ones; the world's where None.
        segments: also by segment; otherwise all users and known users only.
        beyond: also what the lists are like: coverage, novelty, …
    """

    events: Interactions
    world: World
    seen: BipartiteGraph | None = None
    segments: bool = True
    beyond: bool = False


def evaluate(
    scorer: Scorer, events: Interactions, world: World, settings: Settings, segments: bool = True
) -> Evaluation:
    """Return the metrics of `scorer` on `events` given what the world had absorbed; see `Slice`."""
    return evaluate_all({"": scorer}, [Slice(events, world, segments=segments)], settings)[0][""]


def evaluate_all(
    scorers: Mapping[str, Scorer], slices: Sequence[Slice], settings: Settings
) -> list[dict[str, Evaluation]]:
    """Return the metrics of every scorer on every slice; what they have in common is computed once.

    Args:
        scorers: rows of the table by name.
        slices: what they are scored on.
        settings: how to measure.
    """
    truths = [settings.truth(s.events, s.world.seen) for s in slices]
    asked = [_asked(s, truth, settings) for s, truth in zip(slices, truths, strict=True)]
    ranking = {name: scorer for name, scorer in scorers.items() if scorer.scores is not None}
    lists = best(ranking, asked, settings)
    found = [
        {name: _evaluation(scorer, s, truth, top.get(name), settings) for name, scorer in scorers.items()}
        for s, truth, top in zip(slices, truths, lists, strict=True)
    ]
    for s, asked_, top, evaluations in zip(slices, asked, lists, found, strict=True):
        if s.beyond and max(settings.topk) >= LENGTH:
            behind = Backdrop.of(asked_.user, s.world, asked_.num_items)
            for name, listed in top.items():
                evaluations[name].beyond.extend(beyond(listed, behind))
    return found


def _asked(slice_: Slice, truth: Relevant, settings: Settings) -> Asked:
    world = slice_.world
    # What the world has seen is not relevant: only a wider mask can hold a relevant pair.
    seen, kept = (world.seen, None) if slice_.seen is None else (slice_.seen, truth)
    return Asked(truth.user, _candidates(world, settings), seen, kept)


def _candidates(world: World, settings: Settings) -> int:
    return settings.universe if settings.candidates == "universe" else world.num_items


def _evaluation(scorer: Scorer, slice_: Slice, truth: Relevant, top: Tensor | None, settings: Settings) -> Evaluation:
    world = slice_.world
    rated, true, predicted = _predictions(scorer, slice_.events, world, settings)
    rating: list[MetricRow] = [
        ("all", m, f(predicted, true), len(true)) for m, f in metrics.RATING.items() if len(predicted)
    ]
    known, relevant = truth.user < world.num_users, truth.counts()
    if top is None:
        return Evaluation(rating, truth.user, known, relevant, {}, rated, true, predicted)
    per_user = _per_user(hits(top, truth.row, truth.item, len(truth.user)), relevant, settings.topk)
    rows = list(_means(per_user, _user_segments(truth, world, known, slice_.segments)))
    if slice_.segments:
        rows += _item_rows(truth, top, world, settings)
        rows += _ceilings(truth, world, settings)
    return Evaluation(rows + rating, truth.user, known, relevant, per_user, rated, true, predicted)


def rank(scorer: Scorer, user: Ints, world: World, settings: Settings) -> Tensor:
    """Return the best K candidates of each user, ascending numbers, [u, K] on the CPU."""
    asked = Asked(user, _candidates(world, settings), world.seen)
    return best({"": scorer}, [asked], settings)[0][""]


def _per_user(hit: Bools, relevant: Ints, topk: Sequence[int]) -> dict[str, Floats]:
    return {f"{name}@{k}": f(hit, relevant, k) for name, f in metrics.RANKING.items() for k in topk}


def _means(per_user: dict[str, Floats], segments: dict[str, Bools]) -> Iterator[MetricRow]:
    for segment, member in segments.items():
        for metric, value in per_user.items():
            if member.any():
                yield segment, metric, float(value[member].mean()), int(member.sum())


def _user_segments(truth: Relevant, world: World, known: Bools, every: bool) -> dict[str, Bools]:
    segments = {"all": np.ones(len(truth.user), bool), "known_user": known}
    if every:
        returning = known.copy()
        returning[known] = ~world.recent[truth.user[known]]
        segments |= {"new_user": ~known, "returning_user": returning}
    return segments


def _item_rows(truth: Relevant, top: Tensor, world: World, settings: Settings) -> Iterator[MetricRow]:
    """Yield metrics on the relevant items of a segment alone; lists stay as they are, users without are left out."""
    known = truth.item < world.num_items
    third = np.full(len(truth.item), -1)
    third[known] = world.thirds()[truth.item[known]]
    segments = {"known_item": known, "new_item": ~known}
    segments |= {name: third == n for n, name in enumerate(("head_item", "middle_item", "tail_item"))}
    for segment, keep in segments.items():
        user, row = np.unique(truth.row[keep], return_inverse=True)
        hit = hits(top[torch.from_numpy(user)], row, truth.item[keep], len(user))
        values = _per_user(hit, np.bincount(row, minlength=len(user)), settings.topk)
        yield from _means(values, {segment: np.ones(len(user), bool)})


def _ceilings(truth: Relevant, world: World, settings: Settings) -> Iterator[MetricRow]:
    """Yield the share of relevant events on candidates, and the best recall that these allow."""
    known = truth.item < _candidates(world, settings)
    if len(known):
        yield "all", "ceiling", float(known.mean()), len(known)
    for segment, member in (("all", slice(None)), ("known_user", truth.user < world.num_users)):
        for k in settings.topk:
            value = metrics.ceiling(truth.counts(known)[member], truth.counts()[member], k)
            if len(value):
                yield segment, f"ceiling@{k}", float(value.mean()), len(value)


def _predictions(scorer: Scorer, events: Interactions, world: World, settings: Settings) -> tuple[Ints, Floats, Floats]:
    """Return user, true and expected value of the events whose user and item are known at t; empty where n/a."""
    nothing = np.zeros(0, np.int64), np.zeros(0), np.zeros(0)
    if not settings.explicit:
        return nothing
    events = events.take((events.user < world.num_users) & (events.item < world.num_items))
    predicted = scorer.predict(events.user, events.item)
    return nothing if predicted is None else (events.user, events.value, predicted)
