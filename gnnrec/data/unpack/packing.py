"""Packed files: told by their first bytes, unpacked as a stream, whatever their names say."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

import polars as pl

from gnnrec.core.errors import GnnrecError, one_line

SUFFIXES = {"gzip": ".gz", "bz2": ".bz2", "xz": ".xz", "zstd": ".zst", "zip": ".zip"}
"""Ways to pack, and the suffix of each."""
FAULTS = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, pl.exceptions.PolarsError)
"""What unpackers raise beside `OSError` without a number."""
_MAGIC = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "bz2": re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"),
    "xz": re.compile(rb"\xfd7zXZ\x00"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd"),
    "zip": re.compile(rb"PK(\x03\x04|\x05\x06)"),
}
_LINES = 1 << 16
_BESIDE = ("__MACOSX/", ".DS_Store")


def packing_of(first: bytes) -> str:
    """Return how a file that begins so is packed; empty: it is not."""
    return next((name for name, magic in _MAGIC.items() if magic.match(first)), "")


def open_packed(path: Path, packing: str) -> IO[bytes]:
    """Return a stream of the unpacked bytes."""
    if packing == "zip":
        return zipfile.ZipFile(path).open(member(path))
    if packing == "zstd":
        return cast(IO[bytes], io.BufferedReader(_Zstd(path)))
    openers: dict[str, Callable[..., object]] = {"gzip": gzip.open, "bz2": bz2.open, "xz": lzma.open}
    return cast(IO[bytes], openers[packing](path, "rb") if packing else path.open("rb"))


def fault(path: Path, packing: str, size: int, error: BaseException) -> GnnrecError:
    """Return what to say about a file that does not unpack."""
    if isinstance(error, EOFError):
        return GnnrecError(f"{path} is a truncated {packing} file ({size:,} bytes); fetch it again")
    if packing == "zstd" and "utf8" in str(error).lower():
        return GnnrecError(
            f"{path} is zstd, of which only UTF-8 text can be read; unpack it by `zstd -d` and give that file"
        )
    return GnnrecError(f"{path} is a damaged {packing} file ({one_line(str(error))[:80]}); fetch it again")


def member(path: Path) -> str:
    """Return the name of the one file in a zip archive.

    Raises:
        GnnrecError: it holds another number of files, needs a password, or is a document.
    """
    with zipfile.ZipFile(path) as archive:
        held = [i for i in archive.infolist() if not i.is_dir() and not i.filename.startswith(_BESIDE)]
    names = [i.filename for i in held]
    if "[Content_Types].xml" in names:
        kind = "an Excel workbook" if any(n.startswith("xl/") for n in names) else "an Office document"
        raise GnnrecError(f"{path} is {kind}; save its table as CSV (UTF-8)")
    if "mimetype" in names:
        raise GnnrecError(f"{path} is an OpenDocument file; save its table as CSV (UTF-8)")
    if names and all(n.endswith(".npy") for n in names):
        raise GnnrecError(f"{path} is a NumPy archive; write the events as CSV or Parquet")
    if len(held) != 1:
        shown = ", ".join(map(one_line, names[:5])) + (", …" if len(names) > 5 else "")
        raise GnnrecError(f"{path} is a zip archive of {len(held)} files ({shown}); unpack it and give those to read")
    if held[0].flag_bits & 1:
        raise GnnrecError(f"{path} is a zip archive with a password; unpack it and give the file inside")
    return names[0]


class _Zstd(io.RawIOBase):
    """The text of a zstd file as a stream: Python has no decoder before 3.14, and polars hands out lines.

    Line ends become LF, and the last line has one: enough for text. What is no UTF-8 polars refuses.
    """

    def __init__(self, path: Path) -> None:
        self._left = b""
        self._batches: Iterator[pl.DataFrame] = iter(
            pl.scan_lines(path, glob=False).collect_batches(maintain_order=True, chunk_size=_LINES)
        )

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: object) -> int:
        """Fill `buffer` with what comes next; 0 at the end."""
        while not self._left:
            batch = next(self._batches, None)
            if batch is None:
                return 0
            self._left = b"".join(line + b"\n" for line in batch["line"].cast(pl.Binary).to_list())
        view = memoryview(cast(bytearray, buffer))
        given, self._left = self._left[: len(view)], self._left[len(view) :]
        view[: len(given)] = given
        return len(given)
