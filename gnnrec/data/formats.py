"""From a path to bytes: refuses what is not a plain readable file, unpacks gzip under a cap, names the format."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path

from gnnrec.errors import GnnrecError, one_line

DEFAULT_MAX_BYTES = 4 << 30
_CHUNK = 16 << 20
_UTF16 = {b"\xff\xfe": "UTF-16 (little endian)", b"\xfe\xff": "UTF-16 (big endian)"}
_JSON = {".jsonl", ".ndjson", ".json"}


@dataclass(frozen=True, slots=True)
class Source:
    """What was read: enough to recognise the same file again."""

    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Blob:
    """A file in memory, unpacked, with its suffix (without .gz), its format and what is worth telling about it."""

    path: Path
    data: bytes
    suffix: str
    kind: str
    source: Source
    notes: tuple[str, ...]


def load(path: Path, max_bytes: int = DEFAULT_MAX_BYTES) -> Blob:
    """Read `path` once, completely; every later step works on these bytes.

    Raises:
        GnnrecError: the file cannot be read, is empty, unpacks to more than `max_bytes`, or changed meanwhile.
    """
    if not str(path).isprintable():
        raise GnnrecError(f"the file name '{one_line(str(path))}' holds control characters; rename it")
    raw = _read_stable(path, max_bytes)
    source = Source(path.name, hashlib.sha256(raw).hexdigest(), len(raw))
    suffixes = [s.lower() for s in path.suffixes]
    packed = raw[:2] == b"\x1f\x8b"
    notes = []
    if packed and suffixes[-1:] != [".gz"]:
        notes.append(f"{path.name} is gzip although its name does not say so")
    data = _gunzip(path, raw, max_bytes) if packed else raw
    if not data:
        raise GnnrecError(f"{path} is empty (0 bytes{' unpacked' if packed else ''}); give a file with rows")
    plain = [s for s in suffixes if s != ".gz"]
    suffix = plain[-1] if plain else ""
    return Blob(path, data, suffix, _kind(path, data, suffix), source, tuple(notes))


def _read_stable(path: Path, max_bytes: int) -> bytes:
    try:
        before = path.stat()
        _check_plain(path, before, max_bytes)
        raw = path.read_bytes()
        after = path.stat()
    except FileNotFoundError:
        raise GnnrecError(f"{path} does not exist; check data.path and data.root") from None
    except PermissionError:
        raise GnnrecError(f"{path} may not be read: permission denied; change its mode or copy it") from None
    except OSError as error:
        raise GnnrecError(f"{path} cannot be read: {error.strerror or error}") from None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(raw) != after.st_size:
        raise GnnrecError(f"{path} changed while it was read; wait for its writer to finish, then run again")
    return raw


def _check_plain(path: Path, status: os.stat_result, max_bytes: int) -> None:
    mode, size = status.st_mode, status.st_size
    if stat.S_ISDIR(mode):
        raise GnnrecError(f"{path} is a directory; data.path must name a file or a list of files")
    if not stat.S_ISREG(mode):
        raise GnnrecError(f"{path} is not a regular file (a pipe or device); write it to a file first")
    if size > max_bytes:
        raise GnnrecError(f"{path} has {size:,} bytes, more than data.max_bytes={max_bytes:,}; raise the cap")


def _gunzip(path: Path, raw: bytes, max_bytes: int) -> bytes:
    parts, total = [], 0
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as packed:
            while chunk := packed.read(_CHUNK):
                total += len(chunk)
                if total > max_bytes:
                    raise GnnrecError(
                        f"{path} unpacks to more than data.max_bytes={max_bytes:,} from {len(raw):,} bytes; "
                        "raise the cap if you trust the file"
                    )
                parts.append(chunk)
    except EOFError:
        raise GnnrecError(f"{path} is a truncated gzip file ({len(raw):,} bytes); fetch it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise GnnrecError(f"{path} is a damaged gzip file ({error}); fetch it again") from None
    return b"".join(parts)


def _kind(path: Path, data: bytes, suffix: str) -> str:
    for bom, name in _UTF16.items():
        if data.startswith(bom):
            raise GnnrecError(f"{path} is {name} by its byte order mark; save it as UTF-8")
    if data[:4] == b"PAR1":
        return "parquet"
    if suffix in {".parquet", ".pq"}:
        raise GnnrecError(f"{path} is not Parquet: it does not begin with PAR1 ({len(data):,} bytes); fetch it again")
    if data[:4] == b"PK\x03\x04":
        raise GnnrecError(f"{path} is a zip archive; unpack it and give the file inside")
    return "json" if suffix in _JSON else "text"


def decode_lines(blob: Blob, encoding: str = "utf-8") -> tuple[list[str], list[tuple[int, bytes]]]:
    """Return the physical lines and, apart, those that are not valid text as (line number from 1, bytes).

    A line ends at LF, CRLF or, in files without any LF, CR. An undecodable line keeps its place as an empty string.
    """
    data = blob.data.removeprefix(b"\xef\xbb\xbf")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n") if b"\n" in data else data.replace(b"\r", b"\n")
    try:
        return data.decode(encoding).split("\n"), []
    except UnicodeDecodeError:
        return _decode_each(data.split(b"\n"), encoding)
    except LookupError:
        raise GnnrecError(f"data.encoding={encoding!r} is not known; use utf-8 or latin-1") from None


def _decode_each(lines: list[bytes], encoding: str) -> tuple[list[str], list[tuple[int, bytes]]]:
    good: list[str] = []
    bad: list[tuple[int, bytes]] = []
    for number, line in enumerate(lines, 1):
        try:
            good.append(line.decode(encoding))
        except UnicodeDecodeError:
            good.append("")
            bad.append((number, line))
    return good, bad
