"""The command line: a thin layer over Hydra's compose. Torch is imported only by commands that need it."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from gnnrec.cli.exit import guarded
from gnnrec.config import options as conf
from gnnrec.config.compose import chosen, compose, expand
from gnnrec.core import resources
from gnnrec.core.errors import GnnrecError, nearest, one_line

if TYPE_CHECKING:
    from gnnrec.runs.folder import Job

HELP = """Compare ways to update a graph recommender as its data grows: quality and cost under one protocol.

commands:
  gnnrec compare experiment=quickstart            run every strategy of an experiment, print the table, write the report
  gnnrec run strategy=replay strategy.budget=2000 one run; -m sweeps a grid: strategy=fine_tune,replay seed=0,1
  gnnrec sweep strategy=replay sweep=replay       search hyper-parameters on increments 1 and 2, score the rest
  gnnrec report DIR...                            table and report again, from finished runs
  gnnrec recommend DIR --user ID -k 10            the list a run's newest model gives a user
  gnnrec data summary data=file data.path=FILE    what a log holds: counts, growth per increment, dirt
  gnnrec data ingest STORE FILE...                clean files into a new version of a store; then log, show, diff,
                                                  checkout, verify, gc, export, forget
  gnnrec new strategy NAME                        a plug-in to begin with (or: new encoder NAME): code, YAML, test
  gnnrec check my_conf/strategy/NAME.yaml         the contract of a plug-in, a line per test

your own log:
  gnnrec compare data=file data.path=log.csv data.columns.user=CustomerID data.columns.item=StockCode

Every command takes KEY=VALUE; `gnnrec run --help` lists the groups, `gnnrec run --cfg job` prints the configuration.
"""

Config = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 well, 1 a run failed, 2 bad input, 128 and a signal's number interrupted."""
    return guarded(_main, list(sys.argv[1:] if argv is None else argv))


def _main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP)
        return 0
    if arguments[0] == "--version":
        from gnnrec import __version__

        print(f"gnnrec {__version__}")
        return 0
    name, *rest = arguments
    commands = {
        "run": _run,
        "compare": _compare,
        "sweep": _sweep,
        "report": _report,
        "recommend": _recommend,
        "data": _data,
        "new": _new,
        "check": _check,
    }
    if name not in commands:
        raise GnnrecError(f"there is no command '{name}'{nearest(name, commands)}")
    resources.check_files()
    return commands[name](rest)


# Commands -------------------------------------------------------------------------------------------------------------


def _run(rest: list[str]) -> int:
    given = _parse("run", rest, "one run, or with -m a grid of them")
    if given is None:
        return 0
    _belongs_elsewhere(given.overrides, {"seeds": "seed=…", "strategies": "strategy=…"}, "run")
    grid = expand(given.overrides) if given.multirun else [given.overrides]
    composed = [(compose(overrides, given.config_dir), overrides) for overrides in grid]
    failed = 0
    for config, overrides in composed:
        try:
            _run_one(config, chosen("strategy", overrides, given.config_dir))
        except Exception as error:
            if len(grid) == 1 or os.environ.get("GNNREC_DEBUG"):
                raise
            failed += 1
            line = resources.explained("run", error) or one_line(str(error)) or repr(error)
            print(f"gnnrec: {' '.join(overrides)}: {line}", file=sys.stderr)
    return 1 if failed else 0


def _run_one(config: Config, row: str) -> None:
    _prepare(config)
    from gnnrec.cli.printing import announced
    from gnnrec.runs.build import scene
    from gnnrec.runs.compare import show
    from gnnrec.runs.folder import Job
    from gnnrec.runs.progress import Progress

    print(show(Job(row, config), announced(scene(config)), Progress()))


def _compare(rest: list[str]) -> int:
    given = _parse("compare", rest, "every strategy and seed of an experiment")
    if given is None:
        return 0
    instead = {
        "seed": "seeds=[…]",
        "strategy": "strategies=[…]",
        "strategy.": "strategies=[{replay: {budget: 5000}}] for a strategy's parameters",
    }
    _belongs_elsewhere(given.overrides, instead, "compare")
    config = compose(given.overrides, given.config_dir)
    jobs = _jobs(config, given.overrides, given.config_dir)
    _prepare(config)
    from gnnrec.cli.printing import announced
    from gnnrec.runs.build import scene
    from gnnrec.runs.compare import compare
    from gnnrec.runs.progress import Progress

    done = compare(jobs, announced(scene(config)), _typed("compare", rest), Progress())
    print(f"{done.text}\nreport: {done.path}")
    for line in done.failed:
        print(f"gnnrec: {line}", file=sys.stderr)
    return 1 if done.failed else 0


def _sweep(rest: list[str]) -> int:
    given = _parse("sweep", rest, "search hyper-parameters of one strategy")
    if given is None:
        return 0
    _belongs_elsewhere(given.overrides, {"strategies": "strategy=…"}, "sweep")
    config = compose(given.overrides, given.config_dir)
    _prepare(config)
    from gnnrec.cli.printing import announced
    from gnnrec.runs.build import scene
    from gnnrec.runs.progress import Progress
    from gnnrec.runs.sweep import sweep

    row = chosen("strategy", given.overrides, given.config_dir)

    def composed(more: list[str]) -> Config:
        return compose([*given.overrides, *more], given.config_dir)

    print(sweep(row, config, composed, announced(scene(config)), _typed("sweep", rest), Progress()))
    return 0


def _report(rest: list[str]) -> int:
    parser = _Parser(prog="gnnrec report", description="Table, figures and report from finished runs.")
    parser.add_argument("folders", nargs="+", metavar="DIR", type=Path, help="output folders, or folders of runs")
    parser.add_argument("--allow", action="append", default=[], metavar="PREFIX", help="plug-ins the runs may import")
    given = parser.parse_args(rest)
    from gnnrec.runs.progress import Progress
    from gnnrec.runs.report import rebuild

    done = rebuild(given.folders, _typed("report", rest), Progress(), given.allow)
    print(f"{done.text}\nreport: {done.path}")
    return 0


def _recommend(rest: list[str]) -> int:
    parser = _Parser(prog="gnnrec recommend", description="The list a run's newest model gives a user.")
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder of a run")
    parser.add_argument("--user", required=True, help="external id")
    parser.add_argument("-k", type=int, default=10, help="length of the list (default 10)")
    parser.add_argument("--scorer", default="blend", choices=("model", "blend"))
    parser.add_argument("--allow", action="append", default=[], metavar="PREFIX", help="plug-ins the run may import")
    given = parser.parse_args(rest)
    from gnnrec.serving.recommend import recommend

    print(recommend(given.folder, given.user, given.k, given.scorer, given.allow))
    return 0


def _new(rest: list[str]) -> int:
    from gnnrec.cli import new

    return new.run(_Parser(prog="gnnrec new"), rest)


def _check(rest: list[str]) -> int:
    from gnnrec.cli import check

    return check.run(_Parser(prog="gnnrec check"), rest)


def _data(rest: list[str]) -> int:
    from gnnrec.cli import data

    if rest and rest[0] in ("-h", "--help", "help"):
        print(data.HELP)
        return 0
    known = ("summary", "ingest", *data.ACTIONS)
    if not rest or rest[0] not in known:
        raise GnnrecError(f"gnnrec data needs an action{nearest(rest[0] if rest else '', known)}")
    parser = _Parser(prog=f"gnnrec data {rest[0]}", description=data.ABOUT[rest[0]], allow_abbrev=False)
    if rest[0] == "ingest":
        return data.run_ingest(parser, rest[1:], lambda overrides: dict(compose(overrides)["data"]))
    if rest[0] in data.ACTIONS:
        return data.ACTIONS[rest[0]](parser, rest[1:])
    given = _parse("data summary", rest[1:], "what a log holds")
    if given is None:
        return 0
    config = compose(given.overrides, given.config_dir)
    from gnnrec.data.summary import summarise
    from gnnrec.quality import increments
    from gnnrec.runs.build import load

    dataset, stream = load(config)
    print(summarise(dataset, stream, increments.as_text(increments.per_increment(stream, dataset.reports))))
    return 0


# Configuration --------------------------------------------------------------------------------------------------------


def _jobs(config: Config, overrides: list[str], extra: Path | None) -> list[Job]:
    """Return the jobs of a comparison, one per listed strategy and seed."""
    from gnnrec.runs.folder import Job

    chosen = [_strategy(entry, conf.groups(extra)["strategy"]) for entry in config["strategies"]]
    names = [name for name, _ in chosen]
    plain = [o for o in overrides if not o.startswith(("strategy=", "seed="))]
    jobs = []
    for name, parameters in chosen:
        settings = conf.overrides(parameters, "strategy.")
        several = names.count(name) > 1 and parameters
        row = f"{name}[{','.join(s.removeprefix('strategy.') for s in settings)}]" if several else name
        own = [*plain, f"strategy={name}", *settings]
        jobs += [Job(row, compose([*own, f"seed={seed}"], extra)) for seed in config["seeds"]]
    return jobs


def _strategy(entry: Any, known: list[str]) -> tuple[str, Mapping[str, Any]]:
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


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        """Raise what the command line prints."""
        raise GnnrecError(f"{self.prog.removeprefix('gnnrec ')}: {message}; see {self.prog} --help")


def _belongs_elsewhere(overrides: Sequence[str], instead: Mapping[str, str], command: str) -> None:
    """Refuse keys that this command would ignore."""
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        right = instead.get(key) or next((v for k, v in instead.items() if k.endswith(".") and key.startswith(k)), None)
        if right:
            raise GnnrecError(f"{key}= does nothing in `gnnrec {command}`; it takes {right}")


def _parse(command: str, rest: list[str], what: str) -> argparse.Namespace | None:
    """Return flags and overrides; None where help or the configuration was printed."""
    parser = _Parser(prog=f"gnnrec {command}", add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("-m", "--multirun", action="store_true")
    parser.add_argument("-cd", "--config-dir", type=Path)
    parser.add_argument("--cfg", choices=("job",))
    given = parser.parse_intermixed_args(rest)
    if given.multirun and command != "run":
        raise GnnrecError(f"-m belongs to `gnnrec run`; `gnnrec {command}` has no grid")
    if given.config_dir and not given.config_dir.is_dir():
        raise GnnrecError(f"--config-dir {given.config_dir} is not a folder")
    if given.help:
        print(_help(command, what, given.config_dir))
        return None
    if given.cfg:
        import yaml

        print(yaml.safe_dump(compose(given.overrides, given.config_dir), sort_keys=False, allow_unicode=True))
        return None
    return given


def _help(command: str, what: str, extra: Path | None) -> str:
    lines = [f"gnnrec {command} [KEY=VALUE ...]  {what}", "", "groups (GROUP=OPTION):"]
    lines += [f"  {group:<12} {', '.join(options)}" for group, options in conf.groups(extra).items()]
    lines += [
        "",
        "keys: name, seed, seeds, strategies, output, resume, threads, state.keep, plugins.allow, those of the groups",
        "  -m, --multirun     a grid: strategy=fine_tune,replay seed=range(0,3)",
        "  -cd, --config-dir  a folder of your own with the same groups",
        "  --cfg job          print the configuration and stop",
    ]
    return "\n".join(lines)


def _prepare(config: Config) -> None:
    """Set what belongs to the process."""
    import torch

    from gnnrec.core import allocator

    allocator.retain_large_blocks()
    if config["threads"]:
        torch.set_num_threads(int(config["threads"]))


def _typed(command: str, rest: Sequence[str]) -> str:
    return shlex.join(["gnnrec", command, *rest])


if __name__ == "__main__":
    sys.exit(main())
