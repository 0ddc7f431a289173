"""The first pass over a file: its size, its first bytes, its line ends, lines that hold quotes, marks of joined files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gnnrec.core.errors import GnnrecError
from gnnrec.data.unpack.packing import open_packed

PIECE = 4 << 20
"""Bytes of text cleaned at once; what a row costs on the way is many times its text."""
BOM = b"\xef\xbb\xbf"
_HEAD = 1 << 16
_QUOTED = 1000
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Scan:
    """What one pass over a file found.

    Attributes:
        size: bytes, unpacked.
        head: the first bytes, unpacked.
        line_end: LF, or CR where there is no LF.
        quoted: the first lines with a double quote in them, long ones apart.
        joined: whether a byte order mark begins a later line.
    """

    size: int
    head: bytes
    line_end: bytes
    quoted: tuple[bytes, ...]
    joined: bool


def scan(path: Path, packing: str, max_bytes: int, piece: int) -> Scan:
    """Read a file through.

    Raises:
        GnnrecError: it unpacks to more than `max_bytes`.
    """
    size, head, ends, joined, last = 0, b"", b"", False, b""
    quoted = _Quoted()
    with open_packed(path, packing) as file:
        while chunk := file.read(piece):
            size += len(chunk)
            if size > max_bytes:
                raise GnnrecError(
                    f"{path} unpacks to more than data.max_bytes={max_bytes:,} from {path.stat().st_size:,} bytes; "
                    "raise the cap if you trust the file"
                )
            if not head.strip():  # what comes first, blank space apart, tells JSON from other text
                head = (chunk if chunk[:1].strip() else chunk.lstrip())[:_HEAD]
            if ends != b"\n":
                ends = b"\n" if b"\n" in chunk else b"\r" if b"\r" in chunk else ends
            joined = joined or (b"\xbf" in chunk and _marked(last + chunk))
            last = chunk[-len(BOM) :]
            if head[:4] != b"PAR1":
                quoted.take(chunk)
    return Scan(size, head, ends or b"\n", quoted.end(), joined)


def _marked(data: bytes) -> bool:
    return b"\n" + BOM in data or b"\r" + BOM in data


class _Quoted:
    """The first lines with a quote in them, whatever the pieces in which the file comes."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._found: list[bytes] = []

    def take(self, chunk: bytes) -> None:
        """Look at the next bytes."""
        if len(self._found) >= _QUOTED:
            return
        border = max(chunk.rfind(b"\n"), chunk.rfind(b"\r")) + 1
        if border:
            self._search(b"".join([*self._rest, chunk[:border]]))
            self._rest = []
        # A line that is too long to count is not kept either.
        if sum(map(len, self._rest)) <= _LONGEST:
            self._rest.append(chunk[border:])

    def end(self) -> tuple[bytes, ...]:
        """Return what was found, the last line included."""
        self._search(b"".join(self._rest))
        return tuple(self._found)

    def _search(self, data: bytes) -> None:
        at = data.find(b'"')
        while at >= 0 and len(self._found) < _QUOTED:
            low, high = max(at - _LONGEST, 0), min(at + _LONGEST, len(data))
            start = max(data.rfind(b"\n", low, at), data.rfind(b"\r", low, at), low - 1) + 1
            end = min((e for e in (data.find(b"\n", at, high), data.find(b"\r", at, high)) if e >= 0), default=high)
            if end - start < _LONGEST:
                self._found.append(data[start:end])
            at = data.find(b'"', end)
