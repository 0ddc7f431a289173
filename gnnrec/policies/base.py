"""What every policy is: from what is known when an increment has come, whether to update now.

After the triggers of Modyn (Böther et al., SIGMOD 2025): by time, amount, drift, performance and cost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from gnnrec.quality.drift import Drift


@dataclass(frozen=True, slots=True)
class Came:
    """What is known of an increment that has come.

    Attributes:
        index: of the increment.
        rows: its events.
        quality: of the lists that were served when it came, by what came: recall@20; NaN: nothing could be scored.
        seconds: of the update that took it up; NaN: none did when it came.
    """

    index: int
    rows: int
    quality: float = math.nan
    seconds: float = math.nan

    @property
    def updated(self) -> bool:
        """Whether an update followed at once."""
        return math.isfinite(self.seconds)


@dataclass(frozen=True, slots=True)
class Known:
    """What a policy decides by: nothing of it comes from later than the newest increment.

    Attributes:
        past: increments before the oldest that waits, the base not among them.
        waiting: increments that no update has taken up, the newest last; never empty.
        age: seconds of event time from the newest event that the model has seen to the newest there is; NaN without times.
        drift: items of the events that wait against those of the last update; None: nothing can be said.
        verdict: of the data's upkeep on what waits: PASS, WARN, BLOCK, or "" where nobody looked.
    """

    past: tuple[Came, ...]
    waiting: tuple[Came, ...]
    age: float = math.nan
    drift: Drift | None = None
    verdict: str = ""

    @property
    def rows(self) -> int:
        """Events that wait."""
        return sum(came.rows for came in self.waiting)

    @property
    def fresh_quality(self) -> float:
        """Mean quality of what was served directly behind an update, the base's among them; NaN where there is none."""
        every = (*self.past, *self.waiting)
        behind = (
            now.quality for before, now in zip((None, *every), every, strict=False) if not before or before.updated
        )
        known = [x for x in behind if math.isfinite(x)]
        return sum(known) / len(known) if known else math.nan

    @property
    def seconds(self) -> float:
        """Mean seconds of the updates so far; NaN before the first."""
        spent = [came.seconds for came in self.past if came.updated]
        return sum(spent) / len(spent) if spent else math.nan


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to update, and why."""

    update: bool
    reason: str


def reads_quality(policy: UpdatePolicy) -> bool:
    """Return whether a policy decides by how well what serves does on what waits; it does where it does not say."""
    return bool(getattr(policy, "by_quality", True))


class UpdatePolicy(Protocol):
    """When to update.

    A policy that decides without `Came.quality` of what waits says so by `by_quality = False`: a live run then serves what
    it has learnt before it scores what served until then.
    """

    def decide(self, facts: Known) -> Decision:
        """Return whether what waits is taken up now."""
