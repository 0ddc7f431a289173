"""The runs that a command asks for, each composed and checked before the first is paid for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnnrec.config import options as conf
from gnnrec.config.compose import Config, chosen, compose
from gnnrec.config.typed import key_of
from gnnrec.core.errors import GnnrecError, nearest, one_line

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
    """Return the runs of a comparison, one per listed strategy and seed, all of which can be built; repeats once."""
    from gnnrec.runs.job import Job
    from gnnrec.runs.ready import ready

    plain = [o for o in overrides if key_of(o) not in ("strategy", "seed", "seeds", "strategies")]
    seeds = _once("seeds", config["seeds"], say)
    jobs = []
    for row, own in _rows(config, extra, say).items():
        jobs += [Job(row, compose([*plain, *own, f"seed={seed}"], extra)) for seed in seeds]
    for job in jobs:
        ready(job.config)
    return jobs


def _rows(config: Config, extra: Path | None, say: Say) -> dict[str, list[str]]:
    """Return row → overrides; rows of one strategy are named by their parameters."""
    known = conf.groups(extra)["strategy"]
    entries = [_strategy(entry, known) for entry in _once("strategies", config["strategies"], say)]
    names = [name for name, _ in entries]
    rows = {}
    for name, parameters in entries:
        settings = conf.overrides(parameters, "strategy.")
        several = names.count(name) > 1 and parameters
        row = f"{name}[{','.join(s.removeprefix('strategy.') for s in settings)}]" if several else name
        rows[row] = [f"strategy={name}", *settings]
    return rows


def _strategy(entry: Any, known: Sequence[str]) -> tuple[str, Mapping[str, Any]]:
    """Return (name, parameters) of an entry of `strategies`: a name, or {name: {parameter: value}}."""
    if isinstance(entry, Mapping) and len(entry) == 1:
        ((name, parameters),) = entry.items()
    else:
        name, parameters = entry, {}
    if not isinstance(parameters or {}, Mapping):
        raise GnnrecError(f"strategies: {name} needs {{parameter: value}}, got {one_line(str(parameters))}")
    if name not in known:
        raise GnnrecError(f"there is no strategy '{one_line(str(name))}'{nearest(str(name), known)}")
    return str(name), parameters or {}


def _once(key: str, entries: Sequence[Any], say: Say) -> list[Any]:
    """Return the entries without those that are there already, and say which."""
    kept: dict[str, Any] = {}
    for entry in entries:
        same = json.dumps({entry: None} if isinstance(entry, str) else entry, sort_keys=True, default=str)
        if same in kept:
            say(f"{key}: {one_line(str(entry))} is listed twice, run once")
        kept.setdefault(same, entry)
    return list(kept.values())


def _content(job: Job) -> str:
    return json.dumps([job.row, job.config], sort_keys=True, default=str)
