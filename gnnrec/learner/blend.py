"""Which counters serve beside a model: chosen on valid, or by what came next."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gnnrec.counters.counters import Counters
from gnnrec.data.types import Floats, Interactions
from gnnrec.evaluation.blend_choice import Evidence, weigh, weigh_ahead
from gnnrec.evaluation.settings import Settings
from gnnrec.evaluation.world import World
from gnnrec.scorers.blend import BlendWeights, Grid
from gnnrec.scorers.model import Scorer
from gnnrec.scorers.references import PopularityScorer
from gnnrec.training.cost import Cost


class BlendHead:
    """The blend's weights, and what they are chosen from.

    Args:
        grid: settings to choose from; one alone leaves nothing to choose, and no row is served by a blend.

    Attributes:
        weights: the chosen setting.
        half_life: of the popularity that ranks for users without history, with a blend or without one.
        evidence: of increments so far, by what is chosen, for the settings of its grid.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid, self.weights, self.half_life = grid, BlendWeights(), grid.counters[0]
        self.evidence: Mapping[str, Floats] = {}

    @property
    def chooses(self) -> bool:
        """Whether a blend is chosen, and so may serve."""
        return len(self.grid.settings()) > 1

    def choose_counter(self, counters: Counters, valid: Interactions, world: World, measure: Settings) -> None:
        """Choose for users without history the counter that ranks valid best; without a valid event the last choice stands."""
        options = self.grid.popularity_alone()
        new = weigh(PopularityScorer(counters.popularity.total), counters, valid, world, measure, options)
        self.half_life = self.half_life if new is None else self._with_earlier("counter", new).half_life

    def choose(
        self,
        model: Callable[[], Scorer],
        counters: Counters,
        valid: Interactions,
        world: World,
        measure: Settings,
        cost: Cost,
    ) -> None:
        """Choose on valid; without a valid event, or judged by what came next, the last choice stands.

        What `model` makes is the blend's cost.
        """
        if not self.chooses:
            self.weights = next(iter(self.grid.settings()), self.weights)
            return
        ahead = self.grid.judged == "ahead"
        if ahead and "blend" in self.evidence:
            return
        with cost.charged("blend"):
            new = weigh(model(), counters, valid, world, measure, self.grid)
        if new is not None:
            self.weights = new.best if ahead else self._with_earlier("blend", new)

    def judge(
        self,
        model: Callable[[], Scorer],
        counters: Counters,
        arrived: Interactions,
        world: World,
        measure: Settings,
        cost: Cost,
    ) -> None:
        """Under ``judged=ahead``, choose by events that have arrived since and are not absorbed yet."""
        if not self.chooses or self.grid.judged != "ahead" or world.index < 0:
            return
        with cost.charged("blend"):
            new = weigh_ahead(model(), counters, arrived, world, measure, self.grid)
        self.weights = self.weights if new is None else self._with_earlier("blend", new)

    def _with_earlier(self, what: str, new: Evidence) -> BlendWeights:
        found = new.after(self.evidence.get(what), self.grid.memory)
        self.evidence = {**self.evidence, what: found.quality}  # forks share the old one
        return found.best
