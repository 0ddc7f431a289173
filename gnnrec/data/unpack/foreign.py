"""Files that are no text: named by their first bytes, with what to do instead."""

from __future__ import annotations

import re
from pathlib import Path

from gnnrec.core.errors import GnnrecError

_WRITE = "write the events as CSV or Parquet"
_SAVE = "save its table as CSV (UTF-8)"
_UNPACK = "unpack it and give the file inside"
_KNOWN: tuple[tuple[re.Pattern[bytes], str, str], ...] = (
    (re.compile(rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "an old Excel workbook or another Office document", _SAVE),
    (re.compile(rb"SQLite format 3\x00"), "an SQLite database", "export the table as CSV"),
    (re.compile(rb"\x89HDF\r\n\x1a\n"), "an HDF5 file", _WRITE),
    (re.compile(rb"\x93NUMPY"), "a NumPy array", _WRITE),
    (re.compile(rb"\x80[\x02-\x05]"), "a Python pickle, which is never opened: it can run code", _WRITE),
    (re.compile(rb"ARROW1\x00\x00|FEA1"), "an Arrow (Feather) file", "write it as Parquet"),
    (re.compile(rb"Obj\x01"), "an Avro file", "write it as Parquet"),
    (re.compile(rb"ORC"), "an ORC file", "write it as Parquet"),
    (re.compile(rb"MATLAB 5\.0 MAT"), "a MATLAB file", _WRITE),
    (re.compile(rb"RDX[23]\n"), "an R data file", "write it by write.csv"),
    (re.compile(rb"7z\xbc\xaf\x27\x1c"), "a 7z archive", _UNPACK),
    (re.compile(rb"Rar!\x1a\x07"), "a RAR archive", _UNPACK),
    (re.compile(rb"\x04\x22\x4d\x18"), "an lz4 file", _UNPACK),
    (re.compile(rb"\x1f\x9d"), "a file packed by compress", _UNPACK),
    (re.compile(rb".{257}ustar", re.DOTALL), "a tar archive", "unpack it and give the files to read"),
    (re.compile(rb"%PDF-"), "a PDF", "export its table as CSV"),
    (re.compile(rb"\s*<(!doctype\s+html|html)", re.I), "a web page, perhaps the error page of a download", "fetch it again"),
    (re.compile(rb"\s*<\?xml"), "an XML file", _WRITE),
)  # fmt: skip
_TEXT_LIKE = {"an ORC file"}
"""Told by letters alone, so a text may begin alike: only with a byte that no text has."""


def check_known(path: Path, head: bytes) -> None:
    """Refuse what is known not to be a log of text or Parquet.

    Raises:
        GnnrecError: says what it is and what to do.
    """
    for magic, what, advice in _KNOWN:
        if magic.match(head) and (what not in _TEXT_LIKE or b"\x00" in head):
            raise GnnrecError(f"{path} is {what}; {advice}")
