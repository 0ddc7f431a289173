"""What other programs did to a store: it is a Delta table, and anything may write to one."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from deltalake import DeltaTable

from gnnrec.core.errors import one_line
from gnnrec.data.types import Ints
from gnnrec.store import delta_log


def changes(path: Path, own: Collection[int], head: int) -> str | None:
    """Return what is wrong with a store whose rows somebody else changed, and how to mend it; None: all is as it was made.

    Changes that were taken back count as none; compaction changes no rows.

    Args:
        path: of the store.
        own: commits that gnnrec made, at least one.
        head: newest commit to look at.
    """
    mine = sorted(own)
    for number in (n for n in delta_log.numbers(path) if n <= head and n not in own):
        if number > mine[0] and delta_log.changes_rows(path, number):
            place = bisect(mine, number)
            before, after = mine[place - 1], mine[place] - 1 if place < len(mine) else head
            if not _same(_held(path, before), _held(path, after)):
                return _said(path, number, before if place == len(mine) else None)
    return None


def _held(path: Path, number: int) -> Mapping[Path, Ints]:
    return delta_log.held(path, DeltaTable(path.resolve().as_uri(), version=number))


def _same(before: Mapping[Path, Ints], after: Mapping[Path, Ints]) -> bool:
    return before.keys() == after.keys() and all(np.array_equal(gone, after[f]) for f, gone in before.items())


def _said(path: Path, number: int, before: int | None) -> str:
    about = delta_log.about(path, number)
    who = one_line(f"{about.get('operation', 'a change')} by {about.get('engineInfo', 'another program')}")[:80]
    mend = "restore the folder from a copy"
    if before is not None:
        undo = f"from deltalake import DeltaTable; DeltaTable({str(path)!r}).restore({before})"
        mend = f'take it back by python -c "{undo}", or {mend}'
    return (
        f"{path}: commit {number} ({who}) changed rows that no ingest made, so that the versions do not hold what they say; "
        f"{mend}"
    )
