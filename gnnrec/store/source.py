"""What `gnnrec data ingest` is given: files, globs, and other Delta tables, whose commits become versions."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from gnnrec.core.errors import GnnrecError, one_line

_SAME_ROWS = {"OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES", "ADD CONSTRAINT"}
"""Operations that leave the rows as they were."""


@dataclass(frozen=True, slots=True)
class Group:
    """Files that make one version.

    Attributes:
        files: at least one.
        origin: id of a Delta table and number of a commit of it; None: the files are no commit.
    """

    files: tuple[Path, ...]
    origin: str | None = None


def groups(names: Sequence[str], each: bool) -> list[Group]:
    """Return the files of each version to make.

    Args:
        names: files, globs, folders of Delta tables.
        each: whether every file is a version; commits of Delta tables always are.

    Raises:
        GnnrecError: a glob matches nothing, or a Delta table has more than appended rows.
    """
    found: list[Group] = []
    files: list[Path] = []
    for path in (p for name in names for p in _expanded(name)):
        if is_table(path):
            found += commits(path)
        else:
            files.append(path)
    plain = [Group((f,)) for f in files] if each else [Group(tuple(files))] if files else []
    return plain + found


def is_table(path: Path) -> bool:
    """Return whether a folder is a Delta table."""
    return (path / "_delta_log").is_dir()


def commits(path: Path) -> Iterator[Group]:
    """Yield the files that each commit of a Delta table added, oldest first; those of an old commit may be gone by now.

    Raises:
        GnnrecError: it cannot be read, is partitioned (its files lack columns), a commit took rows away, or names a file that
            lies elsewhere.
    """
    try:
        head = DeltaTable(path)
        if head.metadata().partition_columns:
            names = ", ".join(head.metadata().partition_columns)
            raise GnnrecError(f"{path} is partitioned by {names}, which its files do not hold; write it anew without")
        history = sorted(head.history(), key=lambda c: int(c["version"]))
        before: set[str] = set()
        for commit in history:
            now = set(DeltaTable(path, version=int(commit["version"])).file_uris())
            added, gone = now - before, before - now
            before = now
            if str(commit.get("operation")) in _SAME_ROWS:
                continue
            if gone:
                raise GnnrecError(
                    f"commit {commit['version']} of {path} ({commit.get('operation')}) took rows away; only appended rows can "
                    "become versions: export the table as it is now, and ingest that"
                )
            if added:
                yield Group(
                    tuple(_local(path, uri) for uri in sorted(added)), f"{head.metadata().id}:{commit['version']}"
                )
    except DeltaError as error:
        raise GnnrecError(f"{path} cannot be read as a Delta table ({one_line(str(error))[:200]})") from None


def _local(table: Path, uri: str) -> Path:
    """Return the path of a data file; a log that names one outside its table is not believed."""
    path = Path(unquote(urlparse(uri).path)) if "://" in uri else Path(unquote(uri))
    if not path.resolve().is_relative_to(table.resolve()):
        raise GnnrecError(f"the log of {table} names a file outside the table ({one_line(uri)[:120]}); it is not read")
    return path


def _expanded(name: str) -> list[Path]:
    if Path(name).exists() or not glob.has_magic(name):
        return [Path(name)]
    found = sorted(glob.glob(name))  # noqa: PTH207
    if not found:
        raise GnnrecError(f"no file matches {name}")
    return [Path(f) for f in found]
