"""What `trainer=dimension_parallel` makes of a command: one for each rank."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gnnrec.config.compose import compose, expand
from gnnrec.config.typed import key_of
from gnnrec.core import ranks
from gnnrec.core.errors import GnnrecError

QUIET = ("figures=false", "logger=none")
"""What a rank beside the first leaves to it."""
KEPT = ("output", "figures", "logger")


def as_ranks(command: str, rest: Sequence[str], given: argparse.Namespace) -> int | None:
    """Run a command once for each rank and return its exit code; None: this process is the one to run it.

    A rank other than 0 gets a folder of its own to write to, which holds what rank 0's has.
    """
    grid = expand(given.overrides, given.config_dir) if given.multirun else [given.overrides]
    config = compose(grid[0], given.config_dir)
    if not ranks.spreads(config["trainer"]):
        return None
    _check_grid(grid)
    from gnnrec.launching.base import launcher_of
    from gnnrec.launching.ranks import begin, scratch
    from gnnrec.launching.serial import Serial
    from gnnrec.runs.ready import ready
    from gnnrec.training.trainer import check_trainer

    check_trainer(config["trainer"])
    if not isinstance(launcher_of(config), Serial):
        raise GnnrecError(
            "trainer=dimension_parallel spreads each run over all its ranks, one run after the other: it takes launcher=serial"
        )
    if ranks.count() == 1 and int(config["trainer"]["devices"]) > 1:
        ready(config)  # what is wrong is said once, before anything is begun
        return begin([command, *rest], int(config["trainer"]["devices"]))
    if ranks.count() > 1:
        from gnnrec.training.ranks import check_alike, mesh_of

        mesh_of(config["trainer"])
        output = Path(config["output"])
        if ranks.number():
            output = scratch(output)
            _hush()
            given.overrides = [*(o for o in given.overrides if key_of(o) not in KEPT), f"output={output}", *QUIET]
        there = f"the number of files below output={config['output']}, which all machines must see,"
        check_alike({there: sum(1 for p in output.rglob("*") if p.is_file() and p.name != ".lock")})
    return None


def _check_grid(grid: Sequence[Sequence[str]]) -> None:
    """Refuse a grid over what ranks have in common.

    Raises:
        GnnrecError: its runs differ in the trainer, or in what rank 0 alone writes.
    """
    for key in ("trainer", *KEPT):
        typed = {tuple(o for o in one if key_of(o) == key or key_of(o).startswith(f"{key}.")) for one in grid}
        if len(typed) > 1:
            raise GnnrecError(
                f"a grid over {key}= does not go with trainer=dimension_parallel, whose ranks make all its runs; "
                "make one run after the other"
            )


def _hush() -> None:
    """Leave it to rank 0 to speak, where nobody else listens; with GNNREC_DEBUG set all do."""
    from gnnrec.launching.ranks import FOLDER

    if not os.environ.get("GNNREC_DEBUG") and FOLDER not in os.environ:
        sys.stdout = sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the process ends
