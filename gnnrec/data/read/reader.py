"""Open a file of events in any supported format; the format is found by content first, by suffix second."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gnnrec.data.clean.rows import Table
from gnnrec.data.read.delimited import open_delimited
from gnnrec.data.read.formats import BOM, DEFAULT_MAX_BYTES, Blob, load
from gnnrec.data.read.jsonlines import open_jsonlines
from gnnrec.data.read.parquet import open_parquet


@dataclass(frozen=True, slots=True)
class How:
    """How to read: what the user declared about a file (None: infer and say so)."""

    delimiter: str | None = None
    header: bool | None = None
    encoding: str = "utf-8"
    max_bytes: int = DEFAULT_MAX_BYTES
    known: frozenset[str] = frozenset()
    multiline: bool = False


def open_table(path: Path, how: How | None = None) -> tuple[Table, Blob]:
    """Return the opened table and the file it stands on.

    Raises:
        GnnrecError: the file cannot be read as rows; the message says why and what to do.
    """
    how = how or How()
    blob = load(path, how.max_bytes)
    return table_of(blob, how), blob


def table_of(blob: Blob, how: How) -> Table:
    """Return the opened table of a file that was checked."""
    if blob.kind == "parquet":
        return open_parquet(blob, how.max_bytes)
    if blob.kind == "json":
        return open_jsonlines(blob, how.encoding)
    if how.delimiter is None and blob.head.removeprefix(BOM).lstrip()[:1] in {b"{", b"["}:
        return open_jsonlines(blob, how.encoding)
    known = set(how.known)
    return open_delimited(blob, how.delimiter, how.header, how.encoding, known, how.multiline)
