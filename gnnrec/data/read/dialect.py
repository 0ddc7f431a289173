"""The dialect of a text file: its delimiter, the names in its header, its fields, its records over several lines."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.data.read.formats import Blob
from gnnrec.data.read.lines import Lines, lines
from gnnrec.data.types import Ints

_CANDIDATES = ("::", "\t", ",", ";", "|", " ")
_ALIASES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "space": " ", "pipe": "|"}
_RECBOLE = re.compile(r":(token|float|token_seq|float_seq)$")
_REACH = 1000


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


def find_delimiter(blob: Blob, declared: str | None, sample: list[str]) -> tuple[str, list[str]]:
    """Return the delimiter and a note where it is not the usual one for the suffix.

    Raises:
        GnnrecError: the declared one does not occur, or none is found; names the likely one.
    """
    likely = _infer_delimiter(sample)
    if declared is not None:
        mark = _ALIASES.get(declared, declared)
        if not mark:
            raise GnnrecError("data.delimiter is empty; give one of ',', ';', 'tab', '|', '::'")
        if mark not in sample[0]:
            hint = f"; the likely one is {likely!r}: set data.delimiter={likely!r}" if likely else ""
            raise GnnrecError(
                f"{blob.path}: the declared delimiter {declared!r} does not occur in the first line "
                f"'{one_line(sample[0])[:80]}'{hint}"
            )
        return mark, []
    if likely is None:
        raise GnnrecError(
            f"{blob.path}: no delimiter (one of {', '.join(map(repr, _CANDIDATES))}) found in the first line "
            f"'{one_line(sample[0])[:80]}'; declare data.delimiter"
        )
    expected = "::" if blob.suffix == ".dat" else "\t" if blob.suffix in {".tsv", ".inter", ".rating", ".data"} else ","
    return likely, [] if likely == expected else [f"{blob.path.name}: delimiter {likely!r} inferred"]


def _infer_delimiter(sample: list[str]) -> str | None:
    """Return the candidate that cuts most sample lines into as many fields as the first; ties go to the earlier one."""

    def agreement(mark: str) -> int:
        first = len(split(sample[0], mark) or ())
        return sum(len(split(line, mark) or ()) == first for line in sample) if first > 1 else 0

    scores = {mark: agreement(mark) for mark in _CANDIDATES}
    best = max(_CANDIDATES[:-1], key=lambda mark: scores[mark])
    if scores[best]:
        return best
    return " " if scores[" "] else None


def header_names(blob: Blob, head: list[str]) -> tuple[str, ...]:
    """Return the column names without spaces and RecBole types; refuse a name that occurs twice."""
    names = [name.strip().strip("\ufeff") for name in head]
    if all(_RECBOLE.search(name) for name in names):
        names = [_RECBOLE.sub("", name) for name in names]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise GnnrecError(f"{blob.path}: column '{one_line(twice[0])}' occurs twice in the header; rename one of them")
    return tuple(names)


def split(line: str, delimiter: str) -> list[str] | None:
    """Return the fields of one line, or None when a quote is left open or closed inside a field."""
    if len(delimiter) > 1 or '"' not in line:
        return line.split(delimiter)
    try:
        return next(csv.reader([part + "\n" for part in line.split("\n")], delimiter=delimiter, strict=True))
    except csv.Error:
        return None


def split_all(lines: list[str], delimiter: str) -> Sequence[list[str] | None]:
    """Return the fields of every line; in one pass where that gives as many records as lines, else one by one."""
    try:
        records = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        records = []
    if len(records) == len(lines):
        return records
    return [split(line, delimiter) for line in lines]
