"""The runs that a command asks for, each composed and checked before the first is paid for."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnnrec.config import options as conf
from gnnrec.config.compose import Config, chosen, compose
from gnnrec.config.listed import entry
from gnnrec.config.typed import key_of
from gnnrec.core.errors import one_line

if TYPE_CHECKING:
    from gnnrec.runs.job import Job

Say = Callable[[str], None]


def of_grid(grid: Sequence[Sequence[str]], extra: Path | None, say: Say) -> list[tuple[str, Job]]:
    """Return what is typed for each run of a grid and the run, all of which can be built; one that is named twice once."""
    from gnnrec.runs.job import Job
    from gnnrec.runs.ready import ready

    found: dict[str, tuple[str, Job]] = {}
    for typed in grid:
        job = Job(chosen("strategy", typed, extra), compose(typed, extra))
        ready(job.config)
        if (same := _content(job)) in found:
            say(f"{' '.join(typed)}: the same run as {found[same][0]}, made once")
        else:
            found[same] = " ".join(typed), job
    return list(found.values())


def of_comparison(config: Config, overrides: Sequence[str], extra: Path | None, say: Say) -> list[Job]:
    """Return the runs of a comparison, one per listed strategy, policy and seed, all of which can be built; repeats once."""
    from gnnrec.runs.job import Job
    from gnnrec.runs.ready import ready

    plain = [o for o in overrides if key_of(o) not in ("strategy", "seed", "seeds", "strategies", "policy", "policies")]
    seeds = _once("seeds", config["seeds"], say)
    jobs = []
    for row, own in _rows(config, extra, say).items():
        jobs += [Job(row, compose([*plain, *own, f"seed={seed}"], extra)) for seed in seeds]
    for job in jobs:
        ready(job.config)
    return jobs


def _rows(config: Config, extra: Path | None, say: Say) -> dict[str, list[str]]:
    """Return row → overrides, each strategy under each policy; with every increment: under the strategy's name."""
    strategies = _listed("strategies", "strategy", config, extra, say)
    policies = _listed("policies", "policy", config, extra, say)
    return {
        row if policy == "every" else f"{row}, {policy}": [*own, *when]
        for row, own in strategies.items()
        for policy, when in policies.items()
    }


def _listed(key: str, group: str, config: Config, extra: Path | None, say: Say) -> dict[str, list[str]]:
    """Return name → overrides of a list's entries; those of one option are named by their parameters."""
    known = conf.groups(extra)[group]
    entries = [entry(given, key, group, known) for given in _once(key, config[key], say)]
    names = [name for name, _ in entries]
    rows = {}
    for name, parameters in entries:
        settings = conf.overrides(parameters, f"{group}.")
        several = names.count(name) > 1 and parameters
        row = f"{name}[{','.join(s.removeprefix(f'{group}.') for s in settings)}]" if several else name
        rows[row] = [f"{group}={name}", *settings]
    return rows


def _once(key: str, entries: Sequence[Any], say: Say) -> list[Any]:
    """Return the entries without those that are there already, and say which."""
    kept: dict[str, Any] = {}
    for given in entries:
        same = json.dumps({given: None} if isinstance(given, str) else given, sort_keys=True, default=str)
        if same in kept:
            say(f"{key}: {one_line(str(given))} is listed twice, run once")
        kept.setdefault(same, given)
    return list(kept.values())


def _content(job: Job) -> str:
    return json.dumps([job.row, job.config], sort_keys=True, default=str)
