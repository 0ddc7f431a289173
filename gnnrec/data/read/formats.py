"""From a path to bytes: refuses what is not a plain readable file, unpacks gzip under a cap, names the format.

A file is read through once to check it and take its hash, and again, in pieces of bounded size, for its rows.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from gnnrec.core.errors import GnnrecError, one_line

DEFAULT_MAX_BYTES = 4 << 30
PIECE = 4 << 20
"""Bytes of text cleaned at once; what a row costs on the way is many times its text."""
MAX_LINE = 64 << 20
"""Bytes of a line; a file without line ends is no log, and would have to lie in memory whole."""
_HEAD = 1 << 16
_UTF16 = {b"\xff\xfe": "UTF-16 (little endian)", b"\xfe\xff": "UTF-16 (big endian)"}
_JSON = {".jsonl", ".ndjson", ".json"}
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Source:
    """What was read: enough to recognise the same file again."""

    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Blob:
    """A file that was checked once.

    Attributes:
        path: where it lies.
        head: its first bytes, unpacked.
        size: bytes, unpacked.
        packed: whether it is gzip.
        line_end: what ends its lines: LF, or CR where there is no LF.
        suffix: of its name, without .gz.
        kind: "parquet", "json" or "text".
        source: for the record.
        stamp: size and time of change at the check.
        notes: what is worth telling about it.
    """

    path: Path
    head: bytes
    size: int
    packed: bool
    line_end: bytes
    suffix: str
    kind: str
    source: Source
    stamp: tuple[int, int]
    notes: tuple[str, ...]

    def pieces(self) -> Iterator[bytes]:
        """Yield the unpacked bytes in pieces of about `PIECE` that end where a line does.

        Raises:
            GnnrecError: the file is no longer what was checked.
        """
        rest: list[bytes] = []
        read = 0
        try:
            with _open(self.path, self.packed) as file:
                while chunk := file.read(PIECE):
                    read += len(chunk)
                    border = chunk.rfind(self.line_end) + 1
                    if border:
                        yield b"".join([*rest, chunk[:border]])
                        rest = []
                    rest.append(chunk[border:])
                    self._check_line(sum(map(len, rest)))
        except (OSError, EOFError, zlib.error) as error:  # it was sound when it was checked
            raise _changed(self.path) from error
        self.check_same(read)
        if last := b"".join(rest):
            yield last

    def _check_line(self, size: int) -> None:
        if size > MAX_LINE:
            raise GnnrecError(
                f"{self.path} has a line of more than {MAX_LINE:,} bytes; give a file with one event per line"
            )

    def whole(self) -> bytes:
        """Return all bytes, unpacked."""
        try:
            with _open(self.path, self.packed) as file:
                found = file.read()
        except (OSError, EOFError, zlib.error) as error:
            raise _changed(self.path) from error
        self.check_same(len(found))
        return found

    def check_same(self, read: int | None = None) -> None:
        """Refuse a file that has changed since it was checked."""
        try:
            same = _stamp(self.path.stat()) == self.stamp and read in (None, self.size)
        except OSError as error:
            raise _changed(self.path) from error
        if not same:
            raise _changed(self.path)


def load(path: Path, max_bytes: int = DEFAULT_MAX_BYTES) -> Blob:
    """Check `path` and read it through once.

    Raises:
        GnnrecError: the file cannot be read, is empty, unpacks to more than `max_bytes`, or changed meanwhile.
    """
    if not str(path).isprintable():
        raise GnnrecError(f"the file name '{one_line(str(path))}' holds control characters; rename it")
    try:
        before = path.stat()
        _check_plain(path, before, max_bytes)
        digest, packed = _hashed(path)
        size, head, ends = _surveyed(path, packed, max_bytes)
        after = path.stat()
    except FileNotFoundError:
        raise GnnrecError(f"{path} does not exist; check data.path and data.root") from None
    except PermissionError:
        raise GnnrecError(f"{path} may not be read: permission denied; change its mode or copy it") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise GnnrecError(f"{path} is a damaged gzip file ({error}); fetch it again") from None
    except EOFError:
        raise GnnrecError(f"{path} is a truncated gzip file ({before.st_size:,} bytes); fetch it again") from None
    except OSError as error:
        raise GnnrecError(f"{path} cannot be read: {error.strerror or error}") from None
    if _stamp(before) != _stamp(after):
        raise _changed(path)
    if not size:
        raise GnnrecError(f"{path} is empty (0 bytes{' unpacked' if packed else ''}); give a file with rows")
    suffixes = [s.lower() for s in path.suffixes]
    odd = packed and suffixes[-1:] != [".gz"]
    notes = (f"{path.name} is gzip although its name does not say so",) if odd else ()
    suffix = next((s for s in reversed(suffixes) if s != ".gz"), "")
    source = Source(path.name, digest, before.st_size)
    kind = _kind(path, head, size, suffix)
    return Blob(path, head, size, packed, ends, suffix, kind, source, _stamp(before), notes)


def _stamp(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def _changed(path: Path) -> GnnrecError:
    return GnnrecError(f"{path} changed while it was read; wait for its writer to finish, then run again")


def _open(path: Path, packed: bool) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path, "rb") if packed else path.open("rb"))


def _hashed(path: Path) -> tuple[str, bool]:
    """Return the SHA-256 of the raw bytes, and whether they are gzip."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest(), packed


def _surveyed(path: Path, packed: bool, max_bytes: int) -> tuple[int, bytes, bytes]:
    """Return size and first bytes, unpacked, and what ends a line."""
    size, head, ends = 0, b"", b""
    with _open(path, packed) as file:
        while chunk := file.read(PIECE):
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
    return size, head, ends or b"\n"


def _check_plain(path: Path, status: os.stat_result, max_bytes: int) -> None:
    mode, size = status.st_mode, status.st_size
    if stat.S_ISDIR(mode):
        raise GnnrecError(f"{path} is a directory; data.path must name a file or a list of files")
    if not stat.S_ISREG(mode):
        raise GnnrecError(f"{path} is not a regular file (a pipe or device); write it to a file first")
    if size > max_bytes:
        raise GnnrecError(f"{path} has {size:,} bytes, more than data.max_bytes={max_bytes:,}; raise the cap")


def _kind(path: Path, head: bytes, size: int, suffix: str) -> str:
    for bom, name in _UTF16.items():
        if head.startswith(bom):
            raise GnnrecError(f"{path} is {name} by its byte order mark; save it as UTF-8")
    if head[:4] == b"PAR1":
        return "parquet"
    if suffix in {".parquet", ".pq"}:
        raise GnnrecError(f"{path} is not Parquet: it does not begin with PAR1 ({size:,} bytes); fetch it again")
    if head[:4] == b"PK\x03\x04":
        raise GnnrecError(f"{path} is a zip archive; unpack it and give the file inside")
    return "json" if suffix in _JSON else "text"
