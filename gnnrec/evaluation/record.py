"""Collects what a run measures as frames: the tidy results, per-user metrics, predicted values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from gnnrec.core import allocator
from gnnrec.data.types import Stream
from gnnrec.evaluation.beyond.examples import LISTED
from gnnrec.evaluation.evaluate import Evaluation, MetricRow, Slice, evaluate_all
from gnnrec.evaluation.results import SCHEMA
from gnnrec.evaluation.settings import Settings
from gnnrec.evaluation.world import World
from gnnrec.scorers.model import Scorer

AHEAD = 4
"""R[t, k] is measured for k ≤ t + 4: enough for the staleness curve."""

PER_USER = pl.Schema(
    {
        "strategy": pl.String(),
        "scorer": pl.String(),
        "seed": pl.Int64(),
        "trained_to": pl.Int64(),
        "evaluated_on": pl.Int64(),
        "user": pl.String(),
        "known": pl.Boolean(),
        "relevant": pl.Int64(),
        "recall@20": pl.Float64(),
        "ndcg@20": pl.Float64(),
    }
)
EXAMPLES = pl.Schema(
    {
        "strategy": pl.String(),
        "scorer": pl.String(),
        "seed": pl.Int64(),
        "trained_to": pl.Int64(),
        "evaluated_on": pl.Int64(),
        **LISTED,
    }
)
PREDICTIONS = pl.Schema(
    {
        "strategy": pl.String(),
        "scorer": pl.String(),
        "seed": pl.Int64(),
        "trained_to": pl.Int64(),
        "user": pl.String(),
        "true": pl.Float64(),
        "predicted": pl.Float64(),
    }
)


@dataclass(frozen=True, slots=True)
class Name:
    """Whose rows these are: experiment, strategy, and seed (None: a reference row)."""

    experiment: str
    strategy: str
    seed: int | None


@dataclass(slots=True)
class Record:
    """The frames of one run so far."""

    name: Name
    results: list[pl.DataFrame] = field(default_factory=list)
    per_user: list[pl.DataFrame] = field(default_factory=list)
    predictions: list[pl.DataFrame] = field(default_factory=list)
    examples: list[pl.DataFrame] = field(default_factory=list)

    def add(self, scorer: str, trained_to: int, evaluated_on: int, split: str, rows: Iterable[MetricRow]) -> None:
        """Append rows of the table."""
        name = self.name
        key = (name.experiment, name.strategy, scorer, name.seed, trained_to, evaluated_on, split)
        data = [(*key, *row) for row in rows]
        self.results.append(pl.DataFrame(data, schema=SCHEMA, orient="row"))

    def add_next(self, scorer: str, trained_to: int, found: Evaluation, stream: Stream) -> None:
        """Append a score on the increment to come: rows, per-user metrics, predicted values."""
        self.add(scorer, trained_to, trained_to + 1, "next", found.rows)
        if found.beyond:
            self.add(scorer, trained_to, trained_to + 1, "beyond", found.beyond)
        name = self.name
        who = {"strategy": name.strategy, "scorer": scorer, "seed": name.seed, "trained_to": trained_to}
        if found.per_user:
            users = {
                **who,
                "evaluated_on": trained_to + 1,
                "user": stream.named[found.user].astype(str),
                "known": found.known,
                "relevant": found.relevant,
                **{m: found.per_user.get(m) for m in ("recall@20", "ndcg@20")},
            }
            self.per_user.append(pl.DataFrame(users, schema=PER_USER))
        if len(found.predicted):
            rated = stream.named[found.rated].astype(str)
            values = {**who, "user": rated, "true": found.truth, "predicted": found.predicted}
            self.predictions.append(pl.DataFrame(values, schema=PREDICTIONS))

    def add_examples(self, trained_to: int, evaluated_on: int, lists: Mapping[str, pl.DataFrame]) -> None:
        """Append lists of single users by scorer, by the model that absorbed 0..trained_to."""
        name = self.name
        for scorer, frame in lists.items():
            who = {"strategy": name.strategy, "scorer": scorer, "seed": name.seed, "trained_to": trained_to}
            keys = {**who, "evaluated_on": evaluated_on}
            own = frame.with_columns(pl.lit(value, EXAMPLES[column]).alias(column) for column, value in keys.items())
            self.examples.append(own.select(*EXAMPLES))

    @property
    def waits(self) -> bool:
        """Whether the newest increment waits: nothing was trained on it yet."""
        return bool(self.results) and "policy" in self.results[-1]["split"]

    def append(self, frames: dict[str, pl.DataFrame]) -> None:
        """Append what another record holds."""
        for name, rows in (("results", self.results), ("per_user", self.per_user), ("predictions", self.predictions)):
            rows.append(frames[name])
        self.examples += [frames["examples"]] if "examples" in frames else []

    def frames(self) -> dict[str, pl.DataFrame]:
        """Return the tables by name; that of examples where there are any."""
        parts = {
            "results": (self.results, SCHEMA),
            "per_user": (self.per_user, PER_USER),
            "predictions": (self.predictions, PREDICTIONS),
            **({"examples": (self.examples, EXAMPLES)} if self.examples else {}),
        }
        return {
            n: pl.concat(frames, how="diagonal") if frames else pl.DataFrame(schema=s)
            for n, (frames, s) in parts.items()
        }

    @staticmethod
    def of(name: Name, frames: dict[str, pl.DataFrame]) -> Record:
        """Return a record that goes on from saved frames, under this name."""
        own = {"experiment": name.experiment, "strategy": name.strategy, "seed": name.seed}
        named = {
            n: f.with_columns(pl.lit(v).cast(f.schema[c]).alias(c) for c, v in own.items() if c in f.columns)
            for n, f in frames.items()
        }
        own_tables = ("results", "per_user", "predictions", "examples")
        return Record(name, *([named[n]] if n in named else [] for n in own_tables))


@dataclass(frozen=True, slots=True)
class Scored:
    """A scorer and where its rows go: into which record, under which name."""

    record: Record
    name: str
    scorer: Scorer


HeldFrames = tuple[int | None, Slice]
"""A test slice with its k; the increment to come with None."""


def score_round(
    record: Record, scorers: Mapping[str, Scorer], t: int, stream: Stream, worlds: list[World], measure: Settings
) -> None:
    """Score the model that absorbed 0..t: on the increment to come, and row t of R on the test slices around it."""
    held = [*upcoming(stream, t, worlds[t]), *tests(stream, t, worlds, measure)]
    score([Scored(record, name, scorer) for name, scorer in scorers.items()], t, stream, held, measure)


def score(rows: Sequence[Scored], t: int, stream: Stream, held: Sequence[HeldFrames], measure: Settings) -> None:
    """Record how rows that absorbed 0..t do on the same held-out events, all scored together."""
    found = evaluate_all({str(n): row.scorer for n, row in enumerate(rows)}, [s for _, s in held], measure)
    for n, row in enumerate(rows):
        for (k, _), evaluations in zip(held, found, strict=True):
            if k is None:
                row.record.add_next(row.name, t, evaluations[str(n)], stream)
            else:
                row.record.add(row.name, t, k, "test", evaluations[str(n)].rows)
    allocator.give_back()  # blocks of many sizes leave gaps: 7 GB instead of 2 on three million clicks


def upcoming(stream: Stream, t: int, world: World) -> list[HeldFrames]:
    """Return what `next` of the model that absorbed 0..t is measured on, where there is anything."""
    events = stream.increments[t].upcoming
    return [(None, Slice(events, world, beyond=True))] if len(events) else []


def tests(stream: Stream, t: int, worlds: list[World], measure: Settings) -> list[HeldFrames]:
    """Return the test slices of row t of R.

    Whatever t, the same is masked: all that a user absorbs in the whole stream but what the slice asks for. With masks that
    grew, what a model learnt after k would fill its list for slice k, and be taken for forgetting. What is taken back later is
    masked too: models from before have learnt it.
    """
    if not stream.has_test or measure.matrix == "off":
        return []
    first = t if measure.matrix == "diagonal" else 0
    last = t if measure.matrix == "diagonal" else min(t + AHEAD, len(stream.increments) - 1)
    slices = ((k, stream.increments[k].test) for k in range(first, last + 1))
    end = worlds[-1]
    ever = end.seen if end.ever is None else end.ever
    return [(k, Slice(test, worlds[k], ever, segments=False)) for k, test in slices if len(test)]
