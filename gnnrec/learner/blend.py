"""Which counters serve beside a model: chosen on valid, or by what came next."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gnnrec.counters.counters import Counters
from gnnrec.data.types import Floats, Interactions
from gnnrec.evaluation.blend_choice import Choice
from gnnrec.evaluation.settings import Settings
from gnnrec.evaluation.world import World
from gnnrec.scorers.blend import BlendWeights, Grid, finite
from gnnrec.scorers.model import Scorer
from gnnrec.scorers.references import PopularityScorer
from gnnrec.training.cost import Cost


class BlendHead:
    """The blend's weights, and the counter that ranks for users without history.

    Args:
        grid: settings to choose from; one alone leaves nothing to choose, and no row is served by a blend.

    Attributes:
        choice: of the weights.
        counter: of the half-life, always on valid.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid, self.choice = grid, Choice.of(grid, BlendWeights())
        self.counter = Choice.of(grid.popularity_alone(), BlendWeights(0.0, 1.0, half_life=grid.counters[0]))

    @property
    def chooses(self) -> bool:
        """Whether a blend is chosen, and so may serve."""
        return self.choice.is_open

    @property
    def weights(self) -> BlendWeights:
        """The chosen setting."""
        return self.choice.weights

    @property
    def half_life(self) -> float:
        """Of the popularity that ranks for users without history, with a blend or without one."""
        return self.counter.weights.half_life

    @property
    def evidence(self) -> dict[str, Floats]:
        """What is remembered of increments so far, by what is chosen, for the settings of its grid."""
        kept = {"counter": self.counter.evidence, "blend": self.choice.evidence}
        return {what: quality for what, quality in kept.items() if quality is not None}

    def choose_counter(self, counters: Counters, valid: Interactions, world: World, measure: Settings) -> None:
        """Choose for users without history the counter that ranks valid best; without a valid event the last choice stands."""
        total = PopularityScorer(counters.popularity.total)
        self.counter = self.counter.on_valid(lambda: total, counters, valid, world, measure)

    def choose(
        self,
        model: Callable[[], Scorer],
        counters: Counters,
        valid: Interactions,
        world: World,
        measure: Settings,
        cost: Cost,
    ) -> None:
        """Choose on valid, as `Choice.on_valid` does; what `model` makes is the blend's cost."""
        if self.choice.is_open:
            with cost.charged("blend"):
                self.choice = self.choice.on_valid(model, counters, valid, world, measure)

    def judge(
        self,
        model: Callable[[], Scorer],
        counters: Counters,
        arrived: Interactions,
        world: Callable[[], World],
        measure: Settings,
        cost: Cost,
    ) -> None:
        """Under ``judged=ahead``, choose by events that have arrived since and are not absorbed yet."""
        if self.choice.ahead:
            with cost.charged("blend"):
                self.choice = self.choice.on_arrived(model, counters, arrived, world, measure)

    def forget(self) -> None:
        """Let all evidence go, as a deletion asks."""
        self.choice, self.counter = self.choice.forgetful(), self.counter.forgetful()

    def meta(self) -> dict[str, Any]:
        """Return both choices as JSON."""
        evidence = {what: quality.tolist() for what, quality in self.evidence.items()}
        return {"blend": self.weights.as_dict(), "counter": finite(self.half_life), "evidence": evidence}

    def load(self, known: Mapping[str, Any]) -> None:
        """Make the choices those whose `meta` this is."""
        evidence = {what: np.array(quality) for what, quality in known.get("evidence", {}).items()}
        counter = replace(self.counter.weights, half_life=known.get("counter") or math.inf)
        self.choice = replace(self.choice, weights=BlendWeights.of(known["blend"]), evidence=evidence.get("blend"))
        self.counter = replace(self.counter, weights=counter, evidence=evidence.get("counter"))
