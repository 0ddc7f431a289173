"""A blend's setting as the stream goes on: chosen on valid or by what came next, with what earlier increments showed.

Letters: s settings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gnnrec.counters.counters import Counters
from gnnrec.data.types import Floats, Interactions
from gnnrec.evaluation.blend_choice import Evidence, weigh, weigh_ahead
from gnnrec.evaluation.settings import Settings
from gnnrec.evaluation.world import World
from gnnrec.scorers.blend import BlendWeights, Grid
from gnnrec.scorers.model import Scorer


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen setting of a grid; each choice is a new one, so that forks may share the old.

    Attributes:
        grid: what is chosen from, s settings.
        weights: the chosen one.
        evidence: how well each has ranked so far, by the grid's memory, [s]; None: nothing is remembered.
    """

    grid: Grid
    weights: BlendWeights
    evidence: Floats | None = None

    @staticmethod
    def of(grid: Grid, start: BlendWeights) -> Choice:
        """Return the choice that stands until one is made: the only setting there is, or `start`."""
        options = grid.settings()
        return Choice(grid, options[0] if len(options) == 1 else start)

    @property
    def is_open(self) -> bool:
        """Whether there is more than one setting."""
        return len(self.grid.settings()) > 1

    @property
    def ahead(self) -> bool:
        """Whether a setting is chosen, and by what came next."""
        return self.is_open and self.grid.judged == "ahead"

    def on_valid(
        self, model: Callable[[], Scorer], counters: Counters, valid: Interactions, world: World, measure: Settings
    ) -> Choice:
        """Return the choice on valid; without a valid event, or once something that came next has judged, the last stands.

        Args:
            model: makes the scorer that the counters stand beside, where it is needed.
            counters, world: of what has been absorbed without `valid`.
            valid, measure: what is ranked, and how.
        """
        if not self.is_open or (self.ahead and self.evidence is not None):
            return self
        new = weigh(model(), counters, valid, world, measure, self.grid)
        if new is None:
            return self
        return replace(self, weights=new.best) if self.ahead else self._with(new)

    def on_arrived(
        self,
        model: Callable[[], Scorer],
        counters: Counters,
        arrived: Interactions,
        world: Callable[[], World],
        measure: Settings,
    ) -> Choice:
        """Return the choice by events that have arrived since `world` and are not absorbed yet, under ``judged=ahead``."""
        if not self.ahead or (then := world()).index < 0:
            return self
        new = weigh_ahead(model(), counters, arrived, then, measure, self.grid)
        return self if new is None else self._with(new)

    def forgetful(self) -> Choice:
        """Return the choice without its evidence: sums over users, out of which nobody who is to be forgotten can be taken."""
        return replace(self, evidence=None)

    def _with(self, new: Evidence) -> Choice:
        found = new.after(self.evidence, self.grid.memory)
        return replace(self, weights=found.best, evidence=found.quality)
