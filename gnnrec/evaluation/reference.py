"""The reference rows of a table, computed once per stream: seed null, deviation n/a."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from gnnrec.core.errors import GnnrecError, nearest
from gnnrec.counters.counters import Companion, Counters
from gnnrec.data.types import Floats, Interactions, Observed, Stream
from gnnrec.evaluation.beyond.examples import example_users
from gnnrec.evaluation.blend_choice import Choice
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
from gnnrec.scorers.residuals import ResidualNeighbours
from gnnrec.untrained.base import Untrained

BASELINE = "decayed_popularity"
"""The row that forward transfer is measured against (`gnnrec.evaluation.results`)."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A row of what is kept for every table anyway, so that nothing is counted twice.

    Attributes:
        row: one of `ROWS`.
    """

    row: str

    def __post_init__(self) -> None:
        if self.row not in ROWS:
            raise GnnrecError(f"row={self.row} is not counted for every table{nearest(self.row, ROWS)}")


BESIDE = "popularity_companion"
"""The blend without a model, of another companion than ItemKNN."""
NEIGHBOURS = "residual_itemknn"
"""Expected ratings by item neighbours; it ranks nothing."""
MIXED = "popularity_itemknn"
"""The blend without a model, of ItemKNN."""
ROWS = ("popularity", "decayed_popularity", "itemknn", MIXED, BESIDE, NEIGHBOURS)
"""What can be asked of `Absorbed`."""
USUAL: Mapping[str, Counted | Untrained] = {row: Counted(row) for row in ROWS if row not in (BESIDE, NEIGHBOURS)}
"""The rows that a table has where nothing else is said."""


def reference_rows(
    experiment: str,
    stream: Stream,
    worlds: list[World],
    measure: Settings,
    grid: Grid,
    references: Mapping[str, Counted | Untrained] = USUAL,
    companion: Companion | None = None,
) -> dict[str, pl.DataFrame]:
    """Return the frames of all reference rows: next for each, R for decayed popularity (the reference of FWT).

    Args:
        experiment: name.
        stream, worlds, measure: what the rows are measured on, and how.
        grid: of the blend.
        references: the rows that rank, by name; those that predict values, and the oracle, come with the data.
        companion: of the blend, where it is not ItemKNN; without events.
    """
    records: dict[str, Record] = {}
    kept, own = (
        Absorbed(grid, companion, {made.row for made in references.values() if isinstance(made, Counted)}),
        {name: made for name, made in references.items() if isinstance(made, Untrained)},
    )
    scorers = dict[str, Scorer]()
    for increment, world in zip(stream.increments, worlds, strict=True):
        t, before = world.index, worlds[world.index - 1].seen if world.index else BipartiteGraph.empty()
        asked = example_users(stream, worlds, measure, t)
        earlier = {} if asked is None else asked.lists(scorers, worlds[t - 1], measure)
        kept.absorb(increment.observed, before, measure)
        spent = {name: take_up(made, increment.observed) for name, made in own.items()}
        scorers = _chosen(references, kept.scorers(measure.explicit))
        if stream.oracle is not None and len(increment.upcoming):
            scorers["oracle"] = OracleScorer(stream, float(np.median(increment.upcoming.time)))
        for name in scorers:
            records.setdefault(name, Record(Name(experiment, name, None)))
        for made in own.values():
            made.fallback = kept.best_counter
        rows = {name: Scored(records[name], REFERENCE, scorer) for name, scorer in scorers.items()}
        score(list(rows.values()), t, stream, upcoming(stream, t, world), measure)
        if asked is not None:
            for trained_to, lists in ((t - 1, earlier), (t, asked.lists(scorers, world, measure))):
                for name, frame in lists.items():
                    records[name].add_examples(trained_to, t + 1, {REFERENCE: frame})
        baseline = [row for name, row in rows.items() if name == BASELINE]
        score(baseline, t, stream, tests(stream, t, worlds, measure), measure)
        for name, seconds in spent.items() if t else ():
            records[name].add(REFERENCE, t, t, "cost", [("all", "seconds", seconds, 1)])
            records[name].add(REFERENCE, t, t, "cost", [("all", "bytes_kept", float(own[name].nbytes), 1)])
    frames = [record.frames() for record in records.values()] or [Record(Name(experiment, "", None)).frames()]
    tables = dict.fromkeys(table for f in frames for table in f)
    return {table: pl.concat([f[table] for f in frames if table in f]) for table in tables}


def _chosen(references: Mapping[str, Counted | Untrained], counted: Mapping[str, Scorer]) -> dict[str, Scorer]:
    """Return the rows that were asked for, and those that predict values, which nobody asks for."""
    rows: dict[str, Scorer] = {}
    for name, made in references.items():
        if not isinstance(made, Counted):
            rows[name] = made
        elif made.row in counted:  # what predicts ratings is left out where a log has none
            rows[name] = counted[made.row]
    return {**rows, **{name: scorer for name, scorer in counted.items() if name not in ROWS}}


def take_up(made: Untrained, new: Observed) -> float:
    """Let a recommender absorb an increment, as `Absorbed` does, and return the seconds until it could serve."""
    begin = time.perf_counter()
    if len(new.removed):
        made.retract(new.removed)
    users = max(made.num_users, int(new.arrived.user.max(initial=-1)) + 1)
    items = max(made.num_items, int(new.arrived.item.max(initial=-1)) + 1)
    made.absorb(new.arrived, users, items)
    made.absorb(new.folded, new.num_users, new.num_items)
    made.settle()
    return time.perf_counter() - begin


def _world(index: int, counts: Counters, seen: BipartiteGraph) -> World:
    users = counts.num_users
    return World(index, users, counts.num_items, seen, counts.popularity.total, np.zeros(users, bool))


class Mixed:
    """A blend without a model, its weights chosen as a learner's are.

    Args:
        counters: of what it absorbs.
        grid: what is chosen from.

    Attributes:
        choice: of the weights.
    """

    def __init__(self, counters: Counters, grid: Grid) -> None:
        self.counters = counters
        self.choice = Choice.of(grid.without_model(), BlendWeights(alpha=0.0, beta=1.0, half_life=grid.half_life[0]))

    def choose(self, valid: Interactions, world: World, measure: Settings) -> None:
        """Choose on valid, as `Choice.on_valid` does."""
        self.choice = self.choice.on_valid(self._total, self.counters, valid, world, measure)

    def judge(self, arrived: Interactions, world: Callable[[], World], measure: Settings) -> None:
        """Under ``judged=ahead``, choose by events that have arrived since `world` and are not absorbed yet."""
        self.choice = self.choice.on_arrived(self._total, self.counters, arrived, world, measure)

    def _total(self) -> PopularityScorer:
        return PopularityScorer(self.counters.popularity.total)

    def scorer(self) -> BlendScorer:
        """Return the row."""
        return BlendScorer(self._total(), self.counters, self.choice.weights)


class Absorbed:
    """What the reference rows keep of the stream so far.

    Args:
        grid: what their blends choose from, without a model; its first half-life is that of decayed popularity.
        companion: of the blend, where it is not ItemKNN.
        asked: the rows that will be scored; weights of other blends are not chosen.
    """

    def __init__(self, grid: Grid, companion: Companion | None = None, asked: Collection[str] = ROWS) -> None:
        self.half_life, self.counters, self.biases = grid.half_life[0], Counters(grid.half_lives), BiasTerms()
        self.mixed = {MIXED: Mixed(self.counters, grid)}
        if companion is not None and BESIDE in asked:
            self.mixed[BESIDE] = Mixed(Counters(grid.half_lives, companion), grid)
        either = asked if BESIDE in self.mixed else {MIXED if row == BESIDE else row for row in asked}
        self._best = Mixed(self.counters, grid.popularity_alone())
        self._chosen = [self._best, *(mixed for row, mixed in self.mixed.items() if row in either)]
        self._events: list[Interactions] = []

    def absorb(self, new: Observed, before: BipartiteGraph, measure: Settings) -> None:
        """Absorb an increment as a learner does, choosing the blends' weights on its valid events in between.

        Args:
            new: the increment.
            before: what earlier ones absorbed.
            measure: how valid is scored.
        """
        counts = self.counters
        for mixed in self._chosen:
            mixed.judge(new.arrived, lambda: _world(new.index - 1, counts, before), measure)
        if len(new.removed):
            before = before.without(counts.orphaned(self._take_back(new.removed, measure)))
        users = max(counts.num_users, int(new.arrived.user.max(initial=-1)) + 1)
        items = max(counts.num_items, int(new.arrived.item.max(initial=-1)) + 1)
        self._count(new.arrived, users, items)
        world = _world(new.index, counts, before.extend(new.arrived, users, items))
        for mixed in self._chosen:
            mixed.choose(new.valid, world, measure)
        self._count(new.folded, new.num_users, new.num_items)
        if measure.explicit:
            self._absorb_values(new, users, items)

    @property
    def best_counter(self) -> Floats:
        """What ranks for users without history in every row that knows only others: the counter that valid prefers, [i]."""
        return self.counters.popularity.at(self._best.choice.weights.half_life)

    def _count(self, events: Interactions, users: int, items: int) -> None:
        for mixed in self.mixed.values():
            mixed.counters.absorb(events, users, items)

    def _take_back(self, removed: Interactions, measure: Settings) -> Interactions:
        """Let out what an increment deletes, and return what of it had been absorbed."""
        gone, *_ = [mixed.counters.retract(removed) for mixed in self.mixed.values()]
        for mixed in (*self.mixed.values(), self._best) if len(gone) else ():
            mixed.choice = mixed.choice.forgetful()
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
            "decayed_popularity": PopularityScorer(counts.popularity.at(self.half_life)),
            "itemknn": ItemKNNScorer(counts, self.best_counter),
            BESIDE: self.mixed[MIXED].scorer(),  # where the companion is ItemKNN
            **{row: mixed.scorer() for row, mixed in self.mixed.items()},
        }
        if explicit:
            events = Interactions.concat(self._events)
            scorers["global_mean"] = MeanPredictor(events)
            scorers["bias"] = BiasPredictor(events, counts.num_users, counts.num_items)
            scorers["recent_bias"] = RecentBiasPredictor(self.biases)
            scorers[NEIGHBOURS] = ResidualNeighbours(events, self.biases, counts.num_users, counts.num_items)
        return scorers
