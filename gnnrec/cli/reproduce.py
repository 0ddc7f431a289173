"""`gnnrec reproduce`: a finished run made again, and what differs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gnnrec.cli.parse import Parser
from gnnrec.core.errors import GnnrecError


def reproduce(rest: Sequence[str]) -> int:
    """Make a run again and say whether it is bit-identical; 0: it is."""
    parser = Parser(
        prog="gnnrec reproduce",
        description="Make a finished run again from its configuration, data version and seed, on as many threads, and say "
        "whether it is bit-identical (exit code 0), or what differs first and which of data, code, environment, device "
        "and threads is another by now (1). The run's folder stays as it is.",
        allow_abbrev=False,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a finished run")
    parser.add_argument("--allow", action="append", default=[], metavar="PREFIX", help="plug-ins the run may import")
    parser.add_argument(
        "--data", action="append", default=[], metavar="PATH", help="where the log or store lies now, if it has moved"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="a new folder that what is made stays in")
    parser.add_argument("--threads", type=int, metavar="N", help="of torch (default: as many as the run had)")
    given = parser.parse_args(rest)
    if given.threads is not None and given.threads < 1:
        raise GnnrecError(f"--threads {given.threads} must be 1 or more")
    from gnnrec.core import allocator
    from gnnrec.runs.again import reproduce as again
    from gnnrec.runs.again.said import said
    from gnnrec.runs.progress import Progress
    from gnnrec.runs.saved import one

    allocator.retain_large_blocks()
    run = one(given.run)
    found = again.reproduce(run, Progress(), given.allow, given.data, given.keep, given.threads)
    print(said(found, run.folder.name))
    return 0 if found.identical else 1
