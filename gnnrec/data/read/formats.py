"""From a path to bytes: refuses what is not a plain readable file, unpacks under a cap, names the format.

A file is read through once to check it and take its hash, and again, in pieces of bounded size, for its rows.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.data.unpack import packing
from gnnrec.data.unpack.foreign import check_known
from gnnrec.data.unpack.packing import open_packed, packing_of
from gnnrec.data.unpack.scan import BOM, PIECE, Scan, scan

DEFAULT_MAX_BYTES = 4 << 30
MAX_LINE = 64 << 20
"""Bytes of a line; a file without line ends is no log, and would have to lie in memory whole."""
_UTF16 = {b"\xff\xfe": "UTF-16 (little endian)", b"\xfe\xff": "UTF-16 (big endian)"}
_JSON = {".jsonl", ".ndjson", ".json"}
_FIRST = 16
__all__ = ["BOM", "DEFAULT_MAX_BYTES", "PIECE", "Blob", "Source", "load"]


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
        packed: how it is packed; empty: it is not.
        line_end: what ends its lines: LF, or CR where there is no LF.
        suffix: of its name, without that of the packing.
        kind: "parquet", "json" or "text".
        source: for the record.
        stamp: size and time of change at the check.
        joined: whether byte order marks begin later lines.
        quoted: the first lines with a double quote in them, where it is text.
        notes: what is worth telling about it.
    """

    path: Path
    head: bytes
    size: int
    packed: str
    line_end: bytes
    suffix: str
    kind: str
    source: Source
    stamp: tuple[int, int]
    joined: bool
    quoted: tuple[bytes, ...]
    notes: tuple[str, ...]

    def pieces(self) -> Iterator[bytes]:
        """Yield the unpacked bytes in pieces of about `PIECE` that end where a line does.

        Raises:
            GnnrecError: the file is no longer what was checked.
        """
        rest: list[bytes] = []
        read = 0
        try:
            with open_packed(self.path, self.packed) as file:
                while chunk := file.read(PIECE):
                    read += len(chunk)
                    border = chunk.rfind(self.line_end) + 1
                    if border:
                        yield b"".join([*rest, chunk[:border]])
                        rest = []
                    rest.append(chunk[border:])
                    self._check_line(sum(map(len, rest)))
        except (OSError, *packing.FAULTS) as error:  # it was sound when it was checked
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
            with open_packed(self.path, self.packed) as file:
                found = file.read()
        except (OSError, *packing.FAULTS) as error:
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


def load(path: Path, max_bytes: int = DEFAULT_MAX_BYTES, empty: bool = False) -> Blob:
    """Check `path` and read it through once.

    Args:
        path: of the file.
        max_bytes: cap on its size, unpacked.
        empty: whether it may be empty.

    Raises:
        GnnrecError: the file cannot be read, is empty, unpacks to more than `max_bytes`, or changed meanwhile.
    """
    if not str(path).isprintable():
        raise GnnrecError(f"the file name '{one_line(str(path))}' holds control characters; rename it")
    before, digest, packed, found = _read_through(path, max_bytes)
    if not found.size and not empty:
        raise GnnrecError(f"{path} is empty (0 bytes{' unpacked' if packed else ''}); give a file with rows")
    suffixes = [s.lower() for s in (Path(packing.member(path)) if packed == "zip" else path).suffixes]
    notes = _odd(path, packed, found.joined)
    suffix = next((s for s in reversed(suffixes) if s not in packing.SUFFIXES.values()), "")
    source = Source(path.name, digest, before.st_size)
    kind = _kind(path, found.head, found.size, suffix) if found.size else "text"
    if kind == "parquet" and packed == "zstd":
        raise GnnrecError(
            f"{path} is Parquet packed by zstd; unpack it by `zstd -d` (Parquet is packed inside already)"
        )
    shape = found.size, packed, found.line_end, suffix, kind, source, _stamp(before), found.joined
    return Blob(path, found.head, *shape, found.quoted if kind == "text" else (), notes)


def _read_through(path: Path, max_bytes: int) -> tuple[os.stat_result, str, str, Scan]:
    """Return the file's state, its hash, how it is packed, and what is in it."""
    packed = ""
    try:
        before = path.stat()
        _check_plain(path, before, max_bytes)
        digest, packed = _hashed(path)
        found = scan(path, packed, max_bytes, PIECE)
        after = path.stat()
    except FileNotFoundError:
        raise GnnrecError(f"{path} does not exist; check data.path and data.root") from None
    except PermissionError:
        raise GnnrecError(f"{path} may not be read: permission denied; change its mode or copy it") from None
    except (*packing.FAULTS, OSError) as error:
        # Unpackers complain by an `OSError` without a number.
        if packed and getattr(error, "errno", None) is None:
            raise packing.fault(path, packed, before.st_size, error) from None
        raise GnnrecError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if _stamp(before) != _stamp(after):
        raise _changed(path)
    return before, digest, packed, found


def _odd(path: Path, packed: str, joined: bool) -> tuple[str, ...]:
    """Return what is unusual about a file."""
    named = path.suffix.lower() == packing.SUFFIXES.get(packed)
    notes = [f"{path.name} is {packed} although its name does not say so"] if packed and not named else []
    if joined:
        notes.append(f"{path.name}: byte order marks inside, as where files were joined, were taken off")
    return tuple(notes)


def _stamp(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def _changed(path: Path) -> GnnrecError:
    return GnnrecError(f"{path} changed while it was read; wait for its writer to finish, then run again")


def _hashed(path: Path) -> tuple[str, str]:
    """Return the SHA-256 of the raw bytes, and how they are packed."""
    with path.open("rb") as file:
        packed = packing_of(file.read(_FIRST))
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest(), packed


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
    check_known(path, head)
    return "json" if suffix in _JSON else "text"
