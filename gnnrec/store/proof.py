"""Does any file still hold an id? Every file below a folder is read: tables by cell, text by word, the rest as bytes.

An id that looks like a number is told from one in tables alone, as a cell of text, and as a text of JSON; files in which nobody
could tell, packed ones and links are counted.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

TEXT = (".txt", ".yaml", ".yml", ".html", ".md", ".log", ".svg", ".tex", "")
SEPARATED = (".csv", ".tsv")
LONG = 6
"""Least length of an id that is looked for among the bytes of a file without words: a shorter one is there by chance."""
LOCKS = (".lock",)
PACKED = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf")
"""How files begin whose words cannot be read: gzip, zip (.xlsx, .npz, .pt too), bzip2, xz, zstandard, 7z."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What was looked at for an id, and what holds it.

    Attributes:
        holding: files that hold it, or whose names do.
        files, bytes: that were read.
        untold: files in which so short an id, or a number, could not be told from another, or which are packed.
        links: that were not followed.
    """

    holding: tuple[Path, ...]
    files: int
    bytes: int
    untold: int
    links: int = 0

    def said(self, what: str = "id") -> str:
        """Return the outcome in a line.

        Args:
            what: was looked for: an id, a pseudonym.
        """
        why = "cannot be told: from a number, from chance, or because they are packed"
        short = f"; in {self.untold} of them it {why}" if self.untold else ""
        short += f"; {self.links} links were not followed" if self.links else ""
        if not self.holding:
            return f"no file of {self.files:,} ({self.bytes:,} bytes) holds the {what}{short}"
        return f"{len(self.holding)} of {self.files:,} files hold the {what}{short}"


def look(folder: Path, user: str) -> Proof:
    """Read every file below a folder, hidden ones too.

    Args:
        folder: a store, a run, an output folder, bundles, or one file.
        user: external id.
    """
    holds, paths = _Holds(user), [folder] if folder.is_file() else sorted(folder.rglob("*"))
    links = [] if folder.is_file() else [p for p in paths if p.is_symlink()]
    read = [p for p in paths if p.is_file() and p.name not in LOCKS and p not in links]
    holding = tuple(p for p in read if holds.name(p.relative_to(folder)) or holds.file(p))
    return Proof(holding, len(read), sum(p.stat().st_size for p in read), holds.untold, len(links))


class _Holds:
    """Tells whether a file holds an id."""

    def __init__(self, user: str) -> None:
        self.user, self.untold = user, 0
        written = {
            user,
            json.dumps(user)[1:-1],
            user.replace('"', '""'),
            user.replace("&", "&amp;").replace("<", "&lt;"),
        }
        words = "|".join(re.escape(w) for w in sorted(written))
        self.word = re.compile(rf"(?<![\w.-])(?:{words})(?![\w-]|\.\d)")
        self.number = re.fullmatch(r"[\d.,+-]+", user) is not None

    def name(self, path: Path) -> bool:
        return not self.number and bool(self.word.search(str(path)))

    def file(self, path: Path) -> bool:
        kinds: dict[str, Callable[[Path], bool]] = {
            **dict.fromkeys(TEXT, self._text),
            **dict.fromkeys(SEPARATED, self._separated),
            **{".parquet": self._table, ".json": self._json, ".jsonl": self._lines, ".crc": self._bytes},
        }
        return kinds.get(path.suffix.lower(), self._bytes)(path)

    def _text(self, path: Path) -> bool:
        if self.number:
            self.untold += 1
            return False
        return bool(self.word.search(path.read_text("utf-8", "replace")))

    def _separated(self, path: Path) -> bool:
        if not self.number:
            return self._text(path)
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            rows = csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
            names = next(rows, [])
            mine = [k for k, name in enumerate(names) if "user" in name.lower()] or range(len(names))
            return any(k < len(row) and row[k] == self.user for row in rows for k in mine)

    def _table(self, path: Path) -> bool:
        try:
            frame = pl.scan_parquet(path, glob=False)
            columns = frame.collect_schema().items()
            if any(self._cells(frame, name, kind) for name, kind in columns):
                return True
            self.untold += self.number and any(self._numbers(frame, name, kind) for name, kind in columns)
            return False
        except pl.exceptions.PolarsError:  # cut off while it was written
            return self._bytes(path)

    def _cells(self, frame: pl.LazyFrame, name: str, kind: pl.DataType) -> bool:
        column = pl.col(name)
        if isinstance(kind, pl.List | pl.Array):
            column, kind = column.explode(), kind.inner  # type: ignore[assignment]
        if not isinstance(kind, pl.String | pl.Categorical | pl.Enum):
            return False
        return bool(frame.select(column.cast(pl.String).eq(self.user).any()).collect(engine="streaming").item())

    def _numbers(self, frame: pl.LazyFrame, name: str, kind: pl.DataType) -> bool:
        """Return whether a column of numbers that says it names users holds the id."""
        if not kind.is_integer() or "user" not in name.lower():
            return False
        found = frame.select(pl.col(name).cast(pl.String).eq(self.user).any()).collect(engine="streaming")
        return bool(found.item())

    def _json(self, path: Path) -> bool:
        return self._parsed([path.read_text("utf-8", "replace")])

    def _lines(self, path: Path) -> bool:
        with path.open(encoding="utf-8", errors="replace") as file:
            return self._parsed(file)

    def _parsed(self, texts: Iterable[str]) -> bool:
        for text in texts:
            try:
                found = _strings(json.loads(text), names=not self.number)
                if any(s == self.user if self.number else self.word.search(s) for s in found):
                    return True
            except ValueError:
                if not self.number and self.word.search(text):
                    return True
        return False

    def _bytes(self, path: Path) -> bool:
        with path.open("rb") as file:
            packed = file.read(8).startswith(PACKED)
        if packed and self.user.encode() not in path.read_bytes():
            self.untold += 1
            return False
        if len(self.user.encode()) < LONG:
            self.untold += 1
            return False
        return self.user.encode() in path.read_bytes()


def _strings(value: Any, names: bool) -> Iterator[str]:
    """Yield all strings of a JSON value, with or without the names of its parts."""
    if isinstance(value, str):
        if value.startswith("{"):  # the log of a table keeps JSON in JSON
            with suppress(ValueError):
                yield from _strings(json.loads(value), names)
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if names:
                yield key
            yield from _strings(inner, names)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner, names)
