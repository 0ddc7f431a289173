"""The rows of a version in order of time, a band of them at a time, in memory or written down; and what is counted of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gnnrec.data.clean.external_sort import RECORD, Overflow, Records
from gnnrec.quality.statistics import Counting, Statistics
from gnnrec.store.staging import COLUMNS, StagedFiles
from gnnrec.store.version import ContentHash

TIME = COLUMNS["time"]


class SortedRows:
    """Rows as columns of a store: user, item (numbers, whose texts are `ids`), value, time, late and place.

    Args:
        ids: texts of the numbers, for user and item.
        timed: whether rows have a time.
        newest: time of the newest event there is, seconds since 1970; rows before it are late. None: none is.
        overflow: where rows lie that memory is not to hold.
    """

    def __init__(self, ids: Mapping[str, pl.Series], timed: bool, newest: float | None, overflow: Overflow) -> None:
        self.ids, self.timed, self.newest = ids, timed, newest
        self.height = 0
        self._overflow = overflow
        self._held: list[pl.DataFrame] = []

    def frame(self, columns: Mapping[str, NDArray[Any]]) -> pl.DataFrame:
        """Return events as columns of a store, with `row` and the seconds as they were where the events were written down."""
        found = {
            **{name: pl.Series(columns[name], dtype=pl.UInt32) for name in ("user", "item")},
            "value": pl.Series(columns.get("value", np.ones(len(columns["user"]))), dtype=pl.Float64),
            "time": _times(columns["time"] if self.timed else None, len(columns["user"])),
        }
        if "row" in columns:
            found |= {"row": pl.Series(columns["row"])}
            found |= {"seconds": pl.Series(columns["time"])} if self.timed else {}
        return pl.DataFrame(found)

    def keep(self, rows: pl.DataFrame) -> None:
        """Take rows of the version: all there are, or a part that `frame` made of what was written down."""
        self.height += rows.height
        if "row" in rows.columns:
            self._overflow.keep(_records(rows))
        else:
            self._held.append(rows)

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """Yield the rows; equal times are never apart."""
        late = pl.lit(False)
        if self.newest is not None:
            late = (pl.col("time").dt.epoch("us") < round(self.newest * 1e6)).fill_null(False)
        start = 0
        for rows in self._pieces():
            place = pl.int_range(start, start + pl.len(), dtype=pl.Int64)
            start += rows.height
            yield rows.with_columns(late=late, place=place)

    def _pieces(self) -> Iterator[pl.DataFrame]:
        yield from self._held
        for found in () if self._held else self._overflow.bands():
            yield self.frame({name: np.ascontiguousarray(found[name]) for name in ("user", "item", "value", "time")})


@dataclass(frozen=True, slots=True)
class Facts:
    """What there is to say about the rows of a version.

    Attributes:
        content: their `ContentHash`.
        statistics: of them.
        components: connected parts of the graph of their pairs.
        late: how many are late.
        first, last: earliest and latest time, seconds since 1970; None: no times, or no rows.
    """

    content: str
    statistics: Statistics
    components: int
    late: int
    first: float | None
    last: float | None

    @staticmethod
    def of(ordered: SortedRows, staged: StagedFiles) -> Facts:
        """Return the facts and write the rows to `staged`; hashing, counting and writing go on side by side."""
        content, counting, late = ContentHash(ordered.height, ordered.ids), Counting(ordered.ids), 0
        ends: list[int] = []
        with ThreadPoolExecutor(2) as beside:
            for rows in ordered:
                others = [beside.submit(content.update, rows), beside.submit(staged.write, rows, ordered.ids)]
                counting.add(rows)
                late += int(rows["late"].sum())
                time = rows["time"].dt.epoch("us").drop_nulls()
                ends += [int(time.min()), int(time.max())] if len(time) else []  # type: ignore[arg-type]
                for other in others:
                    other.result()
        first, last = (min(ends) / 1e6, max(ends) / 1e6) if ends else (None, None)
        return Facts(content.hexdigest(), counting.statistics(), counting.components, late, first, last)


def _times(seconds: NDArray[Any] | None, height: int) -> pl.Series:
    if seconds is None:
        return pl.repeat(None, height, dtype=TIME, eager=True)
    return pl.Series(np.round(seconds * 1e6).astype(np.int64)).cast(TIME)


def _records(rows: pl.DataFrame) -> Records:
    found = np.zeros(rows.height, RECORD)
    for name in ("row", "user", "item", "value"):
        found[name] = rows[name].to_numpy()
    if "seconds" in rows.columns:
        found["time"] = rows["seconds"].to_numpy()
    return found
