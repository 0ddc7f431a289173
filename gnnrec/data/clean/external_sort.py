"""Rows of a log that is too long for memory, in files: by pair, so that repeats meet, then by time, so that order can be had.

A record holds the place of a row in the log, its user and item as numbers, its value and time. Records are handed out in
arrays of a quarter of `limit` rows or so; only a pair, or an instant, with more events than that takes more memory.
Files are written, and those of the next pairs read, by a thread while the caller does something else.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gnnrec.data.types import Ints

LIMIT = 1 << 22
"""Rows held in memory before any are written down; for a moment a quarter more, while the thread catches up."""
WORKED_ON = 4
"""What is made of a row takes so many times its memory: so many times fewer are handed out at once."""
RECORD = np.dtype([("row", "<i8"), ("user", "<u4"), ("item", "<u4"), ("value", "<f8"), ("time", "<f8")])
FILES = 64
"""Files of records by pair: a log of 4 GiB has some two million rows in each."""
SAMPLE = 256
"""Every how manieth row's time is noted, to cut time into bands of like size."""
SUFFIX = ".part"

Records = NDArray[Any]


class Overflow:
    """Takes rows as they come and gives them back by pair; takes what is left of them and gives it back by time.

    Args:
        folder: where files lie while they are needed; what an earlier process left there is deleted. Enter before use.
        limit: rows held in memory; more are written down.
    """

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self.folder, self.limit, self.part = folder, limit, max(limit // WORKED_ON, 1)
        self.rows = 0
        self._name = secrets.token_hex(4)
        self._sample: list[NDArray[np.float64]] = []
        self._borders: NDArray[np.float64] | None = None
        self._beside = ThreadPoolExecutor(1)
        self._writing: list[Future[None]] = []

    def __enter__(self) -> Self:
        for path in self.folder.glob(f"*{SUFFIX}"):
            path.unlink(missing_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._beside.shutdown(cancel_futures=True)
        finally:
            for path in self.folder.glob(f"{self._name}-*{SUFFIX}"):
                path.unlink(missing_ok=True)

    @property
    def room(self) -> int:
        """Rows that may wait for `put`: all that memory is to hold, and once it has not held them, a part."""
        return self.part if self.rows else self.limit

    def put(self, pieces: Sequence[Mapping[str, NDArray[Any]]]) -> None:
        """Write down rows that follow those written before: user, item, and value and time where there are such, [n] each."""
        self._settle()
        for columns in pieces:
            self._writing.append(self._beside.submit(self._put, columns, self.rows))
            self.rows += len(columns["user"])

    def _put(self, columns: Mapping[str, NDArray[Any]], start: int) -> None:
        found = np.zeros(len(columns["user"]), RECORD)
        found["row"] = np.arange(start, start + len(found))
        for name, column in columns.items():
            found[name] = column
        self._sample.append(found["time"][::SAMPLE].copy())
        self._write("pair", found, _mixed(found["user"], found["item"]))

    def rewind(self, rows: int) -> None:
        """Forget the rows written down after the first `rows`."""
        self._settle()
        self.rows, self._sample = rows, []
        for path in self._all("pair"):
            found = np.fromfile(path, RECORD)
            found = found[found["row"] < rows]
            self._sample.append(found["time"][::SAMPLE].copy())
            found.tofile(path)

    def pairs(self) -> Iterator[Records]:
        """Yield the rows, those of a pair together, in order of time, equal times as they came; the files are let go."""
        self._settle()
        coming: Future[Records] | None = None
        for paths in _grouped(self._all("pair"), self.part):
            found, coming = coming, self._beside.submit(_drained, paths)
            if found is not None:
                yield found.result()
        if coming is not None:
            yield coming.result()

    def keep(self, found: Records) -> None:
        """Write down some of the rows for `bands`."""
        if self._borders is None:
            share = min(self.part / max(self.rows, 1), 1.0)
            self._borders = np.unique(_micro(np.quantile(np.concatenate(self._sample), np.arange(share, 1, share))))
        # Of equal times, to the microsecond, none lies beyond a border that another one is before.
        self._settle()
        self._writing.append(self._beside.submit(self._keep, found, self._borders))

    def _keep(self, found: Records, borders: NDArray[np.float64]) -> None:
        self._write("time", found, np.searchsorted(borders, _micro(found["time"]), side="right"))

    def bands(self) -> Iterator[Records]:
        """Yield the rows kept, in order of time, equal times as they came and never apart; as often as asked."""
        self._settle()
        for path in self._all("time"):
            yield _in_order(np.fromfile(path, RECORD))

    def _settle(self) -> None:
        """Wait until what was to be written is; an error there is an error here."""
        writing, self._writing = self._writing, []
        for one in writing:
            one.result()

    def _all(self, kind: str) -> list[Path]:
        return sorted(self.folder.glob(f"{self._name}-{kind}-*{SUFFIX}"))

    def _write(self, kind: str, found: Records, number: Ints) -> None:
        """Append each row to the file of its number."""
        self.folder.mkdir(parents=True, exist_ok=True)
        order = np.argsort(number.astype(np.uint16), kind="stable")
        number, found = number[order], found.take(order)  # of records, `take` is ten times as fast as an index
        edges = [*np.flatnonzero(np.diff(number, prepend=-1)), len(found)]
        for start, end in pairwise(edges):
            with (self.folder / f"{self._name}-{kind}-{number[start]:05}{SUFFIX}").open("ab") as file:
                found[start:end].tofile(file)


def _drained(paths: Sequence[Path]) -> Records:
    """Return the records of files, which are let go."""
    found = _in_order(np.concatenate([np.fromfile(path, RECORD) for path in paths]))
    for path in paths:
        path.unlink()
    return found


def _micro(seconds: NDArray[Any]) -> NDArray[np.float64]:
    return np.round(seconds * 1e6)


def _mixed(user: NDArray[Any], item: NDArray[Any]) -> Ints:
    """Return a number below `FILES` for each pair, spread evenly whatever the numbers are."""
    key = user.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) ^ item.astype(np.uint64) * np.uint64(
        0xC2B2AE3D27D4EB4F
    )
    mixed: Ints = ((key ^ key >> np.uint64(29)) * np.uint64(0x94D049BB133111EB) >> np.uint64(58)).astype(np.int64)
    return mixed


def _in_order(found: Records) -> Records:
    """Return records in order of time, equal times in order of rows."""
    found = found.take(np.argsort(found["row"], kind="stable"))
    order = by_time(found["time"])
    return found if order is None else found.take(order)


def by_time(time: NDArray[Any]) -> Ints | None:
    """Return the rows in order of time, equal times as they are; None: they are in order."""
    if bool((time[1:] >= time[:-1]).all()):
        return None
    return np.argsort(time, kind="stable")


def _grouped(paths: Sequence[Path], limit: int) -> Iterator[list[Path]]:
    """Yield files that together have about `limit` records, one at least."""
    group: list[Path] = []
    held = 0
    for path in paths:
        size = path.stat().st_size // RECORD.itemsize
        if group and held + size > limit:
            yield group
            group, held = [], 0
        group.append(path)
        held += size
    if group:
        yield group
