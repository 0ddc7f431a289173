"""Search hyper-parameters with Optuna on increments 1 and 2, then score the best setting on the rest of the stream.

The study lies in SQLite under the output folder and is continued when started again; trial 0 is the configured setting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import polars as pl
import yaml

from gnnrec import build, experiment
from gnnrec.build import Config, Scene
from gnnrec.compare import compare
from gnnrec.data.types import Stream
from gnnrec.errors import GnnrecError, nearest
from gnnrec.evaluation.record import Name
from gnnrec.files import write_atomic
from gnnrec.progress import Progress
from gnnrec.runs import Job, base_state
from gnnrec.seeds import derive

Compose = Callable[[list[str]], Config]
LAST = 2
"""Tuning sees increments up to this one (PROTOCOL rule 15); means are taken from the one after on."""
MAXIMISED = {"ndcg@20": True, "mse": False}


def sweep(row: str, config: Config, compose: Compose, scene: Scene, command: str, progress: Progress) -> str:
    """Search, write the best setting, score it and the configured one on the rest, and return what to print.

    Args:
        row: the strategy's name.
        config: as configured, with the search space under `sweep`.
        compose: maps further overrides to a configuration.
        scene: data and stream.
        command: what was typed.
        progress: where to show it.
    """
    space, metric, trials = config["sweep"]["space"], str(config["sweep"]["metric"]), int(config["sweep"]["trials"])
    if metric not in MAXIMISED:
        raise GnnrecError(f"sweep.metric={metric} is not known{nearest(metric, MAXIMISED)}")
    if len(scene.setting.stream.increments) <= LAST + 1:
        raise GnnrecError(f"a sweep needs increments behind {LAST}; the stream ends at {LAST} or before")
    default = {key: _value(config, key) for key in space}
    study = _study(row, config, metric, default, progress)
    short = Scene(scene.dataset, _shortened(scene.setting))
    while (done := _finished(study)) < trials:
        trial = study.ask()
        chosen = {key: _suggest(trial, key, limits) for key, limits in space.items()}
        study.tell(trial, _score(row, compose(_overrides(chosen)), scene, short, metric, progress))
        progress.say(
            f"trial {done + 1} of {trials}: {_text(chosen)}: valid {metric} {study.trials[trial.number].value:.5f}"
        )
    return _conclude(row, study, default, metric, config, compose, scene, command, progress)


def _study(row: str, config: Config, metric: str, default: dict[str, Any], progress: Progress) -> optuna.Study:
    """Return the study, new or continued; trials that a kill left running are put back in the queue."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    output = Path(config["output"])
    output.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=row,
        storage=f"sqlite:///{output / f'sweep-{row}.db'}",
        direction="maximize" if MAXIMISED[metric] else "minimize",
        load_if_exists=True,
    )
    count = len(study.trials)
    study.sampler = optuna.samplers.TPESampler(seed=derive(int(config["seed"]), "sweep", count) % 2**32)
    if not count:
        study.enqueue_trial(default)
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(trial.params or default)
    if count:
        progress.say(f"continuing a sweep with {_finished(study)} finished trials")
    return study


def _finished(study: optuna.Study) -> int:
    return len(study.get_trials(states=(optuna.trial.TrialState.COMPLETE,)))


def _suggest(trial: optuna.Trial, key: str, limits: Mapping[str, Any]) -> Any:
    """Return the trial's value for a key of the space: {choices: […]} or {low, high, log, type: int|float}."""
    if "choices" in limits:
        return trial.suggest_categorical(key, list(limits["choices"]))
    log = bool(limits.get("log", False))
    if limits.get("type") == "int":
        return trial.suggest_int(key, int(limits["low"]), int(limits["high"]), log=log)
    return trial.suggest_float(key, float(limits["low"]), float(limits["high"]), log=log)


def _score(row: str, config: Config, scene: Scene, short: Scene, metric: str, progress: Progress) -> float:
    """Return the mean valid metric of increments 1 and 2 of a run on the shortened stream."""
    job = Job(row, config)
    base = base_state(job, scene, progress)
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


def _shortened(setting: experiment.Setting) -> experiment.Setting:
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
    best, first = study.best_trial, study.trials[0]
    output = Path(config["output"])
    path = output / f"best-{row}.yaml"
    write_atomic(path, "# @package _global_\n" + yaml.safe_dump(_nested(best.params), sort_keys=False))
    lines = [
        f"default: {_text(default)}: valid {metric} {first.value:.5f}",
        f"best of {_finished(study)} trials: {_text(best.params)}: valid {metric} {best.value:.5f} "
        f"({_verdict(first.value, best.value, MAXIMISED[metric])} than the default on the valid events "
        f"of increments 1-{LAST})",
        f"written to {path}",
    ]
    jobs = [Job(f"{row}[default]", config)]
    if best.params != default:
        jobs.append(Job(f"{row}[best]", compose(_overrides(best.params))))
    done = compare(jobs, scene, command, progress, first=LAST + 1)
    return "\n".join([*lines, "", f"on the increments behind, t ≥ {LAST + 1}:", done.text, f"report: {done.path}"])


def _verdict(default: float | None, best: float | None, maximised: bool) -> str:
    assert default is not None
    assert best is not None
    if best == default:
        return "equal: no better"
    return "better" if (best > default) == maximised else "worse"


def _value(config: Config, key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise GnnrecError(f"sweep.space names '{key}', which is no key of this configuration")
        value = value[part]
    return value


def _overrides(chosen: Mapping[str, Any]) -> list[str]:
    return [f"{key}={value}" for key, value in chosen.items()]


def _nested(chosen: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in chosen.items():
        *path, name = key.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[name] = value
    return tree


def _text(chosen: Mapping[str, Any]) -> str:
    return ", ".join(f"{k}={v:.5g}" if isinstance(v, float) else f"{k}={v}" for k, v in chosen.items())
