"""What a sweep is asked for, checked before anything is read or trained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import product
from math import prod
from typing import Any

from optuna.study import StudyDirection

from gnnrec.config.options import overrides
from gnnrec.core.errors import GnnrecError, nearest
from gnnrec.data.types import Stream
from gnnrec.runs import build
from gnnrec.runs.build import Config
from gnnrec.runs.job import Job
from gnnrec.runs.point import COST
from gnnrec.runs.ready import ready
from gnnrec.sweeping.space import Dimension, Plain, space_of

Compose = Callable[[list[str]], Config]
MAXIMISED = {"ndcg@20": True, "recall@20": True, "mse": False, "seconds": False, "edges_touched": False}
SAMPLERS = ("tpe", "random", "grid")
LARGEST_GRID = 10_000
"""Points of a grid, above which it is taken for a mistake."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is searched, and how.

    Attributes:
        row: the strategy's name.
        config: as configured.
        compose: maps further overrides to a configuration.
        space: the keys that are searched.
        metrics: one, or several objectives.
        sampler: who proposes points: tpe, random, grid.
        trials: points wanted of tpe and random; a grid has as many as it has.
        prune: whether a point may be given up after increment 1.
        seeds: of every point.
    """

    row: str
    config: Config
    compose: Compose
    space: tuple[Dimension, ...]
    metrics: tuple[str, ...]
    sampler: str
    trials: int
    prune: bool
    seeds: tuple[int, ...]

    @property
    def default(self) -> dict[str, Plain]:
        """The configured point."""
        return {d.key: d.default for d in self.space}

    @property
    def size(self) -> int | None:
        """Points of the space; None: a range without steps has always one more."""
        counts = [None if (values := d.values()) is None else len(values) for d in self.space]
        return None if None in counts else prod(c for c in counts if c is not None)

    @property
    def wanted(self) -> int:
        """How many points are to be run, no more than there are."""
        if self.sampler == "grid" or (self.size is not None and self.size < self.trials):
            return self.size or 0
        return self.trials

    @property
    def directions(self) -> list[StudyDirection]:
        """Which way each metric is better, as Optuna has it."""
        return [StudyDirection.MAXIMIZE if MAXIMISED[m] else StudyDirection.MINIMIZE for m in self.metrics]

    def grid(self) -> list[dict[str, Plain]]:
        """Return every point of a space of steps and choices, the last key changing fastest."""
        values = [d.values() or () for d in self.space]
        return [dict(zip((d.key for d in self.space), found, strict=True)) for found in product(*values)]

    def jobs(self, params: dict[str, Any], row: str | None = None) -> list[Job]:
        """Return a point's job under each seed."""
        return [Job(row or self.row, self._config(params, seed)) for seed in self.seeds]

    def _config(self, params: dict[str, Any], seed: int) -> Config:
        changed = {} if params == self.default else params
        own = seed == int(self.config["seed"])
        return (
            self.compose([*overrides(changed), *([] if own else [f"seed={seed}"])])
            if changed or not own
            else self.config
        )

    def identity(self, stream: Stream) -> str:
        """Return the hash of what makes a study: configuration, data, code, space, metrics, sampler, pruning, seeds."""
        asked = [[asdict(d) for d in self.space], self.metrics, self.sampler, self.prune, self.seeds]
        made = [build.run_digest(self.config, stream), *asked]
        return hashlib.blake2b(json.dumps(made, default=str).encode(), digest_size=5).hexdigest()


def plan_of(row: str, config: Config, compose: Compose, option: Callable[[str], str]) -> Plan:
    """Return what `sweep` asks for, once every choice and both ends of every range have made a configuration.

    Args:
        row: the strategy's name.
        config: as configured, with the search space under `sweep`.
        compose: maps further overrides to a configuration.
        option: the option that a group has.

    Raises:
        GnnrecError: a search that cannot be; nothing has been read or trained.
    """
    asked = config["sweep"]
    trials, prune, sampler = int(asked["trials"]), bool(asked.get("prune", False)), str(asked.get("sampler", "tpe"))
    if trials < 1:
        raise GnnrecError(f"sweep.trials={trials} must be 1 or more")
    if sampler not in SAMPLERS:
        raise GnnrecError(f"sweep.sampler={sampler} is not known{nearest(sampler, SAMPLERS)}")
    metrics = _metrics(asked["metric"], prune)
    space = space_of(config, option)
    if sampler == "grid":
        _check_grid(space)
    for dimension in space:
        for value in dimension.ends():
            try:
                ready(compose(overrides({dimension.key: value})))
            except GnnrecError as error:
                raise GnnrecError(f"sweep.space: {dimension.key}={value}: {error}") from error
    return Plan(row, config, compose, space, metrics, sampler, trials, prune, _seeds(asked.get("seeds"), config))


def _metrics(asked: Any, prune: bool) -> tuple[str, ...]:
    found = (asked,) if isinstance(asked, str) else tuple(dict.fromkeys(asked))
    if odd := [m for m in found if m not in MAXIMISED]:
        raise GnnrecError(f"sweep.metric={odd[0]} is not known{nearest(odd[0], MAXIMISED)}")
    if not set(found) - {*COST}:
        raise GnnrecError(
            f"sweep.metric={', '.join(found) or '[]'} would choose whatever learns least; name a quality beside it: "
            "sweep.metric=[ndcg@20,seconds]"
        )
    if prune and len(found) > 1:
        raise GnnrecError(
            f"sweep.prune=true needs one metric, got {', '.join(found)}: what is worse by one after increment 1 may be "
            "better by another; leave one, or set sweep.prune=false"
        )
    return found


def _seeds(asked: list[int] | None, config: Config) -> tuple[int, ...]:
    found = (int(config["seed"]),) if asked is None else tuple(dict.fromkeys(asked))
    if not found or min(found) < 0:
        raise GnnrecError(
            f"sweep.seeds={list(found)} must be one or more numbers of 0 or more; null: seed={config['seed']}"
        )
    return found


def _check_grid(space: tuple[Dimension, ...]) -> None:
    """Refuse a grid of a range that has no steps, or of more points than anybody means."""
    for d in space:
        if d.values() is None or (d.whole and d.log and not d.choices):
            raise GnnrecError(
                f"sweep.sampler=grid: {d.key} is a range {d.shown()} without steps; give it step: S, or choices: [a, b, …], "
                "in sweep.space, or use sweep.sampler=tpe or random"
            )
    if (size := prod(len(d.values() or ()) for d in space)) > LARGEST_GRID:
        raise GnnrecError(
            f"sweep.sampler=grid: the space has {size:,} points, allowed are {LARGEST_GRID:,}; take larger steps, or use "
            "sweep.sampler=tpe or random"
        )
