"""AdjacencyList lists: a user and their items in each line, as LightGCN's ``train.txt``; no ratings, no times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from gnnrec.core.errors import GnnrecError
from gnnrec.data.clean.rows import ROW, Example, RowBatch, Tally
from gnnrec.data.read.dialect import BLANKS, Dialect, declared_mark
from gnnrec.data.read.formats import Blob
from gnnrec.data.read.lines import Lines, check_decodes, lines
from gnnrec.data.types import Ints

_NAMES = ("user", "item")


@dataclass(frozen=True, slots=True)
class AdjacencyList:
    """A file of lines ``user item item …``. Its rows are the events, numbered through; a line without items is one row."""

    blob: Blob
    dialect: Dialect
    encoding: str
    notes: tuple[str, ...]
    headerless: bool = False
    names: tuple[str, ...] = _NAMES

    def first(self) -> dict[str, str]:
        """Return nothing: names decide here."""
        return {}

    def batches(self, names: Sequence[str]) -> Iterator[RowBatch]:
        """Yield users and items, an event a row; a line without items has an empty item."""
        start = 0
        for piece in lines(self.blob, self.encoding):
            events, undecodable = self._events(piece, start)
            aside, file = Tally(), self.blob.path.name
            numbers, texts = events.filter("spoilt").select(ROW, "line").get_columns()
            by_line = {n: data.decode("utf-8", "backslashreplace") for n, data in undecodable}
            shown = (Example(file, n, by_line[k]) for n, k in zip(numbers, texts, strict=True))
            aside.add("invalid_utf8", numbers, shown)
            start += events.height
            yield RowBatch(events.filter(~pl.col("spoilt")).select(*names, ROW), events.height, aside)

    def raw(self, rows: Ints) -> Iterator[tuple[int, str]]:
        """Yield number and cells of these events."""
        start = 0
        for piece in lines(self.blob, self.encoding):
            events, undecodable = self._events(piece, start)
            by_line = {n: data.decode("utf-8", "backslashreplace") for n, data in undecodable}
            here = rows[(rows > start) & (rows <= start + events.height)]
            for row in events[here - start - 1].iter_rows(named=True):
                yield row[ROW], by_line.get(row["line"], f"{row['user']} {row['item'] or ''}".strip())
            start += events.height

    def _events(self, piece: Lines, start: int) -> tuple[pl.DataFrame, Sequence[tuple[int, bytes]]]:
        """Return the events of some lines, numbered behind `start`, and the lines that do not decode, which count as one."""
        line = np.arange(piece.first, piece.first + len(piece.text))
        spoilt = np.isin(line, [n for n, _ in piece.undecodable])
        frame = pl.DataFrame({"line": line, "spoilt": spoilt, "text": piece.text})
        frame = frame.with_columns(self.dialect.even(pl.col("text")).str.strip_chars(f" {self.dialect.cut}"))
        frame = frame.filter(pl.col("spoilt") | (pl.col("text") != ""))
        cells = pl.col("text").str.split(self.dialect.cut)
        frame = frame.select("line", "spoilt", user=cells.list.first(), item=cells.list.slice(1))
        events = frame.explode("item", empty_as_null=True)
        number = pl.int_range(start + 1, start + events.height + 1, dtype=pl.Int64, eager=True)
        return events.with_columns(number.alias(ROW)), piece.undecodable


def open_adjacency(blob: Blob, delimiter: str | None, encoding: str) -> AdjacencyList:
    """Find the delimiter of an adjacency list.

    Raises:
        GnnrecError: no line has a user and an item.
    """
    notes = check_decodes(blob, encoding)
    text = next(lines(blob, encoding)).text
    mark = BLANKS if delimiter is None else declared_mark(delimiter)
    if delimiter is None:
        marks = {",": 0, ";": 0, "|": 0}
        for line in text.head(100):
            marks = {m: n + (m in line) for m, n in marks.items()}
        best = max(marks, key=lambda m: marks[m])
        mark = best if 2 * marks[best] > len(text.head(100)) else BLANKS
    dialect = Dialect(mark, None)
    if not any(len(dialect.split(line) or []) > 1 for line in text.head(1000)):
        raise GnnrecError(f"{blob.path}: no line has a user and an item; check data.format and data.delimiter")
    said = f"{blob.path.name} is read as an adjacency list: a line is a user and their items, without ratings and times"
    return AdjacencyList(blob, dialect, encoding, (*notes, said))
