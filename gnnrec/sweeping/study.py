"""The study of a sweep: which points were asked for and what became of each, in SQLite. Only the driver opens it.

A configuration, space, data, code, sampler or seeds of its own is a study of its own in the same file.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from gnnrec.core.errors import one_line
from gnnrec.core.seeds import derive
from gnnrec.data.types import Stream
from gnnrec.runs.folder import safe
from gnnrec.sweeping.plan import MAXIMISED, Plan
from gnnrec.sweeping.space import Plain, tidy

FAILED, REPEATS, DEVIATION, SECONDS = "failed", "repeats", "deviation", "seconds"
"""Attributes of a trial: why it failed; which one it repeats; deviations over seeds; seconds of updates."""
STATES = ("complete", "pruned", "failed", "running", "interrupted")
"""What a point can be."""
REPEATED = 50
"""Proposals that were there already, one after another, after which a space is taken for searched out."""
_NAMES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.RUNNING: "running"}


@dataclass(frozen=True, slots=True)
class Tried:
    """A point of the study and what became of it.

    Attributes:
        number: in the order in which points were first asked for; 1 is the configured one.
        params: its setting.
        state: of `STATES`.
        values: a metric's mean over seeds each, of a complete point; None of any other.
        deviations: over seeds; None with one seed.
        more: why it failed, or the value after increment 1 that it was pruned by.
        seconds: per update, mean over increments and seeds; None: not measured.
    """

    number: int
    params: Mapping[str, Plain]
    state: str
    values: tuple[float, ...] | None
    deviations: tuple[float, ...] | None
    more: str
    seconds: float | None


def storage(output: Path, row: str) -> optuna.storages.RDBStorage:
    """Return the storage of a strategy's studies, in SQLite under the output folder."""
    # A URL of SQLAlchemy has no way to write every path: what stands behind a question mark would be options.
    path = output / f"sweep-{safe(row)}.db"
    output.mkdir(parents=True, exist_ok=True)
    return optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": lambda: sqlite3.connect(path)})


class Ledger:
    """Asks for points that were not there yet, and notes what becomes of them.

    Args:
        plan: what is searched.
        stream: of the whole data.
    """

    def __init__(self, plan: Plan, stream: Stream) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.plan = plan
        self.study = optuna.create_study(
            study_name=f"{plan.row}-{plan.identity(stream)}",
            storage=storage(Path(plan.config["output"]), plan.row),
            directions=plan.directions,
            pruner=optuna.pruners.MedianPruner(),
            load_if_exists=True,
        )
        self.found = len(self._ended())
        self._take_back()
        self.first = {_key(t.params): t.number for t in self._kept() if t.params}
        self.searched_out = False
        self.twins: dict[int, list[optuna.Trial]] = {}

    def _take_back(self) -> None:
        """Queue again what a killed driver has left running, and the configured point before all others."""
        for trial in self.study.get_trials(states=(TrialState.RUNNING,)):
            params = (
                trial.params if len(trial.params) == len(self.plan.space) else trial.system_attrs.get("fixed_params")
            )
            if params and REPEATS not in trial.user_attrs:
                self.study.enqueue_trial(params)
            self.study.tell(trial.number, state=TrialState.FAIL)
        queued = self.study.get_trials(states=(TrialState.WAITING,))
        if not queued and not any(t.params == self.plan.default for t in self._ended()):
            self.study.enqueue_trial(self.plan.default)

    def ask(self) -> optuna.Trial | None:
        """Return a point that was not asked for before; None: there are as many as wanted, or no others were proposed."""
        for _ in range(0 if self.searched_out else REPEATED):
            if len(self.first) >= self.plan.wanted:
                return None
            self.study.sampler = self._sampler()
            trial = self._proposed()
            number = self.first.setdefault(_key(trial.params), trial.number)
            if number == trial.number:
                return trial
            trial.set_user_attr(REPEATS, number)
            self.twins.setdefault(number, []).append(trial)
            if (ended := self.study.trials[number]).state.is_finished():
                self._tell_twins(ended)
        self.searched_out = True
        return None

    def _sampler(self) -> optuna.samplers.BaseSampler:
        # A sampler per trial: a study that was killed and continued asks for the same points as one that was not.
        seed = derive(int(self.plan.config["seed"]), "sweep", len(self._kept())) % 2**32
        if self.plan.sampler == "tpe":
            # A point in flight counts as a bad one, so that several at once are not the same.
            return optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        return optuna.samplers.RandomSampler(seed=seed)

    def _proposed(self) -> optuna.Trial:
        waiting = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        if self.plan.sampler == "grid" and not waiting:
            # Optuna's own sampler of grids ends a study by what only `optimize` has, not ask and tell.
            self.study.enqueue_trial(next(p for p in self.plan.grid() if _key(p) not in self.first))
        trial = self.study.ask()
        for dimension in self.plan.space:
            dimension.suggest(trial)
        return trial

    def prunes(self, trial: optuna.Trial, value: float) -> bool:
        """Note a point's value after increment 1 and return whether it is worse than the median of those before it.

        The first five whole points and the configured one are never given up.
        """
        trial.report(value, 1)
        return trial.params != self.plan.default and bool(trial.should_prune())

    def complete(
        self, trial: optuna.Trial, values: Sequence[float], deviations: Sequence[float], seconds: float | None
    ) -> None:
        """Note a point's values, means over seeds, and their deviations."""
        self._measured(trial, deviations, seconds)
        self.study.tell(trial, list(values))
        self._tell_twins(self.study.trials[trial.number])

    def prune(self, trial: optuna.Trial, deviations: Sequence[float], seconds: float | None) -> None:
        """Note that a point is given up after increment 1."""
        self._measured(trial, deviations, seconds)
        self.study.tell(trial, state=TrialState.PRUNED)
        self._tell_twins(self.study.trials[trial.number])

    def fail(self, trial: optuna.Trial, why: str) -> None:
        """Note why a point has failed; it is not tried again."""
        trial.set_user_attr(FAILED, one_line(why))
        self.study.tell(trial, state=TrialState.FAIL)
        self._tell_twins(self.study.trials[trial.number])

    def _measured(self, trial: optuna.Trial, deviations: Sequence[float], seconds: float | None) -> None:
        if deviations:
            trial.set_user_attr(DEVIATION, list(deviations))
        if seconds is not None:
            trial.set_user_attr(SECONDS, seconds)

    def _tell_twins(self, ended: FrozenTrial) -> None:
        """Tell what repeats a point the same: the sampler learns from it, and nothing is run."""
        for trial in self.twins.pop(ended.number, []):
            for step, value in ended.intermediate_values.items():
                trial.report(value, step)
            if FAILED in ended.user_attrs:
                trial.set_user_attr(FAILED, ended.user_attrs[FAILED])
            whole = ended.state == TrialState.COMPLETE
            self.study.tell(trial, ended.values if whole else None, state=None if whole else ended.state)

    def _kept(self) -> list[FrozenTrial]:
        """Return what was asked for and not taken back."""
        return [t for t in self.study.trials if t.state != TrialState.WAITING and not _interrupted(t)]

    def _ended(self) -> list[FrozenTrial]:
        """Return the points that need no other run, each once."""
        return [t for t in self._kept() if REPEATS not in t.user_attrs and t.state.is_finished()]

    def tried(self) -> list[Tried]:
        """Return the points in the order in which they were first asked for, each once, whatever was killed meanwhile."""
        asked: dict[str, FrozenTrial] = {}
        for trial in self.study.trials:
            if trial.params and trial.state != TrialState.WAITING and REPEATS not in trial.user_attrs:
                asked[_key(trial.params)] = trial  # the newest, in the place of the first
        return [_tried(number, trial) for number, trial in enumerate(asked.values(), 1)]

    def place(self, params: Mapping[str, Plain]) -> int:
        """Return the number of a point that was asked for."""
        return next(t.number for t in self.tried() if _key(t.params) == _key(params))

    def best(self) -> list[Tried]:
        """Return the best complete point, the configured one where it is as good; of several metrics the front, best first
        by the first metric.
        """
        return best_of(self.tried(), self.plan.metrics, self.plan.default)


def best_of(tried: Sequence[Tried], metrics: Sequence[str], default: Mapping[str, Plain] | None = None) -> list[Tried]:
    """Return the best complete point; of several metrics the front, best first by the first metric.

    Args:
        tried: points.
        metrics: by which they are compared.
        default: the configured point, the better of equal ones; None: not known.
    """
    complete = [t for t in tried if t.state == "complete" and t.values]
    signs = [-1.0 if MAXIMISED[m] else 1.0 for m in metrics]
    scored = [(tuple(s * v for s, v in zip(signs, t.values or (), strict=True)), t) for t in complete]
    if len(signs) == 1:
        ordered = sorted(scored, key=lambda one: (one[0], one[1].params != default, one[1].number))
        return [t for _, t in ordered[:1]]
    front = [(v, t) for v, t in scored if not any(_dominates(other, v) for other, _ in scored)]
    return [t for _, t in sorted(front, key=lambda one: (one[0], one[1].number))]


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Return whether one is as good by every metric and better by some; less is better."""
    return tuple(one) != tuple(other) and all(a <= b for a, b in zip(one, other, strict=True))


def _interrupted(trial: FrozenTrial) -> bool:
    """Return whether a trial was running when its driver was killed: it ended without a reason of its own."""
    return trial.state == TrialState.FAIL and FAILED not in trial.user_attrs


def _tried(number: int, trial: FrozenTrial) -> Tried:
    """Return a trial of Optuna's as the point of a number."""
    state = _NAMES.get(trial.state) or ("failed" if FAILED in trial.user_attrs else "interrupted")
    more = str(trial.user_attrs.get(FAILED, ""))
    if state == "pruned" and trial.intermediate_values:
        more = f"{trial.intermediate_values[1]:.5f} after increment 1"
    whole, deviations = state == "complete", trial.user_attrs.get(DEVIATION)
    measured = tuple(trial.values) if whole else None
    told = tuple(deviations) if whole and deviations else None
    return Tried(number, dict(trial.params), state, measured, told, more, trial.user_attrs.get(SECONDS))


def _key(params: Mapping[str, Any]) -> str:
    """Return what tells points apart: 1 and 1.0 are one number."""
    plain = {k: tidy(float(v)) if type(v) in (int, float) else v for k, v in params.items()}
    return json.dumps(plain, sort_keys=True)
