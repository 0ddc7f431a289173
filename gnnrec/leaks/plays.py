"""A model played over a stream, as a run or a row of a table does it, and what it was and gave after each increment.

Letters: u users, i items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from gnnrec.data.types import Ints, Singles, Stream
from gnnrec.evaluation.record import Name, Record
from gnnrec.evaluation.reference import take_up
from gnnrec.evaluation.settings import Settings
from gnnrec.evaluation.world import worlds
from gnnrec.leaks.prints import fingerprint
from gnnrec.learner import Learner
from gnnrec.policies.base import UpdatePolicy
from gnnrec.runs.experiment import Scenario, run, train_base
from gnnrec.scorers.model import Scorer
from gnnrec.strategies.base import Strategy
from gnnrec.untrained.base import Untrained


@dataclass(slots=True)
class Track:
    """What a model was and gave.

    Attributes:
        prints: by increment, the bytes of all that the model is and of the lists it gives, by name.
        scores: by increment, [u, i] of everybody and everything known then; expected values where nothing is ranked.
        first: by increment, users [n] that were asked for by themselves before everybody was, and their scores [n, i].
    """

    prints: dict[int, Mapping[str, bytes]] = field(default_factory=dict)
    scores: dict[int, Singles] = field(default_factory=dict)
    first: dict[int, tuple[Ints, Singles]] = field(default_factory=dict)


Play = Callable[[Stream, int], Track]
"""(stream, t) → the track over increments 0..t, of a model that is made for it."""


@dataclass(frozen=True, slots=True)
class RunParts:
    """What a run is made of.

    Attributes:
        learner: makes one without rows, for a stream and its measures.
        strategy: makes one for a stream. None but a test of this room has a use for the stream.
        measure: how valid is scored, on a stream.
        policy: makes what says when to update; None: with every increment.
        scorers: which of "model" and "blend" are rows.
    """

    learner: Callable[[Scenario], Learner]
    strategy: Callable[[Stream], Strategy]
    measure: Callable[[Stream], Settings]
    policy: Callable[[], UpdatePolicy] | None = None
    scorers: tuple[str, ...] = ("model", "blend")


def played(parts: RunParts) -> Play:
    """Return what plays a strategy as `gnnrec run` does: base, then update by update, scoring in between."""

    def play(stream: Stream, until: int) -> Track:
        track = Track()
        setting = Scenario(stream, worlds(stream), parts.measure(stream), parts.scorers, keep=0)
        name = Name("leakcheck", "checked", 0)
        with one_thread():
            base = train_base(parts.learner(setting), setting, name)
            learner, strategy = parts.learner(setting), parts.strategy(stream)

            def after(t: int, _: Record) -> None:
                model = learner.serving()
                track.scores[t] = _everything(model, learner.seen.num_users, learner.seen.num_items)
                blend = _everything(learner.blend_scorer(model), learner.seen.num_users, learner.seen.num_items)
                lists = {"lists of the model": track.scores[t].tobytes(), "lists of the blend": blend.tobytes()}
                track.prints[t] = {**fingerprint(learner, strategy), **lists}

            arriving, policy = stream.increments[: until + 1], parts.policy() if parts.policy else None
            run(learner, strategy, setting, name, base, None, after, arriving, policy=policy)
        return track

    return play


def served(make: Callable[[Stream], Untrained], asked_before: bool = False) -> Play:
    """Return what plays a row that trains nothing as a comparison does, increment by increment.

    Args:
        make: returns one without events. None but a test of this room has a use for the stream.
        asked_before: ask first for those who have events in the increment to come, as the evaluator does, but the last first.
    """

    def play(stream: Stream, until: int) -> Track:
        track, row = Track(), make(stream)
        with one_thread():
            for increment in stream.increments[: until + 1]:
                new = increment.observed
                take_up(row, new)
                if asked_before:
                    some = np.unique(increment.upcoming.user)
                    some = some[some < new.num_users][::-1].copy()
                    track.first[new.index] = some, row.scores(some, new.num_items).cpu().numpy()
                found = _everything(row, new.num_users, new.num_items)
                track.scores[new.index] = found
                track.prints[new.index] = {"lists": found.tobytes()}
        return track

    return play


def _everything(scorer: Scorer, users: int, items: int) -> Singles:
    """Return scores of all pairs, [u, i]; what ranks nothing is asked for values."""
    user = np.arange(users)
    if scorer.scores is not None:
        ranked: Singles = scorer.scores(user, items).cpu().numpy()
        return ranked
    value: Any = scorer.predict(np.repeat(user, items), np.tile(np.arange(items), users))
    return np.asarray(np.zeros(users * items) if value is None else value, np.float32).reshape(users, items)


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold torch to one thread: sums of floats depend on how they are split, and bytes are compared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
