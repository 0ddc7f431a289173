"""The reference rows of a table, computed once per stream: seed null, deviation n/a."""

from __future__ import annotations

import numpy as np
import polars as pl

from gnnrec.counters.counters import Counters
from gnnrec.data.types import Interactions, Observed, Stream
from gnnrec.evaluation.blend_choice import choose_weights
from gnnrec.evaluation.evaluate import Settings
from gnnrec.evaluation.record import Name, Record, score_next, score_round
from gnnrec.evaluation.results import REFERENCE
from gnnrec.evaluation.world import World
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.scorers.blend import BlendScorer, Grid, Weights
from gnnrec.scorers.model import Scorer
from gnnrec.scorers.references import BiasPredictor, ItemKNNScorer, MeanPredictor, OracleScorer, PopularityScorer


def reference_rows(
    experiment: str, stream: Stream, worlds: list[World], measure: Settings, grid: Grid
) -> dict[str, pl.DataFrame]:
    """Return the frames of all reference rows: next for each, R for decayed popularity (the reference of FWT)."""
    records: dict[str, Record] = {}
    statistics, absorbed = Counters(grid.half_life), Interactions.empty()
    weights = Weights(alpha=0.0, beta=1.0, half_life=grid.half_life[0])
    for increment, world in zip(stream.increments, worlds, strict=True):
        new = increment.observed
        weights = _absorb(statistics, new, world, measure, grid.without_model()) or weights
        absorbed = Interactions.concat([absorbed, new.arrived, new.folded])
        scorers = _scorers(statistics, absorbed, world, measure, weights, grid.half_life[0])
        if stream.oracle is not None and len(increment.upcoming):
            scorers["oracle"] = OracleScorer(stream, float(np.median(increment.upcoming.time)))
        for name, scorer in scorers.items():
            record = records.setdefault(name, Record(Name(experiment, name, None)))
            if name == "decayed_popularity":
                score_round(record, {REFERENCE: scorer}, world.index, stream, worlds, measure)
            else:
                score_next(record, REFERENCE, scorer, world.index, stream, world, measure)
    frames = [record.frames() for record in records.values()]
    return {table: pl.concat([f[table] for f in frames]) for table in ("results", "per_user", "predictions")}


def _absorb(statistics: Counters, new: Observed, world: World, measure: Settings, grid: Grid) -> Weights | None:
    """Absorb an increment as a learner does, and return the blend weights chosen on its valid events in between."""
    users = max(statistics.num_users, int(new.arrived.user.max(initial=-1)) + 1)
    items = max(statistics.num_items, int(new.arrived.item.max(initial=-1)) + 1)
    statistics.absorb(new.arrived, users, items)
    trained = _pairs(statistics)
    counts = statistics.popularity.total
    before = World(new.index, users, items, trained, counts, np.zeros(users, bool))
    fallback = PopularityScorer(counts)
    chosen = choose_weights(fallback, statistics, new.valid, before, measure, grid)
    statistics.absorb(new.folded, new.num_users, new.num_items)
    return chosen


def _pairs(statistics: Counters) -> BipartiteGraph:
    """Return the absorbed pairs as a graph, for masks."""
    user, item = statistics.itemknn.matrix.nonzero()
    events = Interactions(user.astype(np.int64), item.astype(np.int64), np.empty(0), np.empty(0))
    return BipartiteGraph.empty().extend(events, statistics.num_users, statistics.num_items)


def _scorers(
    statistics: Counters,
    absorbed: Interactions,
    world: World,
    measure: Settings,
    weights: Weights,
    half_life: float,
) -> dict[str, Scorer]:
    counts = statistics.popularity
    scorers: dict[str, Scorer] = {
        "popularity": PopularityScorer(counts.total),
        "decayed_popularity": PopularityScorer(counts.decayed[half_life]),
        "itemknn": ItemKNNScorer(statistics),
    }
    scorers["popularity_itemknn"] = BlendScorer(scorers["popularity"], statistics, weights)
    if measure.explicit:
        scorers["global_mean"] = MeanPredictor(absorbed)
        scorers["bias"] = BiasPredictor(absorbed, world.num_users, world.num_items)
    return scorers
