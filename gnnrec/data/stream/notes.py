"""What is worth knowing about a stream before anything is trained on it: too little of something, with the numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gnnrec.data.dataset import Dataset
from gnnrec.data.types import Increment, Stream

EVENTS, USERS = 1000, 100
"""Fewest events, and users, that a base or the scored part of an increment can have without a remark."""
REPEATS = 0.2
"""Share of repeated pairs among all rows read that is worth a remark."""


@dataclass(frozen=True, slots=True)
class Advice:
    """Which keys mend what is said of a stream.

    Attributes:
        base: for a larger base.
        increments: for larger increments.
    """

    base: str
    increments: str


def remarks(stream: Stream, data: Dataset, advice: Advice) -> list[str]:
    """Return a line for each thing of which a stream has too little, or too much."""
    found = [_base(stream, len(data), advice), _increments(stream, advice), _users(stream, advice), _repeats(data)]
    return [line for line in found if line is not None]


def _base(stream: Stream, events: int, advice: Advice) -> str | None:
    base = stream.increments[0]
    n, users = len(base.observed.arrived) + len(base.observed.folded) + len(base.test), base.observed.num_users
    if n == events:
        return f"all {n:,} events are base and none follows, so that nothing can be compared; {advice.base}"
    if n >= EVENTS and users >= USERS:
        return None
    return (
        f"the base is small: {n:,} of {events:,} events ({n / events:.1%}), {users:,} users; a model of it knows little, "
        f"and every later one starts from it; {advice.base}"
    )


def _increments(stream: Stream, advice: Advice) -> str | None:
    sizes = np.array([len(i.upcoming) for i in _scored(stream)])
    if not len(sizes):
        return None
    empty, middle = int((sizes == 0).sum()), float(np.median(sizes))
    if not empty and middle >= EVENTS / 10:
        return None
    without = f"{empty:,} of {len(sizes):,} increments have no event to be scored" if empty else ""
    few = f"half of the {len(sizes):,} increments have {middle:,.0f} events or fewer" if middle < EVENTS / 10 else ""
    return f"{', '.join(filter(None, (without, few)))}; {advice.increments}"


def _users(stream: Stream, advice: Advice) -> str | None:
    users = [len(np.unique(i.upcoming.user)) for i in _scored(stream) if len(i.upcoming)]
    middle = float(np.median(users or [0]))
    if not middle or middle >= USERS:
        return None
    return (
        f"few users are scored: {middle:,.0f} in the middle increment, where one more hit moves a recall by up to "
        f"{1 / middle:.3f} and chance by some ±{1 / middle**0.5:.2f} (95 %, at most); {advice.increments}"
    )


def _scored(stream: Stream) -> tuple[Increment, ...]:
    """Return the increments after which events are to be scored: all but the last, if none follow it."""
    return stream.increments if len(stream.increments[-1].upcoming) else stream.increments[:-1]


def _repeats(data: Dataset) -> str | None:
    repeat, read = data.counts.repeat, data.counts.rows_read
    if not read or repeat / read < REPEATS:
        return None
    where = "ingest into a store with data.repeats=all" if data.versions else "set data.repeats=all"
    return (
        f"{repeat / read:.0%} of the rows read ({repeat:,} of {read:,}) repeat a pair that the user had already and are left "
        f"out (data.repeats); where taking an item again is what is to be foreseen, {where}"
    )
