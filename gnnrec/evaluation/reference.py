"""The reference rows of a table, computed once per stream: seed null, deviation n/a."""

from __future__ import annotations

import numpy as np
import polars as pl

from gnnrec.counters.counters import Counters
from gnnrec.data.types import Interactions, Observed, Stream
from gnnrec.evaluation.blend_choice import choose_weights
from gnnrec.evaluation.record import Name, Record, Scored, score, tests, upcoming
from gnnrec.evaluation.results import REFERENCE
from gnnrec.evaluation.settings import Settings
from gnnrec.evaluation.world import World
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.objectives.bias import BiasTerms
from gnnrec.scorers.blend import BlendScorer, BlendWeights, Grid
from gnnrec.scorers.model import Scorer
from gnnrec.scorers.references import (
    BiasPredictor,
    ItemKNNScorer,
    MeanPredictor,
    OracleScorer,
    PopularityScorer,
    RecentBiasPredictor,
)


def reference_rows(
    experiment: str, stream: Stream, worlds: list[World], measure: Settings, grid: Grid
) -> dict[str, pl.DataFrame]:
    """Return the frames of all reference rows: next for each, R for decayed popularity (the reference of FWT)."""
    records: dict[str, Record] = {}
    kept = Absorbed(grid)
    for increment, world in zip(stream.increments, worlds, strict=True):
        before = worlds[world.index - 1].seen if world.index else BipartiteGraph.empty()
        kept.absorb(increment.observed, before, measure)
        scorers = kept.scorers(measure.explicit)
        if stream.oracle is not None and len(increment.upcoming):
            scorers["oracle"] = OracleScorer(stream, float(np.median(increment.upcoming.time)))
        for name in scorers:
            records.setdefault(name, Record(Name(experiment, name, None)))
        rows = {name: Scored(records[name], REFERENCE, scorer) for name, scorer in scorers.items()}
        t, decayed = world.index, rows["decayed_popularity"]
        score(list(rows.values()), t, stream, upcoming(stream, t, world), measure)
        score([decayed], t, stream, tests(stream, t, worlds, measure), measure)
    frames = [record.frames() for record in records.values()]
    return {table: pl.concat([f[table] for f in frames]) for table in ("results", "per_user", "predictions")}


class Absorbed:
    """What the reference rows keep of the stream so far.

    Args:
        grid: what their blend chooses from, without a model; its first half-life is that of decayed popularity.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid, self.half_life = grid.without_model(), grid.half_life[0]
        self.counters, self.biases = Counters(grid.half_life), BiasTerms()
        self.weights = BlendWeights(alpha=0.0, beta=1.0, half_life=self.half_life)
        self._events: list[Interactions] = []

    def absorb(self, new: Observed, before: BipartiteGraph, measure: Settings) -> None:
        """Absorb an increment as a learner does, choosing the blend's weights on its valid events in between.

        Args:
            new: the increment.
            before: what earlier ones absorbed.
            measure: how valid is scored.
        """
        counts = self.counters
        if len(new.removed):
            before = before.without(counts.orphaned(self._take_back(new.removed, measure)))
        users = max(counts.num_users, int(new.arrived.user.max(initial=-1)) + 1)
        items = max(counts.num_items, int(new.arrived.item.max(initial=-1)) + 1)
        counts.absorb(new.arrived, users, items)
        total, seen = counts.popularity.total, before.extend(new.arrived, users, items)
        world = World(new.index, users, items, seen, total, np.zeros(users, bool))
        chosen = choose_weights(PopularityScorer(total), counts, new.valid, world, measure, self.grid)
        self.weights = chosen or self.weights
        counts.absorb(new.folded, new.num_users, new.num_items)
        if measure.explicit:
            self._absorb_values(new, users, items)

    def _take_back(self, removed: Interactions, measure: Settings) -> Interactions:
        """Let out what an increment deletes, and return what of it had been absorbed."""
        gone = self.counters.retract(removed)
        if measure.explicit:
            self.biases.retract(gone)
            self._events = [Interactions.concat(self._events).without(gone)]
        return gone

    def _absorb_values(self, new: Observed, users: int, items: int) -> None:
        self._events = [Interactions.concat([*self._events, new.arrived, new.folded])]
        self.biases.grow(new.arrived, users, items)
        if len(new.arrived):
            self.biases.absorb(new.arrived)
        self.biases.grow(new.folded, new.num_users, new.num_items)
        if len(new.folded):
            self.biases.absorb(new.folded, float(self.biases.mean))

    def scorers(self, explicit: bool) -> dict[str, Scorer]:
        """Return the rows by name; those that predict values only where values are ratings."""
        counts = self.counters
        total = PopularityScorer(counts.popularity.total)
        scorers: dict[str, Scorer] = {
            "popularity": total,
            "decayed_popularity": PopularityScorer(counts.popularity.decayed[self.half_life]),
            "itemknn": ItemKNNScorer(counts),
            "popularity_itemknn": BlendScorer(total, counts, self.weights),
        }
        if explicit:
            events = Interactions.concat(self._events)
            scorers["global_mean"] = MeanPredictor(events)
            scorers["bias"] = BiasPredictor(events, counts.num_users, counts.num_items)
            scorers["recent_bias"] = RecentBiasPredictor(self.biases)
        return scorers
