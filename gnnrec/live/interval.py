"""How often a live run should be updated, by its own decisions: what waiting has lost, and what an update takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gnnrec.live.journal import ACCEPTED, Entry
from gnnrec.policies.break_even import best_interval, loss_by_age

LEAST = 5
"""Versions that were served by what had let others wait: with fewer nothing is said."""


def served(entries: Sequence[Entry]) -> list[list[float]]:
    """Return for each champion recall@20 of what it served, by the versions that it had not absorbed, oldest first.

    A version that was decided on more than once counts once; NaN where nothing could be scored.
    """
    known: dict[int, dict[int, float]] = {}
    for entry in entries:
        own = known.setdefault(entry.parent, {})
        for version in entry.numbers:
            quality = entry.quality.get(str(version))
            own[version] = math.nan if quality is None else quality
    return [[own[v] for v in sorted(own)] for own in known.values() if own]


def break_even(entries: Sequence[Entry], price: float) -> str:
    """Return with every how many versions to update at a price, or why it cannot be told.

    Args:
        entries: the decisions, oldest first.
        price: events with a recall of 1 that a second of an update must bring back, as that of policy `cost`.
    """
    cannot = f"Break-even at a price of {price:g}: cannot be told"
    spent = [e.seconds for e in entries if e.outcome == ACCEPTED]
    if not spent:
        return f"{cannot}, no update has been accepted, so that nobody knows what one takes."
    found = loss_by_age(served(entries))
    if found.waited < LEAST:
        return (
            f"{cannot}, fewer than {LEAST} versions were served by what had let an earlier one wait ({found.waited}): what "
            "waiting loses is not known. policy=every_n lets them wait."
        )
    seconds, rows = sum(spent) / len(spent), _rows(entries)
    mean, low, high = (f"{round(x, 4) + 0.0:+.4f}" for x in (found.loss, found.low, found.high))  # no -0
    if found.low <= 0:
        return (
            f"{cannot}, no loss by waiting is shown: {mean} ({low} to {high}) of recall@20 a version, by {found.waited} that "
            "waited."
        )
    most, n, least = (best_interval(x, rows, seconds, price) for x in (found.low, found.loss, found.high))
    every = "every version" if n == 1 else f"every {n} versions"
    between = "" if least == most else f", {least} to {most} by its interval"
    guess = (
        f"; no update has let more than {found.oldest} wait, so that more is a guess"
        if (most or 0) > found.oldest + 1
        else ""
    )
    return (
        f"Break-even: at a price of {price:g}, update with {every}{between}{guess}: an update takes {seconds:.1f} s, a version "
        f"has {rows:,.0f} events, and what serves loses {found.loss:.4f} ({found.low:.4f} to {found.high:.4f}) of recall@20 "
        f"with each version that waits, by {found.waited} that did."
    )


def _rows(entries: Sequence[Entry]) -> float:
    """Return the mean events of a version."""
    events, versions = sum(e.rows for e in entries), sum(len(e.numbers) for e in entries)
    return events / max(versions, 1)
