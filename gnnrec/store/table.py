"""`Store`: a Delta Lake table of events with a record in every commit that adds some.

Layout of the folder: the table's own files, `_delta_log/`, and below `_gnnrec/` (which Delta leaves alone) `quarantine/`,
`side/`, `reports/`, `certificates/` and the writers' lock. Columns: see `COLUMNS`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl
from arro3.core.types import ArrowStreamExportable
from deltalake import (
    ColumnProperties,
    CommitProperties,
    DeltaTable,
    Schema,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import DeltaError
from deltalake.transaction import create_table_with_add_actions
from filelock import Timeout

from gnnrec.core import locks
from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.core.files import sync_file, sync_folder
from gnnrec.store import delta_log, foreign
from gnnrec.store.staging import COLUMNS, SCHEMA, StagedFiles
from gnnrec.store.version import Version

KEY, ERASURE, ASIDE = "gnnrec", "gnnrec_erasure", ".jsonl"
"""Under which a commit holds the record of an ingest, or of an erasure."""
_CHUNK = 1 << 16
"""Rows handed to the writer at once."""
_PACKED = ColumnProperties(encoding="DELTA_BINARY_PACKED", dictionary_enabled=False)
_WRITER = WriterProperties(column_properties={"time": _PACKED, "place": _PACKED})
"""Numbers that hardly repeat: looked up in a dictionary first, they would take a third more time and space."""
_SETTINGS: dict[str, str | None] = {
    # The log is the history: Delta would drop what is older than 30 days.
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.enableExpiredLogCleanup": "false",
    # Statistics in the log hold smallest and largest values; ids must not lie there after an erasure.
    "delta.dataSkippingStatsColumns": "time,version",
}


class BusyError(GnnrecError):
    """Another process is writing."""


class Store:
    """A store at `path`, which need not exist yet.

    Args:
        path: its folder.

    Raises:
        GnnrecError: the path holds a character of `delta_log.UNFIT`, or a byte that is no UTF-8.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        if (found := delta_log.unfit(self.path)) is not None:
            raise GnnrecError(
                f"a store cannot lie at {one_line(str(self.path.resolve()))}: {found!r} in the path; choose another folder"
            )

    @property
    def aside(self) -> Path:
        """Folder of the rows set aside."""
        return self.path / "_gnnrec" / "quarantine"

    @property
    def sides(self) -> Path:
        """Folder of what is known of items beside their events."""
        return self.path / "_gnnrec" / "side"

    def side(self, upto: int | None = None) -> pl.DataFrame | None:
        """Return titles and side information, a row per item: as the newest version that names it has it; None: none.

        Args:
            upto: newest version to look at; None: all.
        """
        names = [v.side for v in self.versions if v.side is not None and (upto is None or v.number <= upto)]
        if not names:
            return None
        frames = [pl.read_parquet(self.sides / f"{name}.parquet", glob=False) for name in dict.fromkeys(names[::-1])]
        try:
            return pl.concat(frames, how="diagonal_relaxed").unique("item", keep="first", maintain_order=True)
        except pl.exceptions.PolarsError as error:
            why = one_line(str(error))[:160]
            raise GnnrecError(
                f"{self.path}: versions describe items by columns that do not fit together ({why}); make a new store whose "
                "versions have the same data.side"
            ) from None

    @property
    def scratch(self) -> Path:
        """Folder of what an ingest writes down for itself; numbers only, and gone with it."""
        return self.path / "_gnnrec" / "scratch"

    @property
    def reports(self) -> Path:
        """Folder of the quality reports."""
        return self.path / "_gnnrec" / "reports"

    def report(self, version: Version, suffix: str) -> Path:
        """Return where a version's quality report lies: "json", "html", or "parquet" with the counts it was made from."""
        return self.reports / f"{version.number:06}-{version.content[:12]}.{suffix}"

    def quality(self, version: Version) -> dict[str, Any] | None:
        """Return a version's quality report; None: there is none, or it cannot be read."""
        try:
            found: dict[str, Any] = json.loads(self.report(version, "json").read_text())
        except (OSError, ValueError):
            return None
        return found

    @property
    def exists(self) -> bool:
        """Whether there is a table here."""
        return (self.path / "_delta_log").is_dir() and DeltaTable.is_deltatable(self._uri)

    @property
    def _uri(self) -> str:
        """The path as Delta reads it, whatever characters are in it."""
        return self.path.resolve().as_uri()

    def _check(self) -> None:
        if not self.exists:
            raise GnnrecError(f"{self.path} is no store; make one by `gnnrec data ingest {self.path} FILE`")

    @cached_property
    def _table(self) -> DeltaTable:
        self._check()
        try:
            return DeltaTable(self._uri)
        except DeltaError as error:
            raise GnnrecError(f"{self.path} is a damaged store ({one_line(str(error))[:200]})") from None

    def refresh(self) -> None:
        """See what others have committed."""
        for name in ("_table", "_commits", "versions", "records", "contents", "erasures", "foreign_change"):
            self.__dict__.pop(name, None)

    @cached_property
    def _commits(self) -> dict[int, dict[str, Any]]:
        """What the log says of every commit, by number, oldest first."""
        # Not deltalake's history: it counts commits that say something, and so gives wrong numbers where one says nothing.
        head = self._table.version()
        return {n: delta_log.about(self.path, n) for n in delta_log.numbers(self.path) if n <= head}

    @cached_property
    def records(self) -> tuple[Version, ...]:
        """The records of all ingests, oldest first, whatever others did to the rows since."""
        return tuple(Version.from_json(c[KEY]) for c in self._commits.values() if KEY in c)

    @cached_property
    def foreign_change(self) -> str | None:
        """What is wrong where another program changed the rows; None: nobody did."""
        own = {n for n, c in self._commits.items() if KEY in c or ERASURE in c}
        return foreign.changes(self.path, own, self.head) if own else None

    @cached_property
    def versions(self) -> tuple[Version, ...]:
        """The records of all ingests, oldest first.

        Raises:
            GnnrecError: another program changed the rows.
        """
        self._check_own()
        return self.records

    def _check_own(self) -> None:
        if self.foreign_change is not None:
            raise GnnrecError(self.foreign_change)

    @cached_property
    def contents(self) -> dict[int, str]:
        """What the rows of each version hash to now: as ingested, or as the last erasure left them."""
        found = {v.number: v.content for v in self.records}
        for erasure in self.erasures.values():
            found |= {int(number): content for number, content in erasure["after"].items()}
        return found

    @cached_property
    def erasures(self) -> dict[int, dict[str, Any]]:
        """The records of all erasures by commit, oldest first."""
        return {n: json.loads(c[ERASURE]) for n, c in self._commits.items() if ERASURE in c}

    def aside_of(self, version: Version) -> tuple[Path, str] | None:
        """Return the file of the rows a version set aside, and what it hashes to; None: there were none."""
        name = version.aside
        for erasure in self.erasures.values():
            name = erasure["asides"].get(name, name)
        return None if name is None else (self.aside / f"{name}{ASIDE}", name)

    @property
    def head(self) -> int:
        """Number of the newest Delta commit, −1 where there is none."""
        return int(self._table.version()) if self.exists else -1

    def version(self, number: int) -> Version:
        """Return one record.

        Raises:
            GnnrecError: there is no such version.
        """
        for version in self.versions:
            if version.number == number:
                return version
        known = ", ".join(str(v.number) for v in self.versions[-10:]) or "none"
        newest = ", the newest ten" if len(self.versions) > 10 else ""
        raise GnnrecError(f"{self.path} has no version {number}; there is {known}{newest}")

    def from_origin(self, origin: str) -> Version | None:
        """Return the version that a commit of another table became."""
        if not self.exists:
            return None
        self.refresh()
        return next((v for v in self.versions if v.origin == origin), None)

    def rows(self, upto: int | None = None) -> pl.LazyFrame:
        """Return the events of all versions, or of those up to `upto`.

        Raises:
            GnnrecError: another program changed the rows.
        """
        self._check_own()
        return self.scan(upto)

    def scan(self, upto: int | None = None) -> pl.LazyFrame:
        """Return the rows there are, whoever made them; `rows` is for all but who looks whether they are right."""
        files = self.files()
        rows = pl.scan_parquet(files, glob=False, hive_partitioning=False) if files else pl.LazyFrame(schema=COLUMNS)
        return rows if upto is None else rows.filter(pl.col("version") <= upto)

    @contextmanager
    def writing(self, begin: bool = False) -> Iterator[None]:
        """Hold the store against other writers.

        Args:
            begin: whether the folder may become a store.

        Raises:
            BusyError: somebody else is writing.
            GnnrecError: there is no store, or the file system lacks what one stands on.
        """
        if not begin:
            self._check()
        folder = self.path / "_gnnrec"
        if self.path.exists() and not self.path.is_dir():
            raise GnnrecError(f"{self.path} is a file; a store is a folder, which comes before the files to ingest")
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with locks.take(folder / "lock"):
                locks.check_renames(folder)
                locks.check_links(folder)
                self.refresh()
                if self.exists:
                    self._check_own()
                yield
        except Timeout:
            raise BusyError(f"{self.path} is being written by another process; wait for it to finish") from None

    def stage(self) -> StagedFiles:
        """Return what takes the rows of the next version.

        Raises:
            GnnrecError: there is a table here, but not one that gnnrec made.
        """
        if self.exists and (not self.versions or self._fields(self._table.schema()) != self._fields(SCHEMA)):
            raise GnnrecError(
                f"{self.path} is a Delta table that gnnrec did not make, and stays as it is; choose another folder for the "
                f"store: `gnnrec data ingest STORE {self.path}` makes one whose versions are its commits"
            )
        return StagedFiles(self.path, self.head + 1)

    @staticmethod
    def _fields(schema: Schema) -> list[tuple[str, str]]:
        return [(field.name, str(field.type)) for field in schema.fields]

    def append(self, staged: StagedFiles, version: Version) -> None:
        """Commit the rows of a version with its record; returns once the disk has them."""
        seen = [Transaction(f"{KEY}:{file.sha256}", 0) for file in version.files]
        # The table as it was when the version was numbered, and no retry: a commit in between must not shift its number.
        record = CommitProperties({KEY: version.to_json()}, 0, seen)
        try:
            if staged.number:
                self._table.create_write_transaction([*staged.actions], "append", SCHEMA, commit_properties=record)
            else:  # refused where somebody else has made a table meanwhile
                create_table_with_add_actions(
                    self._uri, SCHEMA, staged.actions, configuration=_SETTINGS, commit_properties=record
                )
        except DeltaError as error:
            self.refresh()
            raise GnnrecError(
                f"{self.path}: the version was not committed ({one_line(str(error))[:200]}); run again"
            ) from None
        staged.committed()
        self.refresh()
        self.sync(version.number)

    def replace(self, rows: pl.DataFrame, versions: Sequence[int], record: Mapping[str, object]) -> None:
        """Commit these rows in the place of those that the versions have; the files that held them stay until `vacuum`."""
        try:
            write_deltalake(
                self._uri,
                _shaped(rows),
                mode="overwrite",
                # Not a predicate on the ids: it would stand in the log. No version is −1; the list must not be empty.
                predicate=f"version IN ({', '.join(map(str, [-1, *versions]))})",
                commit_properties=CommitProperties({ERASURE: json.dumps(record, sort_keys=True)}),
                writer_properties=_WRITER,
            )
        except DeltaError as error:
            self.refresh()
            raise GnnrecError(f"{self.path}: nothing was erased ({one_line(str(error))[:200]}); run again") from None
        self.refresh()
        self.sync(self.head)

    def vacuum(self, dry_run: bool = False) -> list[str]:
        """Delete data files that the newest commit does not use, and return their names: replaced ones, and those that a
        killed writer never committed, which Delta does not know of.
        """
        named = self._table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=True)
        # What was deleted before is named again as long as the log remembers it.
        found = [name for name in named if (self.path / unquote(name)).exists()]
        if found and not dry_run:
            self._table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
            self.refresh()
        used = set(self.files())
        strays = [p for p in sorted(self.path.glob("*.parquet*")) if p not in used and p.name not in found]
        for path in [] if dry_run else strays:
            path.unlink(missing_ok=True)
        return [*found, *(p.name for p in strays)]

    def files(self) -> list[Path]:
        """Return the data files that the newest commit uses."""
        paths = pl.DataFrame(self._table.get_add_actions(flatten=True))["path"]
        return [self.path / unquote(path) for path in paths]

    def sync(self, number: int) -> None:
        """Wait until the disk has a commit; deltalake itself calls no fsync.

        Raises:
            GnnrecError: the disk does not say that it has. It is asked once: the second answer of a failing disk is no answer.
        """
        entry = delta_log.entry(self.path, number)
        try:
            actions = map(json.loads, entry.read_text().splitlines())
            added = [self.path / unquote(a["add"]["path"]) for a in actions if "add" in a]
            for path in (p for p in added if p.exists()):  # an erasure replaces them
                sync_file(path)
            sync_file(entry)
            sync_folder(self.path)
            sync_folder(entry.parent)
        except OSError as error:
            raise GnnrecError(
                f"{self.path}: commit {number} is written, but the disk does not confirm it ({error.strerror}); look at the "
                f"disk, and do not build on it before `gnnrec data verify {self.path}` finds it whole"
            ) from None


def _shaped(rows: pl.DataFrame) -> ArrowStreamExportable:
    """Return the columns of a store as a stream: made, encoded and written a piece after the other."""
    cells = [pl.col(name).cast(kind) for name, kind in COLUMNS.items()]
    return rows.lazy().select(cells).collect_batches(chunk_size=_CHUNK, maintain_order=True, lazy=True)
