"""Open a file of events in any supported format; the format is found by content first, by suffix second."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gnnrec.core.errors import GnnrecError, nearest
from gnnrec.data.clean.rows import RowTable
from gnnrec.data.read.adjacency import open_adjacency
from gnnrec.data.read.delimited import open_delimited
from gnnrec.data.read.formats import BOM, DEFAULT_MAX_BYTES, Blob, load
from gnnrec.data.read.jsonlines import open_jsonlines
from gnnrec.data.read.parquet import open_parquet

FORMATS = ("adjacency",)


@dataclass(frozen=True, slots=True)
class How:
    """How to read: what the user declared about a file (None: infer and say so)."""

    delimiter: str | None = None
    header: bool | None = None
    encoding: str = "utf-8"
    max_bytes: int = DEFAULT_MAX_BYTES
    known: frozenset[str] = frozenset()
    multiline: bool = False
    quote: str | None = "auto"
    format: str | None = None

    def __post_init__(self) -> None:
        if self.format is not None and self.format not in FORMATS:
            raise GnnrecError(f"data.format={self.format} is not a choice{nearest(str(self.format), FORMATS)}")


def open_table(path: Path, how: How | None = None) -> tuple[RowTable, Blob]:
    """Return the opened table and the file it stands on.

    Raises:
        GnnrecError: the file cannot be read as rows; the message says why and what to do.
    """
    how = how or How()
    blob = load(path, how.max_bytes)
    return table_of(blob, how), blob


def table_of(blob: Blob, how: How) -> RowTable:
    """Return the opened table of a file that was checked."""
    if blob.kind == "parquet":
        return open_parquet(blob, how.max_bytes)
    if how.format == "adjacency":
        return open_adjacency(blob, how.delimiter, how.encoding)
    if blob.kind == "json":
        return open_jsonlines(blob, how.encoding)
    if how.delimiter is None and blob.head.removeprefix(BOM).lstrip()[:1] in {b"{", b"["}:
        return open_jsonlines(blob, how.encoding)
    return open_delimited(blob, how.delimiter, how.header, how.encoding, set(how.known), how.multiline, how.quote)
