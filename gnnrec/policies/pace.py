"""A policy at work: what waits, what has been taken up when, and what the policy is told."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from gnnrec.data.stream.joined import joined
from gnnrec.data.types import Interactions, Observed
from gnnrec.policies.amount import Every
from gnnrec.policies.base import Came, Decision, Known, UpdatePolicy
from gnnrec.quality import drift


class Pace:
    """Keeps increments until a policy has them taken up, all at once.

    Args:
        policy: decides; every increment where None.
        base: what the first model was trained on.

    Attributes:
        updates: increments with which an update was made.
    """

    def __init__(self, policy: UpdatePolicy | None, base: Observed) -> None:
        self.policy: UpdatePolicy = policy or Every()
        self.updates: list[int] = []
        self._past: list[Came] = []
        self._came: list[Came] = []
        self._waiting: list[Observed] = []
        self._newest = base

    def came(self, new: Observed, quality: float = math.nan, verdict: str = "") -> Decision:
        """Take note of an increment and of how well what serves did on it, and return whether to update."""
        self._waiting.append(new)
        self._came.append(Came(new.index, len(new.arrived) + len(new.folded), quality))
        return self.policy.decide(self.facts(verdict))

    def facts(self, verdict: str = "") -> Known:
        """Return what is known now."""
        events = Interactions.concat([x for new in self._waiting for x in (new.arrived, new.folded)])
        return Known(
            tuple(self._past),
            tuple(self._came),
            self._age(events),
            drift_of(Interactions.concat([self._newest.arrived, self._newest.folded]), events),
            verdict,
        )

    def take(self) -> Observed:
        """Return all that waits as one increment; it waits no more once `updated` is told."""
        return joined(self._waiting)

    def updated(self, seconds: float) -> None:
        """Take note that what waits has been taken up."""
        self._newest = self.take()
        self.updates.append(self._newest.index)
        self._past += [*self._came[:-1], replace(self._came[-1], seconds=seconds)]
        self._came, self._waiting = [], []

    def resume(
        self,
        past: Sequence[Observed],
        updates: Sequence[int],
        quality: Mapping[int, float],
        seconds: Mapping[int, float],
    ) -> list[Observed]:
        """Become the one that has seen these increments, and return what was taken up, as it was.

        Args:
            past: increments behind the base.
            updates: with which of them an update was made.
            quality, seconds: by increment, as `came` and `updated` were told.
        """
        taken = []
        for new in past:
            self._waiting.append(new)
            self._came.append(Came(new.index, len(new.arrived) + len(new.folded), quality.get(new.index, math.nan)))
            if new.index in updates:
                taken.append(self.take())
                self.updated(seconds.get(new.index, 0.0))
        return taken

    def _age(self, events: Interactions) -> float:
        known = Interactions.concat([self._newest.arrived, self._newest.folded])
        if not len(events) or not len(known):
            return math.nan
        return float(np.nanmax(events.time) - np.nanmax(known.time))


def taken(increments: Sequence[Observed], meta: Mapping[str, Any]) -> list[Observed]:
    """Return the increments that a saved learner has absorbed, as it did: those that waited as one with the one behind them.

    Args:
        increments: base first.
        meta: of the saved state.
    """
    first, *past = increments
    updates = meta.get("updates", [p.index for p in past])
    every = [first, *Pace(None, first).resume(past, updates, {}, {})]
    return [new for new in every if new.index <= meta["absorbed"]]


def drift_of(known: Interactions, new: Interactions) -> drift.Drift | None:
    """Compare the items of events with those of events that were taken up before."""
    return drift.compare(*drift.popularity(_counts(known), _counts(new)))


def _counts(events: Interactions) -> pl.DataFrame:
    key, count = np.unique(events.item, return_counts=True)
    return pl.DataFrame({"key": key, "count": count})
