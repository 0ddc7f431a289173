"""The command line: a thin layer over Hydra's compose. Torch is imported only by commands that need it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from gnnrec.cli import finished, live, runs, serving, train
from gnnrec.cli.exit import guarded
from gnnrec.cli.parse import Parser, parse
from gnnrec.cli.reproduce import reproduce
from gnnrec.config.compose import compose
from gnnrec.core import resources
from gnnrec.core.errors import GnnrecError, nearest, one_line

HELP = """Compare ways to update a graph recommender as its data grows: quality and cost under one protocol.

commands:
  gnnrec compare experiment=quickstart            run every strategy of an experiment, print the table, write the report
                                                  launcher=processes: on all cores; launcher.wait=false: at once back
  gnnrec run strategy=replay strategy.budget=2000 one run; -m a grid with one table: strategy=fine_tune,replay seed=0,1
  gnnrec sweep strategy=replay sweep=replay       search hyper-parameters on increments 1 and 2, score the rest
  gnnrec report DIR...                            table and report again, from finished runs; --latex; --against OTHER;
                                                  --index DIR ranks the rows of all comparisons below DIR
  gnnrec runs DIR                                 the runs below a folder; gnnrec diff RUN RUN: how two of them differ
  gnnrec results DIR                              a table of a run or comparison as CSV; --table per_user, --output FILE.parquet
  gnnrec reproduce RUN                            make a run again: bit-identical, or what differs first and why
  gnnrec recommend DIR --user ID -k 10            the lists that what a run serves gives: --users FILE, --all, --output FILE
  gnnrec update STORE RUN                         bring a run's model up to its store's newest version, if it is no worse
  gnnrec status RUN                               what serves, what was decided and why, what waits; of an output folder:
                                                  which of its runs are done, running, waiting, failed; of a
                                                  sweep: its trials, the best so far, what goes on with it
  gnnrec rollback RUN --to N                      let an older champion serve again
  gnnrec export RUN                               what serves as a bundle: --since N, --lists FILE.parquet, --index faiss
  gnnrec serve RUN                                answer over HTTP from the bundle; updates take its place without a gap
  gnnrec data summary data=file data.path=FILE    what a log holds: counts, growth per increment, dirt
  gnnrec data ingest STORE FILE...                clean files into a new version of a store; then log, show, diff,
                                                  checkout, verify, gc, forget, prove
  gnnrec data export SOURCE OUT --as recbole      a store or log for RecBole, LensKit, RecTools, PyG, as a Delta table
  gnnrec new strategy NAME                        a plug-in to begin with (or: new encoder NAME): code, YAML, test
  gnnrec check my_conf/strategy/NAME.yaml         the contract of a plug-in, a line per test
  gnnrec leakcheck RUN                            does it know the future? also a model from outside: package.module:Name

your own log:
  gnnrec compare data=file data.path=log.csv data.columns.user=CustomerID data.columns.item=StockCode

run, compare, sweep and data take KEY=VALUE: `gnnrec run --help` lists the groups, `gnnrec run --cfg job` prints the
configuration. Exit codes: 0 well, 1 some runs failed, 2 bad input, 128 and a signal's number interrupted.
"""


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
        "run": train.run,
        "compare": train.compare,
        "sweep": train.sweep,
        "report": finished.report,
        "runs": runs.runs,
        "results": _results,
        "diff": runs.diff,
        "reproduce": reproduce,
        "recommend": finished.recommend,
        "update": live.update,
        "rollback": live.rollback,
        "status": live.status,
        "export": serving.export,
        "serve": serving.serve,
        "data": _data,
        "new": _new,
        "check": _check,
        "leakcheck": _leakcheck,
    }
    if name not in commands:
        raise GnnrecError(f"there is no command '{name}'{nearest(name, commands)}")
    resources.check_files()
    return commands[name](rest)


def _new(rest: list[str]) -> int:
    from gnnrec.cli import new

    return new.run(Parser(prog="gnnrec new"), rest)


def _check(rest: list[str]) -> int:
    from gnnrec.cli import check

    return check.run(Parser(prog="gnnrec check"), rest)


def _leakcheck(rest: list[str]) -> int:
    from gnnrec.cli import leakcheck

    return leakcheck.run(rest)


def _results(rest: list[str]) -> int:
    from gnnrec.cli import interop

    return interop.results(rest)


def _data(rest: list[str]) -> int:
    from gnnrec.cli import data

    if rest and rest[0] in ("-h", "--help", "help"):
        print(data.HELP)
        return 0
    known = ("summary", "ingest", "export", *data.ACTIONS)
    if not rest or rest[0] not in known:
        asked = f"there is no action '{one_line(rest[0])}'" if rest else "an action is missing"
        raise GnnrecError(f"data: {asked}{nearest(rest[0] if rest else '', known)}")
    parser = Parser(prog=f"gnnrec data {rest[0]}", description=data.ABOUT[rest[0]], allow_abbrev=False)
    if rest[0] == "ingest":
        return data.run_ingest(parser, rest[1:], lambda overrides: dict(compose(overrides)["data"]))
    if rest[0] == "export":
        from gnnrec.cli import interop

        return interop.run_export(parser, rest[1:], compose)
    if rest[0] in data.ACTIONS:
        return data.ACTIONS[rest[0]](parser, rest[1:])
    given = parse("data summary", rest[1:], "what a log holds")
    if given is None:
        return 0
    config = compose(given.overrides, given.config_dir)
    from gnnrec.data.summary import summarise
    from gnnrec.quality import increments
    from gnnrec.runs.build import load

    dataset, stream = load(config)
    print(summarise(dataset, stream, increments.as_text(increments.per_increment(stream, dataset.reports))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
