"""`gnnrec leakcheck`: does a run's configuration, or a model from outside, know what it should not?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gnnrec.cli.parse import Parser
from gnnrec.core.errors import GnnrecError

ABOUT = """Play a model on a log and on copies of it whose later events differ, and compare what serves byte by byte.

WHAT is the folder of a run (its strategy, encoder, objective, graph and policy are made again, small), a model from outside as
package.module:Name (fit(observed) and recommend(users, k)), or a row that `references` takes, such as pyg_lightgcn.
"""


def run(rest: Sequence[str]) -> int:
    """Print a line per check and return 0, or 1 where there is a leak."""
    parser = Parser(prog="gnnrec leakcheck", description=ABOUT, allow_abbrev=False)
    parser.add_argument("what", metavar="WHAT", help="folder of a run, package.module:Name, or a row's name")
    parser.add_argument(
        "--own-data", action="store_true", help="on some users of the run's own log, not a simulated one"
    )
    parser.add_argument(
        "--events", type=int, default=3000, metavar="N", help="with --own-data: about so many (default 3000)"
    )
    parser.add_argument("--allow", action="append", default=[], metavar="PREFIX", help="plug-ins that may be imported")
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="PATH",
        help="where the run's log or store lies now, if it has moved",
    )
    given = parser.parse_args(rest)
    is_run = ":" not in given.what and Path(given.what).is_dir()
    if not is_run and (given.own_data or given.data):
        raise GnnrecError(f"--own-data and --data belong to the folder of a run; {given.what} is none")
    from gnnrec.leaks import subject
    from gnnrec.leaks.checks import leaky

    if is_run:
        from gnnrec.runs.saved import one

        found = subject.check_run(one(Path(given.what)), given.allow, given.data, given.own_data, given.events)
    else:
        found = subject.check_row(subject.row_maker(given.what, given.allow))
    for finding in found:
        print(f"{finding.verdict:<5} {finding.check}: {finding.text}")
    leaks, open_ones = (sum(f.verdict == verdict for f in found) for verdict in ("LEAK", "n/a"))
    told = (
        f"{leaks} of {len(found)} checks found a leak"
        if leaks
        else "nothing can be told"
        if leaky(found)
        else "no leak found" + (f"; {open_ones} of {len(found)} checks could tell nothing (n/a)" if open_ones else "")
    )
    print(f"{given.what}: {told}")
    return int(leaky(found))
