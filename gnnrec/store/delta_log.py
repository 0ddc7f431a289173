"""A Delta table's log on disk: its entries, whether one changes rows, and which rows of which files a table holds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np
import polars as pl
from deltalake import DeltaTable

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.data.types import Ints

UNFIT = frozenset("%#?[]\\^|\x7f") | {chr(k) for k in range(32)}
"""Characters of a path that deltalake decodes twice, or takes for the end or a part of an address."""
_ENTRY = re.compile(r"^(\d{20})(\.json|\.checkpoint\..*parquet)$")


def unfit(path: Path) -> str | None:
    """Return a character for which deltalake would read this path otherwise, or miss what lies there; None: it has none."""
    return min((c for c in str(path.resolve()) if c in UNFIT or "\ud800" <= c <= "\udfff"), default=None)


def entry(path: Path, number: int) -> Path:
    """Return where a commit of a table lies."""
    return path / "_delta_log" / f"{number:020}.json"


def numbers(path: Path) -> list[int]:
    """Return the commits whose tables can be had, ascending: all, or those from the oldest checkpoint on."""
    found = [m for p in (path / "_delta_log").iterdir() if (m := _ENTRY.match(p.name))]
    entries = {int(m[1]) for m in found if m[2] == ".json"}
    checkpoints = {int(m[1]) for m in found if m[2] != ".json"}
    first = 0 if 0 in entries else min(checkpoints, default=0)
    return sorted({first, *(e for e in entries if e > first)})


def actions(path: Path, number: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what a commit does, by name."""
    for line in entry(path, number).read_text("utf-8").splitlines():
        if line.strip():
            yield from json.loads(line).items()


def about(path: Path, number: int) -> dict[str, Any]:
    """Return what a commit says of itself; nothing where its entry is gone."""
    try:
        found = entry(path, number).stat()
    except FileNotFoundError:
        return {}
    return _about(path, number, (found.st_ino, found.st_size, found.st_mtime_ns))


@lru_cache(maxsize=10_000)
def _about(path: Path, number: int, _stamp: tuple[int, int, int]) -> dict[str, Any]:
    """Return what a commit says of itself, read once: a store that is followed looks at its log again and again."""
    return next((found for what, found in actions(path, number) if what == "commitInfo"), {})


def changes_rows(path: Path, number: int) -> bool:
    """Return whether a commit says that it changed rows; what is rearranged (compacted, purged) are the rows there were."""
    return any(what in ("add", "remove") and about.get("dataChange", True) for what, about in actions(path, number))


def held(path: Path, table: DeltaTable) -> dict[Path, Ints]:
    """Return the data files of a table, each with the numbers of its rows that deletion vectors delete, ascending."""
    found = pl.DataFrame(table.get_add_actions(flatten=True))
    nothing = np.empty(0, np.int64)
    files = {_local(path, unquote(name)): nothing for name in found["path"]}
    if "deletionVectors" not in (table.protocol().reader_features or ()):
        return files
    for name, kept in pl.DataFrame(table.deletion_vectors().read_all()).iter_rows():
        file = _local(path, name)
        if file not in files:
            raise GnnrecError(f"{path} deletes rows of {file.name}, which it does not hold; its log is damaged")
        files[file] = np.flatnonzero(~np.asarray(kept, bool))
    return files


def _local(table: Path, name: str) -> Path:
    """Return the path of a data file; a log that names one outside its table is not believed."""
    path = Path(unquote(urlparse(name).path)) if "://" in name else table.resolve() / name
    if not path.resolve().is_relative_to(table.resolve()):
        raise GnnrecError(f"the log of {table} names a file outside the table ({one_line(name)[:120]}); it is not read")
    return path
