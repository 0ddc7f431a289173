"""`gnnrec runs` and `diff`: what lies in a folder, and how two runs differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gnnrec.cli.parse import Parser


def runs(rest: Sequence[str]) -> int:
    """Print the runs below a folder."""
    parser = Parser(prog="gnnrec runs", description="The runs below a folder, a line each.", allow_abbrev=False)
    parser.add_argument("folder", type=Path, metavar="DIR", help="such as runs")
    given = parser.parse_args(rest)
    from gnnrec.reporting import terminal
    from gnnrec.reporting.listing import listed

    found = listed(given.folder)
    print(terminal.plain(found), end="")
    print(f"{found.height} run{'' if found.height == 1 else 's'}")
    return 0


def diff(rest: Sequence[str]) -> int:
    """Print how two runs differ."""
    parser = Parser(
        prog="gnnrec diff",
        description="How two runs differ: configuration, data, code, environment, device, threads; and what came of it.",
        allow_abbrev=False,
    )
    parser.add_argument("one", type=Path, metavar="A", help="folder of a run")
    parser.add_argument("other", type=Path, metavar="B", help="folder of another")
    given = parser.parse_args(rest)
    from gnnrec.runs.again.differences import differences
    from gnnrec.runs.saved import one

    print("\n".join(differences(one(given.one), one(given.other))))
    return 0
