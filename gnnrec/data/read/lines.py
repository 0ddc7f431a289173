"""Lines of a text file, piece by piece: numbered, decoded, those that do not decode apart."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.data.read.encoding import C1, likely_encoding
from gnnrec.data.read.formats import BOM, Blob

_STATELESS = ("utf-8", "utf-8-sig", "ascii", "gbk", "gb2312", "gb18030", "big5", "shift_jis", "cp932", "cp949", "cp950")
_STATELESS_FAMILIES = ("iso8859-", "cp125", "koi8-", "euc_")
_LOOKED_AT = 1000
"""Lines that do not decode which are looked at to find out what they are."""


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
        GnnrecError: there is no such encoding, or a text that must be decoded in one piece cannot be.
    """
    if not _cut_anywhere(encoding):
        yield _all_decoded(blob, encoding)
        return
    number, first = 1, True
    for piece in (blob.whole(),) if whole else blob.pieces():
        data = piece.removeprefix(BOM) if first or blob.joined else piece
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n") if blob.line_end == b"\n" else data.replace(b"\r", b"\n")
        if blob.joined:
            data = data.replace(b"\n" + BOM, b"\n")
        found = _decoded(data, encoding, number)
        yield found
        # A piece ends with a line end, behind which nothing stands: the next piece begins that line.
        number += len(found.text) - 1
        first = False


@dataclass(frozen=True, slots=True)
class Spoilt:
    """Lines that do not decode: how many, of how many, the first one's number, and a few as they are."""

    count: int
    filled: int
    first: int
    shown: tuple[bytes, ...]


def spoilt(blob: Blob, encoding: str) -> Spoilt | None:
    """Return what does not decode; None: all does."""
    if not _cut_anywhere(encoding) or all(_decodes(piece, encoding) for piece in blob.pieces()):
        return None
    bad, first, filled = 0, 0, 0
    shown: list[bytes] = []
    for piece in lines(blob, encoding):
        bad += len(piece.undecodable)
        first = first or (piece.undecodable[0][0] if piece.undecodable else 0)
        filled += int((piece.text != "").sum())
        shown += [data for _, data in piece.undecodable[: _LOOKED_AT - len(shown)]]
    return Spoilt(bad, filled, first, tuple(shown))


def check_decodes(blob: Blob, encoding: str) -> tuple[str, ...]:
    """Return what is to be said about lines that do not decode.

    Raises:
        GnnrecError: the first line, or most lines, do not: it is not text in this encoding.
    """
    found = spoilt(blob, encoding)
    _check_width(blob, encoding)
    if found is None:
        return _controls(blob, encoding)
    if found.first == 1 or found.count > found.filled // 2:
        why = f"{found.count:,} lines do not decode, first line {found.first}"
        raise _refused(blob, encoding, why, likely_encoding(found.shown))
    return (said(blob, encoding, found),)


def said(blob: Blob, encoding: str, found: Spoilt) -> str:
    """Return a line about rows that do not decode."""
    return (
        f"{blob.path.name}: {found.count:,} lines are not {encoding}, the first of them line {found.first}, and are set aside; "
        f"they look like another encoding: set data.encoding={likely_encoding(found.shown)}"
    )


def _check_width(blob: Blob, encoding: str) -> None:
    """Refuse a text whose every second byte is 0: each is sound UTF-8, and none of it is meant so."""
    even, odd = blob.head[::2].count(0), blob.head[1::2].count(0)
    if _cut_anywhere(encoding) and 4 * (even + odd) > len(blob.head):
        wide = "utf-16-le" if odd > even else "utf-16-be"
        raise _refused(blob, encoding, "it looks like UTF-16 without a byte order mark", wide)


def _controls(blob: Blob, encoding: str) -> tuple[str, ...]:
    """Return a note where a text read as latin-1 has bytes that are control characters there, and signs in cp1252."""
    latin = codecs.lookup(encoding).name == "iso8859-1"
    if not latin or not any(C1.search(piece) for piece in blob.pieces() if not piece.isascii()):
        return ()
    name = blob.path.name
    return (f"{name}: bytes 80 to 9F are control characters in latin-1 and signs in cp1252: set data.encoding=cp1252",)


def _refused(blob: Blob, encoding: str, why: str, likely: str) -> GnnrecError:
    return GnnrecError(f"{blob.path} is not {encoding} text ({why}); save it as UTF-8 or set data.encoding={likely}")


def _cut_anywhere(encoding: str) -> bool:
    """Return whether a text can be cut at line ends before it is decoded: LF is one byte and carries no state over.

    Raises:
        GnnrecError: there is no such encoding.
    """
    try:
        "".encode(encoding)
        name = codecs.lookup(encoding).name
    except (LookupError, ValueError, TypeError):
        raise GnnrecError(f"data.encoding={encoding!r} is not known; use utf-8, cp1252 or latin-1") from None
    return name in _STATELESS or name.startswith(_STATELESS_FAMILIES)


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        return bool(data.isascii() or data.decode(encoding) is not None)
    except UnicodeError:
        return False


def _all_decoded(blob: Blob, encoding: str) -> Lines:
    try:
        text = blob.whole().decode(encoding)
        text.encode()  # a lone surrogate is no text
    except UnicodeError as error:
        raise _refused(blob, encoding, one_line(str(error))[:120], "latin-1") from None
    text = text.removeprefix("\ufeff")
    return _split(text.replace("\r\n", "\n") if "\n" in text else text.replace("\r", "\n"), 1)


def _decoded(data: bytes, encoding: str, first: int) -> Lines:
    try:
        return _split(data.decode(encoding), first)
    except UnicodeError:
        return _decoded_each(data.split(b"\n"), encoding, first)


def _split(text: str, first: int) -> Lines:
    return Lines(first, pl.Series("line", [text]).str.split("\n").explode(), ())


def _decoded_each(data: list[bytes], encoding: str, first: int) -> Lines:
    good: list[str] = []
    bad: list[tuple[int, bytes]] = []
    for number, line in enumerate(data, first):
        try:
            good.append(line.decode(encoding))
        except UnicodeError:
            good.append("")
            bad.append((number, line))
    return Lines(first, pl.Series("line", good, pl.String), tuple(bad))
