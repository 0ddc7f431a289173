"""The dialect of a text file: its delimiter and quotes, its fields, its records over several lines."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from gnnrec.core.errors import GnnrecError, nearest, one_line
from gnnrec.data.read.formats import Blob
from gnnrec.data.read.lines import Lines, lines
from gnnrec.data.types import Ints

BLANKS = "blanks"
"""The delimiter that any number of blanks and tabs is."""
ALIASES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "space": " ", "pipe": "|"}
QUOTES = {"double": '"', "single": "'", '"': '"', "'": "'", "none": None, "null": None}
_RUN = re.compile(r"[ \t]+")
_REACH = 1000


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a line is cut into fields.

    Attributes:
        mark: the delimiter, or `BLANKS`.
        quote: what encloses fields; None: quotes are text like any other.
    """

    mark: str
    quote: str | None = '"'

    @property
    def blanks(self) -> bool:
        """Whether any run of blanks cuts."""
        return self.mark == BLANKS

    @property
    def cut(self) -> str:
        """What stands between two fields of a line once `even` has been over it."""
        return " " if self.blanks else self.mark

    def even(self, line: pl.Expr) -> pl.Expr:
        """Return lines with single delimiters."""
        return line.str.strip_chars(" \t").str.replace_all(r"[ \t]+", " ") if self.blanks else line

    def split(self, line: str) -> list[str] | None:
        """Return the fields of one line, or None when a quote is left open or closed inside a field."""
        if self.blanks:
            return _RUN.split(line.strip(" \t"))
        if len(self.mark) > 1 or self.quote is None or self.quote not in line:
            return line.split(self.mark)
        try:
            parts = [part + "\n" for part in line.split("\n")]
            return next(csv.reader(parts, delimiter=self.mark, quotechar=self.quote, strict=True))
        except csv.Error:
            return None

    def split_all(self, texts: list[str]) -> Sequence[list[str] | None]:
        """Return the fields of every line; in one pass where that gives as many records as lines, else one by one."""
        try:
            records = list(csv.reader(texts, delimiter=self.mark, quotechar=self.quote, strict=True))
        except csv.Error:
            records = []
        return records if len(records) == len(texts) else [self.split(line) for line in texts]


def usual_width(rows: Sequence[Sequence[str]]) -> int:
    """Return how many fields most lines have, of those that have more than one."""
    widths = Counter(len(row) for row in rows if len(row) > 1)
    return widths.most_common(1)[0][0] if widths else 1


def declared_quote(quote: str | None) -> str | None:
    """Return the quote that ``data.quote`` names, None where there is none.

    Raises:
        GnnrecError: it names neither.
    """
    if quote is not None and quote not in QUOTES:
        allowed = ["auto", "double", "single", "none"]
        raise GnnrecError(f"data.quote={one_line(str(quote))} is not a choice{nearest(str(quote), allowed)}")
    return None if quote is None else QUOTES[quote]


def declared_mark(declared: str) -> str:
    """Return the delimiter that ``data.delimiter`` names.

    Raises:
        GnnrecError: it is empty.
    """
    mark = ALIASES.get(declared, declared)
    if not mark:
        raise GnnrecError("data.delimiter is empty; give one of ',', ';', 'tab', '|', '::', 'blanks'")
    return mark


def numbered_lines(piece: Lines, multiline: bool) -> pl.DataFrame:
    """Return number and text of the lines that are not empty; with `multiline`, of records, by their first line."""
    if multiline:
        frame = _joined(piece.text.to_list(), piece.first)
    else:
        number = pl.int_range(piece.first, piece.first + len(piece.text), dtype=pl.Int64, eager=True)
        frame = pl.DataFrame([number.alias("row"), piece.text.alias("line")])
    return frame.filter(pl.col("line") != "")


def raw_lines(blob: Blob, encoding: str, multiline: bool, rows: Ints) -> Iterator[tuple[int, str]]:
    """Yield number and text of the lines `rows`, ascending; what does not decode is escaped."""
    for piece in lines(blob, encoding, whole=multiline):
        numbered = numbered_lines(piece, multiline)
        low, high = np.searchsorted(rows, (piece.first, piece.first + len(piece.text)))
        here = rows[low:high]
        if not len(here):
            continue
        found = dict(numbered.filter(np.isin(numbered["row"].to_numpy(), here)).iter_rows())
        wanted = np.isin([number for number, _ in piece.undecodable], here)
        spoilt = zip(piece.undecodable, wanted, strict=True)
        found |= {number: data.decode("utf-8", "backslashreplace") for (number, data), asked in spoilt if asked}
        yield from sorted(found.items())


def _joined(texts: list[str], first: int) -> pl.DataFrame:
    """Join lines while a quote is open; a quote that no line closes within reach spoils its own line only."""
    rows, lines, k = [], [], 0
    while k < len(texts):
        end = k + 1
        if texts[k].count('"') % 2:
            reach = range(k + 1, min(k + _REACH, len(texts)))
            end = next((j + 1 for j in reach if texts[j].count('"') % 2), end)
        rows.append(first + k)
        lines.append("\n".join(texts[k:end]))
        k = end
    return pl.DataFrame({"row": rows, "line": lines}, schema={"row": pl.Int64, "line": pl.String})
