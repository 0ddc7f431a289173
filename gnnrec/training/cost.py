"""What an update has done, counted while it is done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields

from gnnrec.graph.taken import taken


@dataclass(slots=True)
class Cost:
    """What a learner has done since the counter was last cleared; a fork counts into the same one.

    Attributes:
        epochs: passes over the events of fits.
        steps: optimiser steps.
        triplets: events seen in training, repeats counted.
        reporting: seconds spent on valid metrics that no choice rests on; no update needs them.
        blend: seconds that only a blend needs: its choice with what that reads, co-occurrence brought up to date.
        edges_of: directed edges of `reporting` and of `blend`, which are none of `edges`.
    """

    epochs: int = 0
    steps: int = 0
    triplets: int = 0
    reporting: float = 0.0
    blend: float = 0.0
    edges_of: dict[str, int] = field(default_factory=lambda: {"reporting": 0, "blend": 0})
    _begun: int = field(default_factory=taken)

    def clear(self) -> None:
        """Begin anew, for all who count into this."""
        fresh = Cost()
        for f in fields(self):
            setattr(self, f.name, getattr(fresh, f.name))

    @property
    def edges(self) -> int:
        """Directed edges that messages went along since, forward and backward, counted where products are taken."""
        return taken() - self._begun - sum(self.edges_of.values())

    def add(self, epochs: int, steps: int, triplets: int) -> None:
        """Count a fit."""
        self.epochs, self.steps, self.triplets = self.epochs + epochs, self.steps + steps, self.triplets + triplets

    @contextmanager
    def charged(self, account: str) -> Iterator[None]:
        """Charge the seconds and edges of the block to `reporting` or `blend`."""
        begin, before = time.perf_counter(), taken()
        try:
            yield
        finally:
            setattr(self, account, getattr(self, account) + time.perf_counter() - begin)
            self.edges_of[account] += taken() - before
