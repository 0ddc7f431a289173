"""`gnnrec report` and `recommend`: what finished runs give."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from gnnrec.cli.parse import Parser
from gnnrec.cli.serving import serving
from gnnrec.cli.train import typed
from gnnrec.core.errors import GnnrecError

VECTORS = ("svg", "pdf")
"""What figures are written as for a paper."""


def report(rest: Sequence[str]) -> int:
    """Write table, figures and report again."""
    parser = Parser(
        prog="gnnrec report", description="Table, figures and report from finished runs.", allow_abbrev=False
    )
    parser.add_argument("folders", nargs="+", metavar="DIR", type=Path, help="output folders, or folders of runs")
    parser.add_argument(
        "--index", action="store_true", help="rank the rows of all comparisons below DIR instead: DIR/index.html"
    )
    parser.add_argument("--latex", action="store_true", help="write every table as LaTeX too: tables/*.tex")
    parser.add_argument(
        "--figures",
        action="append",
        default=[],
        choices=VECTORS,
        help="write every figure as SVG or PDF too, as wide as one or two columns of a paper; may be given again",
    )
    _add_shared(parser)
    parser.add_argument(
        "--against",
        type=Path,
        metavar="OTHER",
        help="set the comparison in DIR against another one on the same data instead",
    )
    given = parser.parse_args(rest)
    if given.index:
        return _index(given.folders)
    if given.against is not None:
        return _against(given.folders, given.against, given.latex)
    from gnnrec.runs.progress import Progress
    from gnnrec.runs.report import rebuild

    done = rebuild(
        given.folders, typed("report", rest), Progress(), given.allow, given.data, given.latex, given.figures
    )
    print(f"{done.text}\nreport: {done.path}")
    return 0


def _index(folders: Sequence[Path]) -> int:
    """Print and write the rankings of all comparisons below a folder."""
    if len(folders) > 1:
        raise GnnrecError(f"--index takes one folder, and {len(folders)} were given: name the one that holds them")
    from gnnrec.reporting import leaderboard

    found = leaderboard.boards(folders[0])
    print("\n\n".join(board.text() for board in found))
    leaderboard.write(path := folders[0] / "index.html", found)
    print(f"\npage: {path}")
    return 0


def _against(folders: Sequence[Path], other: Path, latex: bool) -> int:
    """Print and write how the rows of two comparisons differ."""
    if len(folders) > 1:
        raise GnnrecError(f"--against takes one folder beside it, and {len(folders)} were given")
    from gnnrec.reporting import exports, terminal
    from gnnrec.reporting.against import against

    found = against(folders[0], other)
    print(terminal.printed([found.heads, *found.rows]))
    print("\n".join(found.notes))
    paths = exports.write(folders[0], [found], latex)
    print(f"\ntable: {paths[0]}")
    return 0


def recommend(rest: Sequence[str]) -> int:
    """Print the lists that what a run serves gives users, or write them to a file."""
    parser = Parser(
        prog="gnnrec recommend",
        description="The lists that what a run serves gives users: its champion where it is kept up to date, else its newest "
        "model.",
        allow_abbrev=False,
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder of a run")
    parser.add_argument("--user", action="append", default=[], metavar="ID", help="external id; may be given again")
    parser.add_argument("--users", metavar="FILE", help="file with an external id per line, - for standard input")
    parser.add_argument("--all", action="store_true", help="every user that the model knows")
    parser.add_argument("-k", type=int, default=10, help="length of a list (default 10)")
    parser.add_argument("--scorer", default="blend", choices=("model", "blend"))
    parser.add_argument("--output", metavar="FILE", type=Path, help="write .csv, .tsv or .parquet instead of printing")
    _add_shared(parser)
    given = parser.parse_args(rest)
    if not given.user and not given.users and not given.all:
        raise GnnrecError("recommend: whose list? give --user ID, --users FILE or --all")
    users = [*given.user, *(_ids(given.users) if given.users else [])]
    from gnnrec.runs.saved import one
    from gnnrec.serving.lists import as_text, check_target, written
    from gnnrec.serving.recommend import check_length, lists

    check_target(given.output)
    check_length(given.k)
    served = serving(one(given.folder), given.allow, given.data)
    made = lists(served.learner, served, None if given.all else users, given.k, given.scorer)
    for line in made.notes:
        print(line, file=sys.stderr)
    print(written(made, given.output) if given.output else as_text(made))
    return 0


def _add_shared(parser: Parser) -> None:
    parser.add_argument("--allow", action="append", default=[], metavar="PREFIX", help="plug-ins a run may import")
    parser.add_argument(
        "--data", action="append", default=[], metavar="PATH", help="where the log or store lies now, if it has moved"
    )


def _ids(name: str) -> list[str]:
    """Return the ids of a file, one a line."""
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise GnnrecError(
            f"--users {name} cannot be read: {error.strerror}; name a file with an id per line"
        ) from error
    except ValueError as error:
        raise GnnrecError(f"--users {name} is not UTF-8 text; save it as UTF-8, an id per line") from error
    found = [line for line in text.split("\n") if line.strip()]
    if not found:
        raise GnnrecError(f"--users {name} names no user")
    return [line.removesuffix("\r") for line in found]
