"""Search hyper-parameters with Optuna on increments 1 and 2, then score the best setting on the rest of the stream.

The study lies in SQLite under the output folder and is continued when started again; trial 0 is the configured setting.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import optuna
import polars as pl
import yaml

from gnnrec.config.options import overrides
from gnnrec.core import resources
from gnnrec.core.errors import GnnrecError, nearest, one_line
from gnnrec.core.files import write_atomic
from gnnrec.core.seeds import derive
from gnnrec.data.types import Stream
from gnnrec.evaluation import significance
from gnnrec.evaluation.pairs import names_users
from gnnrec.evaluation.record import Name
from gnnrec.reporting.tables import number
from gnnrec.reporting.verdicts import Verdicts, key_of
from gnnrec.runs import build, experiment
from gnnrec.runs.build import Config, Scene
from gnnrec.runs.compare import compare
from gnnrec.runs.folder import locked, safe
from gnnrec.runs.job import Job
from gnnrec.runs.pages import Report
from gnnrec.runs.progress import Progress
from gnnrec.runs.ready import ready
from gnnrec.runs.shared import base_state
from gnnrec.runs.space import Dimension, space_of, tree

Compose = Callable[[list[str]], Config]
Space = tuple[Dimension, ...]
LAST = 2
"""Tuning sees increments up to this one (PROTOCOL rule 15); means are taken from the one after on."""
FAILED = "failed"
"""Attribute of a trial that holds why its run failed."""
MAXIMISED = {"ndcg@20": True, "mse": False}


def checked(config: Config, compose: Compose, option: Callable[[str], str]) -> Space:
    """Return what `sweep` asks to search, once every choice and both ends of every range have made a configuration.

    Args:
        config: as configured, with the search space under `sweep`.
        compose: maps further overrides to a configuration.
        option: the option that a group has.

    Raises:
        GnnrecError: a search that cannot be; nothing has been read or trained.
    """
    metric, trials = str(config["sweep"]["metric"]), int(config["sweep"]["trials"])
    if trials < 1:
        raise GnnrecError(f"sweep.trials={trials} must be 1 or more")
    if metric not in MAXIMISED:
        raise GnnrecError(f"sweep.metric={metric} is not known{nearest(metric, MAXIMISED)}")
    space = space_of(config, option)
    for dimension in space:
        for value in dimension.ends():
            try:
                ready(compose(overrides({dimension.key: value})))
            except GnnrecError as error:
                raise GnnrecError(f"sweep.space: {dimension.key}={value}: {error}") from error
    return space


def sweep(
    row: str, config: Config, space: Space, compose: Compose, scene: Scene, command: str, progress: Progress
) -> str:
    """Search, write the best setting, score it and the configured one on the rest, and return what to print.

    Args:
        row: the strategy's name.
        config: as configured.
        space: what `checked` returned for it.
        compose: maps further overrides to a configuration.
        scene: data and stream.
        command: what was typed.
        progress: where to show it.
    """
    if len(scene.setting.stream.increments) <= LAST + 1:
        raise GnnrecError(f"a sweep needs increments behind {LAST}; the stream ends at {LAST} or before")
    with locked(Path(config["output"]) / f"sweep-{safe(row)}"):  # another would take its running trial for a killed one
        return _search(row, config, space, compose, scene, command, progress)


def _search(
    row: str,
    config: Config,
    space: Space,
    compose: Compose,
    scene: Scene,
    command: str,
    progress: Progress,
) -> str:
    metric, trials = str(config["sweep"]["metric"]), int(config["sweep"]["trials"])
    default = {d.key: d.default for d in space}
    study = _study(row, config, space, scene, progress)
    short = Scene(scene.dataset, shortened(scene.setting))
    while (done := len(_ended(study))) < trials:
        # A sampler per trial: a study that was killed and continued asks for the same settings as one that was not.
        study.sampler = optuna.samplers.TPESampler(seed=derive(int(config["seed"]), "sweep", done) % 2**32)
        trial = study.ask()
        chosen = {d.key: d.suggest(trial) for d in space}
        try:
            with resources.told(f"trial {done + 1} of {trials}, {_text(chosen)}"):
                value = trial_value(row, compose(overrides(chosen)), scene, short, metric, progress)
        except GnnrecError as error:
            trial.set_user_attr(FAILED, one_line(str(error)))
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            progress.say(f"trial {done + 1} of {trials}: {_text(chosen)}: failed: {one_line(str(error))}")
            continue
        study.tell(trial, value)
        progress.say(f"trial {done + 1} of {trials}: {_text(chosen)}: valid {metric} {value:.5f}")
    return _conclude(row, study, default, metric, config, compose, scene, command, progress)


def _study(row: str, config: Config, space: Space, scene: Scene, progress: Progress) -> optuna.Study:
    """Return the study, new or continued; trials that a kill left running are put back in the queue.

    Another configuration, space or data is another study in the same file.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    output, metric = Path(config["output"]), str(config["sweep"]["metric"])
    default = {d.key: d.default for d in space}
    whole = {**config, "strategy": [config["strategy"], metric, [asdict(d) for d in space]]}
    study = optuna.create_study(
        study_name=f"{row}-{build.run_digest(whole, scene.setting.stream)}",
        storage=storage(output, row),
        direction="maximize" if MAXIMISED[metric] else "minimize",
        load_if_exists=True,
    )
    if study.trials:
        progress.say(f"continuing a sweep with {len(_ended(study))} finished trials")
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        if trial.params:
            study.enqueue_trial(trial.params)
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    waiting = study.get_trials(states=(optuna.trial.TrialState.WAITING,))
    if not waiting and not any(trial.params == default for trial in _ended(study)):
        study.enqueue_trial(default)
    return study


def storage(output: Path, row: str) -> optuna.storages.RDBStorage:
    """Return the storage of a strategy's studies, in SQLite under the output folder."""
    # A URL of SQLAlchemy has no way to write every path: what stands behind a question mark would be options.
    path = output / f"sweep-{row}.db"
    return optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": lambda: sqlite3.connect(path)})


def _ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return the trials that need no other run: complete, or failed for a reason of their own."""
    return [t for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE or FAILED in t.user_attrs]


def trial_value(row: str, config: Config, scene: Scene, short: Scene, metric: str, progress: Progress) -> float:
    """Return the mean valid metric of increments 1 and 2 of a run on the shortened stream."""
    job = Job(row, config)
    base = base_state(config, scene, progress)
    learner, strategy = build.learner(config, scene.setting), build.strategy(config)
    name = Name(config["name"], row, job.seed)
    record = experiment.run(learner, strategy, short.setting, name, base)
    return valid_mean(record.frames()["results"], metric)


def valid_mean(results: pl.DataFrame, metric: str) -> float:
    """Return the mean of a metric of the model alone on the valid events of increments 1 to 2."""
    rows = results.filter(
        pl.col("split") == "valid",
        pl.col("segment") == "all",
        pl.col("metric") == metric,
        pl.col("scorer") == "model",
        pl.col("trained_to").is_between(1, LAST),
    )
    if rows.is_empty():
        raise GnnrecError(f"valid {metric} was not measured: choose another sweep.metric, or a strategy that selects")
    return float(rows["value"].mean())  # type: ignore[arg-type]


def shortened(setting: experiment.Scenario) -> experiment.Scenario:
    """Return the setting whose stream ends with increment 2, with nothing to score but valid."""
    stream = setting.stream
    increments = tuple(
        replace(i, test=i.test.take(slice(0, 0)), upcoming=i.upcoming.take(slice(0, 0)))
        for i in stream.increments[: LAST + 1]
    )
    short: Stream = replace(stream, increments=increments, has_test=False)
    return replace(setting, stream=short, worlds=setting.worlds[: LAST + 1])


def _conclude(
    row: str,
    study: optuna.Study,
    default: dict[str, Any],
    metric: str,
    config: Config,
    compose: Compose,
    scene: Scene,
    command: str,
    progress: Progress,
) -> str:
    complete = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    if not complete:
        raise GnnrecError(f"every trial failed: {study.trials[0].user_attrs.get(FAILED, 'interrupted')}")
    first = next((t for t in complete if t.params == default), None)
    best = study.best_trial if first is None or study.best_value != first.value else first
    output, before = Path(config["output"]), None if first is None else first.value
    write_atomic(path := output / f"best-{row}.yaml", _best_yaml(row, best, metric, len(_ended(study))))
    jobs = [Job(f"{row}[default]", config)] if first else []
    if best.params != default:
        jobs.append(Job(f"{row}[best]", compose(overrides(best.params))))
    done = compare(jobs, scene, command, progress, LAST + 1, output / f"sweep-{row}")
    lines = [
        f"default: {_text(default)}: valid {metric} {'failed' if before is None else f'{before:.5f}'}",
        f"best of {counted(len(_ended(study)))}: {_text(best.params)}: valid {metric} {best.value:.5f}",
        "both numbers are of the events that chose it, and not tested",
        f"on the increments behind, t ≥ {LAST + 1}, the best setting is {_afterwards(done, row, metric)}",
        f"written to {path}; use it with {' '.join(overrides(best.params))}",
    ]
    return "\n".join([*lines, "", done.text, f"report: {done.path}"])


def _best_yaml(row: str, best: optuna.trial.FrozenTrial, metric: str, trials: int) -> str:
    what = f"best of {counted(trials)} by valid {metric} on increments 1 to {LAST}"
    head = f"# @package _global_\n# {row}: {what}, {best.value:.5f}\n"
    return f"{head}{yaml.safe_dump(tree(best.params), sort_keys=False)}"


def _afterwards(done: Report, row: str, metric: str) -> str:
    """Return how the best setting does on next increments that tuning has not seen, by the model alone."""
    rows = {r["strategy"]: r for r in done.summary.filter(scorer="model").iter_rows(named=True)}
    default, best = rows.get(f"{row}[default]"), rows.get(f"{row}[best]")
    if best is None:
        return "the default itself"
    if default is None or default[metric] is None or best[metric] is None:
        return f"alone: {metric} {number(best[metric], 5)} (the default failed)"
    tests, base = None, key_of(default)
    if metric in done.per_user.columns:
        models = done.per_user.filter(scorer="model")
        tests = significance.compare(models, metric, references=(), best=base, first=LAST + 1)
    elif metric == significance.ERROR and names_users(done.predictions):
        models = done.predictions.filter(scorer="model")
        tests = significance.compare_errors(models, references=(), best=base, first=LAST + 1)
    values = f"{number(best[metric], 5)} against {number(default[metric], 5)}"
    return f"{Verdicts(tests, metric).say(best, default)}, by {metric} of next: {values}"


def counted(trials: int) -> str:
    """Return how many trials, as it is said."""
    return f"{trials} trial{'' if trials == 1 else 's'}"


def _text(chosen: Mapping[str, Any]) -> str:
    return ", ".join(f"{k}={v:.5g}" if isinstance(v, float) else f"{k}={v}" for k, v in chosen.items())
