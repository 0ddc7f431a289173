"""The commits of another Delta table, read by the protocol: which files each one added, and which of their rows are deleted.

A list of file names is not enough: a deletion vector takes rows out of a file that stays, columns may be stored under other
names, and a log may begin with a checkpoint. What is not read here is refused by its name.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.data.types import Ints
from gnnrec.store import delta_log

READS = frozenset({"deletionVectors", "timestampNtz", "vacuumProtocolCheck"})
"""Reader features that are read exactly; column mapping too where a table only could use it (mode "none")."""
NEWEST_READER = 3
_ROW = "\x00row"


@dataclass(frozen=True, slots=True)
class Group:
    """Files that make one version.

    Attributes:
        files: at least one.
        origin: id of a Delta table and number of a commit of it; None: the files are no commit.
        deleted: numbers of the rows of a file that its table no longer has.
    """

    files: tuple[Path, ...]
    origin: str | None = None
    deleted: Mapping[Path, Ints] = field(default_factory=dict)

    @contextmanager
    def readable(self) -> Iterator[list[Path]]:
        """Lend files that hold what is to be read: copies without their deleted rows where there are such."""
        with tempfile.TemporaryDirectory() as folder:
            yield [_copied(f, Path(folder), self.deleted[f]) if f in self.deleted else f for f in self.files]


def commits(path: Path) -> Iterator[Group]:
    """Yield the files that each commit of a Delta table added, oldest first; those of an old commit may be gone by now.

    A log whose older entries were cleaned up begins with its first checkpoint: all that the table holds there is one group.

    Raises:
        GnnrecError: it cannot be read, needs what is not read here, a commit took rows away, or a file lies elsewhere.
    """
    if (found := delta_log.unfit(path)) is not None:
        raise GnnrecError(f"{path} cannot be read as a Delta table: {found!r} in its path; move or copy it elsewhere")
    try:
        yield from _commits(path)
    except DeltaError as error:
        raise GnnrecError(f"{path} cannot be read as a Delta table ({one_line(str(error))[:200]})") from None


def _commits(path: Path) -> Iterator[Group]:
    _check_protocol(path, DeltaTable(path))
    before: dict[Path, Ints] | None = None
    for number in delta_log.numbers(path):
        table = DeltaTable(path, version=number)
        _check_protocol(path, table)
        now = delta_log.held(path, table)
        added = sorted(now.keys() - (before or {}).keys())
        # The first table there is counts whole, however its commit came about: what made it is gone from the log.
        if before is None or delta_log.changes_rows(path, number):
            _check_appended(path, number, before or {}, now)
            if added:
                deleted = {f: now[f] for f in added if len(now[f])}
                yield Group(tuple(added), f"{table.metadata().id}:{number}", deleted)
        before = now


def _check_protocol(path: Path, table: DeltaTable) -> None:
    """Refuse what the files alone do not say and nobody here reads."""
    protocol, about = table.protocol(), table.metadata()
    if protocol.min_reader_version > NEWEST_READER:
        raise GnnrecError(
            f"{path} asks for a reader of version {protocol.min_reader_version}, known up to {NEWEST_READER}; {_EXPORT}"
        )
    needed = set(protocol.reader_features or ()) - READS
    mapping = str(about.configuration.get("delta.columnMapping.mode", "none"))
    if mapping == "none":
        needed -= {"columnMapping"}
    elif (
        protocol.min_reader_version > 1
    ):  # older readers ignore the setting, and files then have the names of the table
        needed |= {"columnMapping"}
    if needed:
        raise GnnrecError(f"{path} needs a reader of {', '.join(sorted(needed))}, which gnnrec is not; {_EXPORT}")
    if about.partition_columns:
        names = ", ".join(about.partition_columns)
        raise GnnrecError(f"{path} is partitioned by {names}, which its files do not hold; {_EXPORT}")


_EXPORT = "write it anew as a plain table, or export it and ingest the file"


def _check_appended(path: Path, number: int, before: Mapping[Path, Ints], now: Mapping[Path, Ints]) -> None:
    """Refuse a commit that did more than append: files that went, or rows of one that were deleted or came back."""
    changed = [f for f, gone in before.items() if f not in now or not np.array_equal(gone, now[f])]
    if changed:
        raise GnnrecError(
            f"commit {number} of {path} took rows away or changed them (see {changed[0].name}); only appended rows can become "
            "versions: export the table as it is now, and ingest that into a new store"
        )


def _copied(file: Path, folder: Path, deleted: Ints) -> Path:
    """Write a file anew without some of its rows."""
    target = folder / file.name
    rows = pl.scan_parquet(file, glob=False, hive_partitioning=False).with_row_index(_ROW)
    rows.filter(~pl.col(_ROW).is_in(deleted)).drop(_ROW).sink_parquet(target)
    return target
