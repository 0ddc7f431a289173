"""Small worlds to run real strategies in: logs in memory, a learner, runs whose every state can be compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from gnnrec.data.clean.ids import coded
from gnnrec.data.dataset import Counts, Dataset
from gnnrec.data.simulate.world import SimulatedWorld
from gnnrec.data.stream.cuts import ByCount, ByTime
from gnnrec.data.types import Floats, Interactions, Observed, Stream
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.evaluation.evaluate import Settings
from gnnrec.evaluation.record import Name, Record
from gnnrec.evaluation.world import World, worlds
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.leaks.plays import one_thread as one_thread
from gnnrec.leaks.prints import differing as differing
from gnnrec.leaks.prints import fingerprint as fingerprint
from gnnrec.learner import Learner
from gnnrec.objectives.joint import Joint
from gnnrec.runs import cost, state
from gnnrec.runs.experiment import Scenario, run, train_base
from gnnrec.scorers.blend import Grid
from gnnrec.strategies.base import Strategy
from gnnrec.training.settings import FitSettings

DAY = 86_400.0
START = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
MEASURE = Settings(topk=(5, 20), explicit=True)
FIT = FitSettings(lr=0.02, batch_size=64, max_epochs=3, patience=2)
VARYING = cost.TIMED
"""Cost metrics that differ between two equal runs."""

Make = Callable[[], Strategy]
Event = tuple[object, object, float]


def dataset(users: Sequence[object], items: Sequence[object], values: Floats, times: Floats) -> Dataset:
    """Return a clean log of these events."""
    user_ids, user_code = coded(pl.Series([str(u) for u in users], dtype=pl.String))
    item_ids, item_code = coded(pl.Series([str(i) for i in items], dtype=pl.String))
    ids = user_code, item_code, user_ids, item_ids
    return Dataset("log", *ids, np.asarray(values, float), times, Counts(len(users), len(users)), "explicit")


def daily(*days: Sequence[Event], width: str = "1d") -> Stream:
    """Return a stream whose base is the first day's rows; its increments are the other days', empty ones included."""
    rows = [
        (u, i, v, START + DAY * (d + n / (len(day) + 1)))
        for d, day in enumerate(days)
        for n, (u, i, v) in enumerate(day)
    ]
    user, item, value, time = zip(*rows, strict=True)
    return ByTime(width, base="2020-01-02").build(dataset(user, item, np.array(value), np.array(time)))


def simulated(increments: int = 3, users: int = 60, items: int = 40, events: int = 800) -> Stream:
    """Return a small simulated stream."""
    return ByCount(increments=increments).build(SimulatedWorld(users=users, items=items, events=events).load())


def some_rows(
    n: int, seed: int = 0, users: str = "u", items: str = "i", num_users: int = 30, num_items: int = 20
) -> list[Event]:
    """Return n distinct pairs of users and items named by a letter and a number, with ratings."""
    rng = np.random.default_rng(seed)
    pairs = rng.permutation(num_users * num_items)[:n]
    return [(f"{users}{p // num_items}", f"{items}{p % num_items}", float(rng.integers(1, 6))) for p in pairs]


def interactions(pairs: Sequence[tuple[int, int]], value: Sequence[float] | None = None) -> Interactions:
    """Return events of these numbers."""
    user, item = (np.array([p[c] for p in pairs], np.int64) for c in (0, 1))
    return Interactions(
        user, item, np.ones(len(pairs)) if value is None else np.array(value, float), np.arange(len(pairs), dtype=float)
    )


def random_events(n: int, users: int, items: int, seed: int = 0) -> Interactions:
    """Return n distinct pairs with ratings."""
    rng = np.random.default_rng(seed)
    pairs = rng.permutation(users * items)[:n]
    return Interactions(pairs // items, pairs % items, rng.integers(1, 6, n).astype(float), np.arange(n, dtype=float))


def world_of(seen: Interactions, users: int, items: int, recent: Sequence[int] = ()) -> World:
    """Return a world that absorbed `seen` and nothing else."""
    graph = BipartiteGraph.empty().extend(seen, users, items)
    flags = np.zeros(users, bool)
    flags[list(recent)] = True
    return World(0, users, items, graph, np.bincount(seen.item, minlength=items).astype(float), flags)


def observed(train: Interactions, valid: Interactions, users: int, items: int) -> Observed:
    """Return a base of these events."""
    keys = np.arange(users, dtype=np.uint64), np.arange(items, dtype=np.uint64)
    return Observed(0, train, valid, train, valid, users, items, *keys)


def communities(users: int = 30, items: int = 24) -> tuple[Interactions, Interactions]:
    """Return two thirds of all pairs of even users with even items and odd with odd, and the other third."""
    rng = np.random.default_rng(0)
    every = [(u, i) for u in range(users) for i in range(items) if u % 2 == i % 2]
    pairs = [every[k] for k in rng.permutation(len(every))]
    border = len(pairs) * 2 // 3
    return interactions(pairs[:border]), interactions(pairs[border:])


def make_learner(seed: int = 0) -> Learner:
    """Return a learner small enough for hundreds of fits."""
    return Learner(LightGCN(8, 2), Joint(width=8), FIT, grid=Grid(half_life=(100.0, 300.0)), measure=MEASURE, seed=seed)


@dataclass
class Played:
    """A finished run: what it recorded, and the fingerprint of learner and strategy after each increment."""

    learner: Learner
    strategy: Strategy
    record: Record
    prints: dict[int, dict[str, bytes]] = field(default_factory=dict)

    def results(self) -> pl.DataFrame:
        """Return the tidy rows without those that differ between equal runs."""
        return self.record.frames()["results"].filter(~pl.col("metric").is_in(VARYING))


class Game:
    """A stream with its trained base; `play` runs a strategy over it."""

    def __init__(self, stream: Stream, learner: Callable[[], Learner] = make_learner) -> None:
        self.stream, self.learner = stream, learner
        self.setting = Scenario(stream, worlds(stream), learner().measure)
        self.base = train_base(learner(), self.setting, self._name())

    def play(self, strategy: Strategy, folder: Path | None = None, until: int | None = None, name: str = "s") -> Played:
        """Run `strategy` from the base or from what `folder` holds; with `until`, stop after it as if killed."""
        learner = self.learner()
        played = Played(learner, strategy, Record(self._name(name)))

        def after(t: int, record: Record) -> None:
            played.prints[t] = fingerprint(learner, strategy)
            played.record = record
            if t == until:
                raise Killed

        reached = self.setting.stream.increments[:1] if until == 0 else None  # nothing is told of the base
        try:
            played.record = run(learner, strategy, self.setting, self._name(name), self.base, folder, after, reached)
        except Killed:
            assert until is not None
        return played

    @staticmethod
    def _name(strategy: str = "s") -> Name:
        return Name("test", strategy, 0)


class Killed(BaseException):
    """Raised by `Game.play` after the increment at which it was told to stop."""


def newest(folder: Path) -> state.State:
    """Return the newest state below `folder`."""
    found = state.load_newest(folder)
    assert found is not None
    return found
