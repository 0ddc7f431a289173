"""Lines of a text file, piece by piece: numbered, decoded, those that do not decode apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from gnnrec.data.formats import BOM, Blob
from gnnrec.errors import GnnrecError


@dataclass(frozen=True, slots=True)
class Lines:
    """Physical lines that follow each other.

    Attributes:
        first: number of the first one, from 1.
        text: the lines; one that does not decode is empty.
        undecodable: (number, bytes) of those.
    """

    first: int
    text: pl.Series
    undecodable: tuple[tuple[int, bytes], ...]


def lines(blob: Blob, encoding: str = "utf-8", whole: bool = False) -> Iterator[Lines]:
    """Yield the lines of a file; a line ends at LF, CRLF or, in files without any LF, CR.

    Args:
        blob: the file.
        encoding: of its text.
        whole: in one piece.

    Raises:
        GnnrecError: there is no such encoding.
    """
    number, first = 1, True
    for piece in (blob.whole(),) if whole or not _cuts_at_bytes(encoding) else blob.pieces():
        data = piece.removeprefix(BOM) if first else piece
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n") if blob.line_end == b"\n" else data.replace(b"\r", b"\n")
        found = _decoded(data, encoding, number)
        yield found
        # A piece ends with a line end, behind which nothing stands: the next piece begins that line.
        number += len(found.text) - 1
        first = False


def check_decodes(blob: Blob, encoding: str) -> None:
    """Refuse a text whose first line, or most of whose lines, do not decode.

    Raises:
        GnnrecError: it is not text in this encoding.
    """
    bad, first, filled = 0, 0, 0
    for piece in lines(blob, encoding):
        bad += len(piece.undecodable)
        first = first or (piece.undecodable[0][0] if piece.undecodable else 0)
        filled += int((piece.text != "").sum())
    if bad and (first == 1 or bad > filled // 2):
        raise GnnrecError(
            f"{blob.path} is not {encoding} text ({bad:,} lines do not decode, "
            f"first line {first}); save it as UTF-8 or set data.encoding=latin-1"
        )


def _cuts_at_bytes(encoding: str) -> bool:
    """Return whether a line end is one byte, so that a text can be cut before it is decoded."""
    try:
        return "\n".encode(encoding) == b"\n"
    except LookupError:
        raise GnnrecError(f"data.encoding={encoding!r} is not known; use utf-8 or latin-1") from None


def _decoded(data: bytes, encoding: str, first: int) -> Lines:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return _decoded_each(data.split(b"\n"), encoding, first)
    return Lines(first, pl.Series("line", [text]).str.split("\n").explode(), ())


def _decoded_each(data: list[bytes], encoding: str, first: int) -> Lines:
    good: list[str] = []
    bad: list[tuple[int, bytes]] = []
    for number, line in enumerate(data, first):
        try:
            good.append(line.decode(encoding))
        except UnicodeDecodeError:
            good.append("")
            bad.append((number, line))
    return Lines(first, pl.Series("line", good, pl.String), tuple(bad))
