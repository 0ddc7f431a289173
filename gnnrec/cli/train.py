"""`gnnrec run`, `compare` and `sweep`: check everything that can be checked, then read the data, then train."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gnnrec.cli.parse import belongs_elsewhere, parse
from gnnrec.cli.ranks import as_ranks
from gnnrec.config.compose import chosen, compose, expand
from gnnrec.config.typed import key_of

if TYPE_CHECKING:
    from gnnrec.runs.build import Config, Scene


def run(rest: Sequence[str]) -> int:
    """Run one strategy under one seed, or with -m a grid of runs."""
    given = parse("run", rest, "one run, or with -m a grid of them")
    if given is None:
        return 0
    if (ended := as_ranks("run", rest, given)) is not None:
        return ended
    belongs_elsewhere(given.overrides, {"seeds": "seed=…", "strategies": "strategy=…", "policies": "policy=…"}, "run")
    grid = expand(given.overrides, given.config_dir) if given.multirun else [given.overrides]
    config = compose(grid[0], given.config_dir)
    if len(grid) > 1:
        _note(f"a grid of {len(grid):,} runs: checking each")
    else:
        _note(f"{config['name']}: {chosen('strategy', grid[0], given.config_dir)}, seed {config['seed']}")
    from gnnrec.cli.jobs import of_grid
    from gnnrec.launching.base import launcher_of
    from gnnrec.runs.compare import show
    from gnnrec.runs.grid import groups, run_all
    from gnnrec.runs.progress import Progress

    jobs = of_grid(grid, given.config_dir, _note)
    launcher = launcher_of(config)
    prepare(config)
    if not launcher.wait:
        for group in groups(jobs):
            print(launcher.leave([job for _, job in group], _scene(group[0][1].config), Progress()))
        return 0
    if len(grid) == 1:
        job = jobs[0][1]
        print(show(job, _scene(job.config), Progress(), launcher.launch))
        return 0
    done = run_all(jobs, _scene, Progress(), launcher.launch)
    return _shown(done.text, done.failed)


def compare(rest: Sequence[str]) -> int:
    """Run every strategy and seed of an experiment and write the report."""
    given = parse("compare", rest, "every strategy and seed of an experiment")
    if given is None:
        return 0
    if (ended := as_ranks("compare", rest, given)) is not None:
        return ended
    instead = {
        "seed": "seeds=[…]",
        "strategy": "strategies=[…]",
        "policy": "policies=[…]",
        "policy.": "policies=[{every_n: {n: 4}}] for a policy's parameters",
        "strategy.": "strategies=[{replay: {budget: 5000}}] for a strategy's parameters",
    }
    belongs_elsewhere(given.overrides, instead, "compare")
    config = compose(given.overrides, given.config_dir)
    _note(f"{config['name']}: {_counted(config, 'strategies')}, {_counted(config, 'seeds')}")
    from gnnrec.cli.jobs import of_comparison
    from gnnrec.launching.base import launcher_of
    from gnnrec.runs.compare import check_any, check_jobs
    from gnnrec.runs.compare import compare as run_comparison
    from gnnrec.runs.progress import Progress

    jobs = of_comparison(config, given.overrides, given.config_dir, _note)
    launcher = launcher_of(config)
    prepare(config)
    if not launcher.wait:
        check_any(jobs)
        scene = _scene(config)
        check_jobs(jobs, scene)
        print(launcher.leave(jobs, scene, Progress()))
        return 0
    done = run_comparison(jobs, _scene(config), typed("compare", rest), Progress(), launch=launcher.launch)
    return _shown(f"{done.text}\nreport: {done.path}", done.failed)


def sweep(rest: Sequence[str]) -> int:
    """Search hyper-parameters of one strategy."""
    given = parse("sweep", rest, "search hyper-parameters of one strategy")
    if given is None:
        return 0
    if (ended := as_ranks("sweep", rest, given)) is not None:
        return ended
    instead = {"strategies": "strategy=…", "seeds": "seed=… or sweep.seeds=[…]", "policies": "policy=…"}
    belongs_elsewhere(given.overrides, instead, "sweep")
    config = compose(given.overrides, given.config_dir)
    row = chosen("strategy", given.overrides, given.config_dir)
    from gnnrec.launching.base import launcher_of
    from gnnrec.runs.progress import Progress
    from gnnrec.runs.ready import ready
    from gnnrec.sweeping.launched import check_waits, crew_of
    from gnnrec.sweeping.plan import plan_of
    from gnnrec.sweeping.sweep import sweep as search

    def composed(more: list[str]) -> Config:
        # An option that was typed gives way to one that a trial chooses: a group may be named only once.
        keys = {key_of(o) for o in more}
        return compose([*(o for o in given.overrides if key_of(o) not in keys), *more], given.config_dir)

    ready(config)
    plan = plan_of(row, config, composed, lambda group: chosen(group, given.overrides, given.config_dir))
    _note(f"{config['name']}: {row}, {plan.wanted} trial{'' if plan.wanted == 1 else 's'}")
    launcher, progress = launcher_of(config), Progress()
    check_waits(launcher)
    prepare(config)
    scene = _scene(config)
    print(search(plan, scene, typed("sweep", rest), progress, crew_of(launcher, scene, progress), launcher.launch))
    return 0


def _shown(text: str, failed: Sequence[str]) -> int:
    """Print what was found and which runs failed, and return the exit code."""
    print(text)
    for line in failed:
        print(f"gnnrec: {line}", file=sys.stderr)
    return 1 if failed else 0


def typed(command: str, rest: Sequence[str]) -> str:
    """Return a command as it was typed."""
    return shlex.join(["gnnrec", command, *rest])


def _scene(config: Config) -> Scene:
    from gnnrec.cli.printing import announced
    from gnnrec.runs.build import scene

    _note(f"reading {config['data'].get('name')}")
    return announced(scene(config))


def prepare(config: Config) -> None:
    """Set what belongs to the process."""
    import torch

    from gnnrec.core import allocator

    allocator.retain_large_blocks()
    if config["threads"]:
        torch.set_num_threads(int(config["threads"]))


def _counted(config: Config, key: str) -> str:
    count = len(config[key])
    one = {"strategies": "strategy", "seeds": "seed"}[key]
    return f"{count} {one if count == 1 else key}"


def _note(text: str) -> None:
    """Say what is about to happen."""
    print(text, file=sys.stderr, flush=True)
