"""What `gnnrec data ingest` is given: files, globs, and other Delta tables, whose commits become versions."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from gnnrec.core.errors import GnnrecError
from gnnrec.store.delta_commits import Group, commits


def groups(names: Sequence[str], each: bool) -> list[Group]:
    """Return the files of each version to make.

    Args:
        names: files, globs, folders of Delta tables.
        each: whether every file is a version; commits of Delta tables always are.

    Raises:
        GnnrecError: a glob matches nothing, or a Delta table has no rows or more than appended ones.
    """
    found: list[Group] = []
    files: list[Path] = []
    for path in (p for name in names for p in _expanded(name)):
        if is_table(path):
            found += _of_table(path)
        else:
            files.append(path)
    plain = [Group((f,)) for f in files] if each else [Group(tuple(files))] if files else []
    return plain + found


def is_table(path: Path) -> bool:
    """Return whether a folder is a Delta table."""
    return (path / "_delta_log").is_dir()


def _of_table(path: Path) -> list[Group]:
    if not (found := list(commits(path))):
        raise GnnrecError(f"{path} is a Delta table without rows; there is nothing to ingest")
    return found


def _expanded(name: str) -> list[Path]:
    if Path(name).exists() or not glob.has_magic(name):
        return [Path(name)]
    found = sorted(glob.glob(name))  # noqa: PTH207
    if not found:
        raise GnnrecError(f"no file matches {name}")
    return [Path(f) for f in found]
