"""Popularity, all-time and decayed, kept exactly as events are absorbed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from gnnrec.data.types import Floats, Interactions


class Popularity:
    """Counts of absorbed events per item, plain and decayed by age.

    decayed_h(i) = Σ_{events e on i} 2^(−age(e) / h), age in absorbed events, 0 for the newest. Absorbing n events
    multiplies what is there by 2^(−n/h), so an update costs the items and the new events, never the history.

    Args:
        half_lives: the h to keep, in absorbed events; infinite: all-time, which is kept anyway.
    """

    def __init__(self, half_lives: Sequence[float]) -> None:
        self.total: Floats = np.zeros(0)
        self.decayed: dict[float, Floats] = {float(h): np.zeros(0) for h in half_lives if np.isfinite(h)}

    def absorb(self, events: Interactions, num_items: int) -> None:
        """Add `events`, oldest first, and room for `num_items` items."""
        self.total = _padded(self.total, num_items) + np.bincount(events.item, minlength=num_items)
        age = np.arange(len(events) - 1, -1, -1)
        for h, old in self.decayed.items():
            fresh = np.bincount(events.item, np.exp2(-age / h), minlength=num_items)
            self.decayed[h] = _padded(old, num_items) * np.exp2(-len(events) / h) + fresh

    def at(self, half_life: float) -> Floats:
        """Return the counts of a half-life, [i]; infinite: all-time."""
        return self.decayed[half_life] if np.isfinite(half_life) else self.total

    def retract(self, events: Interactions, history: Iterable[Interactions]) -> None:
        """Take out `events` that were absorbed, as if they never had been: what is older is younger by one for each.

        Decayed sums do not say which of their parts are how old, so these are made anew, which costs the history.

        Args:
            events: what goes.
            history: what stays, the oldest first.
        """
        self.total = self.total - np.bincount(events.item, minlength=len(self.total))
        self.decayed = {h: np.zeros(len(self.total)) for h in self.decayed}
        parts = list(history)
        age = sum(map(len, parts))
        for part in parts:
            age -= len(part)
            for h, sums in self.decayed.items():
                weight = np.exp2(-np.arange(age + len(part) - 1, age - 1, -1) / h)
                sums += np.bincount(part.item, weight, minlength=len(sums))

    @property
    def nbytes(self) -> int:
        """Bytes that must be kept for the next update."""
        return int(self.total.nbytes + sum(x.nbytes for x in self.decayed.values()))


def _padded(values: Floats, size: int) -> Floats:
    grown = np.zeros(size)
    grown[: len(values)] = values
    return grown
