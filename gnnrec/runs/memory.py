"""Runs in memory, for notebooks: a configuration whose strategies and models are objects, and runs without a folder."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gnnrec.config.instantiate import TARGET
from gnnrec.core import resources
from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.evaluation.record import Name
from gnnrec.learner import Learner
from gnnrec.runs import build, experiment
from gnnrec.runs.build import Scene
from gnnrec.runs.folder import Frames
from gnnrec.runs.job import Job
from gnnrec.runs.progress import Progress
from gnnrec.runs.state import State
from gnnrec.strategies.base import Strategy

Description = dict[str, Any]
"""A part of a configuration."""


class Memory:
    """Runs jobs one after the other and holds what they end with.

    Attributes:
        learners: of the first seed, by row.
        errors: what ended the runs that failed, by row and seed, with its traceback.
    """

    def __init__(self) -> None:
        self.learners: dict[str, Learner] = {}
        self.errors: dict[tuple[str, int], Exception] = {}
        self._bases: dict[int, State] = {}

    def run(self, job: Job, scene: Scene, progress: Progress) -> Frames:
        """Return the frames of a run; the base of its seed is trained once.

        Raises:
            GnnrecError: it failed, whatever for.
        """
        try:
            return self._run(job, scene, progress)
        except Exception as error:
            self.errors[job.row, job.seed] = error
            if isinstance(error, GnnrecError):
                raise
            raise GnnrecError(f"{type(error).__name__}: {one_line(str(error))}") from error

    def _run(self, job: Job, scene: Scene, progress: Progress) -> Frames:
        base = self._base(job, scene, progress)
        learner, strategy = build.learner(job.config, scene.setting), build.strategy(job.config)
        total = len(scene.setting.stream.increments) - 1
        with resources.told(f"{job.row}, seed {job.seed}"), progress.job(job.row, job.seed, total, learner) as bar:
            record = experiment.run(
                learner, strategy, scene.setting, job.name, base, on_increment=lambda t, r: bar.increment(t, r.waits)
            )
        self.learners.setdefault(job.row, learner)
        return record.frames()

    def _base(self, job: Job, scene: Scene, progress: Progress) -> State:
        if job.seed not in self._bases:
            learner, name = build.learner(job.config, scene.setting), Name(job.name.experiment, "base", job.seed)
            with resources.told(f"base, seed {job.seed}"), progress.job("base", job.seed, 0, learner) as bar:
                self._bases[job.seed] = experiment.train_base(learner, scene.setting, name)
                bar.increment(0)
        return self._bases[job.seed]


def given(made: object, seed: int = 0) -> Description:
    """Return the part of a configuration that stands for an object: every run builds a fresh copy from it."""
    return {TARGET: "gnnrec.runs.memory.fresh", "made": made, "seed": seed}


def fresh(made: Any, seed: int = 0) -> Any:
    """Return a copy of an object as it was given; a strategy's own seed is moved on by the run's."""
    twin = copy.deepcopy(made)
    _move_on(twin, seed)
    return twin


def _move_on(made: object, seed: int) -> None:
    """Move the seed of a strategy on, and those of the strategies that it is made of."""
    if isinstance(made, Strategy):
        made.seed += seed
        for part in vars(made).values():
            for one in part.values() if isinstance(part, dict) else ():
                _move_on(one, seed)


def described(made: object) -> Description:
    """Return what an object is, as a configuration would say it: its class, and its arguments where it keeps them."""
    kind = type(made)
    found: Description = {TARGET: f"{kind.__module__}.{kind.__qualname__}"}
    for name in inspect.signature(kind).parameters:
        if hasattr(made, name):
            found[name] = _plain(getattr(made, name))
    return found


def _plain(value: object) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return described(value) if type(value).__module__ != "builtins" else repr(value)


def by_row(strategies: Sequence[Strategy]) -> dict[str, Strategy]:
    """Return the strategies by the names of their rows: the class's, with what differs where one class has several.

    Raises:
        GnnrecError: two cannot be told apart.
    """
    kinds = [re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(s).__name__).lower() for s in strategies]
    leaves = [_leaves(described(s)) for s in strategies]
    found: dict[str, Strategy] = {}
    for kind, own, strategy in zip(kinds, leaves, strategies, strict=True):
        like = [other for k, other in zip(kinds, leaves, strict=True) if k == kind]
        odd = [n for n in dict.fromkeys(n for o in like for n in o) if len({str(o.get(n)) for o in like}) > 1]
        name = f"{kind}[{','.join(f'{n}={own[n]}' for n in odd if n in own)}]" if odd else kind
        if name in found:
            raise GnnrecError(
                f"two strategies would both be the row {name}; give them names: {{'a': {type(strategy).__name__}(…), …}}"
            )
        found[name] = strategy
    return found


def _leaves(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the arguments by dotted name; a part is there as its class, and its own arguments below it."""
    found: dict[str, Any] = {}
    for name, value in node.items():
        if isinstance(value, Mapping) and TARGET in value:
            found[f"{prefix}{name}"] = str(value[TARGET]).rpartition(".")[2]
            found |= _leaves(value, f"{prefix}{name}.")
        elif name != TARGET:
            found[f"{prefix}{name}"] = value
    return found
