"""How a log becomes a stream of increments: by calendar time, by count, or by a column of the file."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from gnnrec.core.errors import GnnrecError, nearest, one_line
from gnnrec.data.clean.timestamps import parse_instant
from gnnrec.data.dataset import Dataset
from gnnrec.data.stream.builder import OrderedLog, assemble, roles_within
from gnnrec.data.stream.calendar import borders, origin, parse_width
from gnnrec.data.stream.notes import Advice
from gnnrec.data.stream.splits import Cut, after_ties
from gnnrec.data.stream.splitter import Base, Splitter, base_rows, block_number, no_column
from gnnrec.data.types import Ints, Stream, Texts

_UNTIMED = "increments follow the order of the file: there is no time to sort or to break ties by"
_BASE = "stream.base sets it: a share below 1, a number of events, or a date"
_PARTS = ("train", "valid", "test")


class ByCount(Splitter):
    """Increments with equally many events.

    Args:
        increments: how many follow the base.
        size: events of each, instead of `increments`; the last one may be shorter.
        base: share of events in (0, 1), number of events, or a date before which everything is base.
        split: within, or next_half.
        valid_share, test_share: of each increment, under ``within``.
        graph: strict or fold_in, under ``next_half``.
        removals: file of what is taken back with which increment: a CSV of increment, user, item.
    """

    def __init__(
        self,
        increments: int | None = 10,
        size: int | None = None,
        base: Base = 0.5,
        split: str = "within",
        valid_share: float = 0.1,
        test_share: float = 0.1,
        graph: str = "strict",
        removals: str | None = None,
    ) -> None:
        super().__init__(base, no_column(split), valid_share, test_share, graph, removals)
        if size is None and (increments is None or increments < 1):
            raise GnnrecError(f"stream.increments={increments} must be 1 or more (or set stream.size)")
        if size is not None and size < 1:
            raise GnnrecError(f"stream.size={size} must be 1 or more")
        self.increments, self.size = increments, size
        self.advice = Advice(_BASE, "choose fewer (stream.increments) or larger ones (stream.size)")

    def _cut(self, dataset: Dataset) -> Stream:
        n = len(dataset)
        rows = base_rows(self.base, dataset)
        start = after_ties(dataset.time, rows, n)
        if self.size is not None:
            wanted = [*range(start, n, self.size), n]
        else:
            count = int(self.increments or 1)
            _check_fit(count, n - rows)
            wanted = [start + round((n - start) * k / count) for k in range(count + 1)]
        edges = [0, *(after_ties(dataset.time, e, n) for e in wanted)]
        return self._stream(dataset, edges, [] if dataset.time is not None else [_UNTIMED])


def _check_fit(increments: int, events: int) -> None:
    """Refuse more increments than there are events for; ties may still leave some empty, which is noted."""
    if events and increments > events:
        better = f", better {events // 100:,} or fewer (100 events each)" if events >= 200 else ""
        raise GnnrecError(
            f"stream.increments={increments:,} for the {events:,} events after the base would leave most empty; choose at most "
            f"{events:,}{better}"
        )


class ByTime(Splitter):
    """Increments of equal calendar width, [border, next border), UTC.

    Args:
        width: a number and s, m, h, d, w, mo or y; borders stand at midnight, Mondays, firsts of months.
        offset: moves the borders, as in ``3h``.
        base: a date (borders are counted from it), or a share or number of events (the base then ends at the first
            border at which it has at least as many), or None for one width.
        split: within, or next_half.
        valid_share, test_share: of each increment, under ``within``.
        graph: strict or fold_in, under ``next_half``.
        removals: file of what is taken back with which increment: a CSV of increment, user, item.
    """

    def __init__(
        self,
        width: str = "1mo",
        offset: str | None = None,
        base: Base = 0.5,
        split: str = "within",
        valid_share: float = 0.1,
        test_share: float = 0.1,
        graph: str = "strict",
        removals: str | None = None,
    ) -> None:
        super().__init__(base, no_column(split), valid_share, test_share, graph, removals)
        self.width = parse_width(width, "stream.width")
        if self.width.seconds <= 0 and self.width.months <= 0:
            raise GnnrecError(f"stream.width={width} must be longer than nothing")
        self.offset = parse_width(offset or "0s", "stream.offset")
        self.advice = Advice(_BASE, "choose a longer stream.width")

    def _cut(self, dataset: Dataset) -> Stream:
        time = dataset.time
        if time is None:
            raise GnnrecError("stream=by_time needs a time column; set data.columns.time, or use stream=by_column")
        if isinstance(self.base, str):
            moment = datetime.fromtimestamp(parse_instant(self.base, "stream.base"), UTC)
            start = self.offset.after(moment, 1)
        else:
            start = origin(float(time[0]), self.width, self.offset)
        grid = borders(start, self.width, float(time[-1]), "stream.width")
        edges = [int(e) for e in np.searchsorted(time, grid, side="left")]
        if isinstance(self.base, str):
            base_rows(self.base, dataset)
            return self._stream(dataset, [0, *edges], [])
        rows = 1 if self.base is None else base_rows(self.base, dataset)
        first = next(k for k, edge in enumerate(edges) if edge >= rows)
        return self._stream(dataset, [0, *edges[first:]], [])


class ByColumn(Splitter):
    """Increments named by a column of the file, in the order of its values (as numbers, if all are).

    Args:
        column: holds the block of each row.
        split_column: holds train, valid or test, for ``split=column``.
        base: last value that belongs to the base; None: the first value.
        split: within, next_half, or column.
        valid_share, test_share: of each increment, under ``within``.
        graph: strict or fold_in, under ``next_half``.
        removals: file of what is taken back with which increment: a CSV of increment, user, item.
        late_column: says true of rows that came after younger ones, which then serve for training alone; None: there is none.
    """

    def __init__(
        self,
        column: str = "period",
        split_column: str | None = "split",
        base: Base = None,
        split: str = "within",
        valid_share: float = 0.1,
        test_share: float = 0.1,
        graph: str = "strict",
        late_column: str | None = None,
        removals: str | None = None,
    ) -> None:
        super().__init__(base, split, valid_share, test_share, graph, removals)
        if split == "column" and not split_column:
            raise GnnrecError("stream.split=column needs stream.split_column: the column of train, valid, test")
        self.column, self.split_column, self.late_column = column, split_column, late_column
        shown, now = one_line(column), "the first" if base is None else base
        self.advice = Advice(
            f"stream.base=VALUE says up to which '{shown}' it reaches (now: {now})",
            f"let '{shown}' have fewer values, with more events each",
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The block column, and the split column where it is used."""
        more = [self.split_column] if self.split == "column" else []
        return tuple(str(c) for c in (self.column, *more, self.late_column) if c)

    def _cut(self, dataset: Dataset) -> Stream:
        block, labels = self._blocks(dataset)
        notes: list[str] = []
        part = self._parts(dataset) if self.split == "column" else np.zeros(len(block), np.int64)
        late = np.zeros(len(block), bool)
        if self.late_column is not None:
            late = _raw(dataset, self.late_column) == "true"
            late &= block > 0  # the base is where everything starts
        order = np.lexsort((part, ~late, block)).astype(np.int64)
        block, part = block[order], part[order]
        edges = [int(e) for e in np.searchsorted(block, np.arange(block[-1] + 2))]
        if dataset.time is None:
            notes.append("rows have no time inside a block: their time is the number of the block")
        elif np.any(np.diff(dataset.time[order]) < 0):
            notes.append(f"blocks of '{one_line(self.column)}' overlap in time: a later block has earlier events")
        if self.split != "column":
            counts = np.bincount(block[late[order]], minlength=len(edges) - 1)
            stream = self._stream(dataset, edges, notes, order, counts.tolist())
            return replace(stream, labels=labels[: len(stream.increments)])
        key = block * len(_PARTS) + part
        key_edges = [int(e) for e in np.searchsorted(key, np.arange(len(_PARTS) * (block[-1] + 1) + 1))]
        cuts = [Cut(*key_edges[k : k + 4]) for k in range(0, len(key_edges) - 1, len(_PARTS))]
        time = dataset.time[order] if dataset.time is not None else block_number(edges)
        has_test = any(c.end > c.test for c in cuts)
        return replace(assemble(OrderedLog(dataset, time, order), roles_within(cuts), notes, has_test), labels=labels)

    def _blocks(self, dataset: Dataset) -> tuple[Ints, tuple[str, ...]]:
        """Return the block of each row, and the last value of each block."""
        values, codes = np.unique(_raw(dataset, self.column).astype(str), return_inverse=True)
        rank = np.argsort(np.argsort(_sort_keys(values), kind="stable"), kind="stable")
        block = rank[codes].astype(np.int64)
        ordered = tuple(str(v) for v in values[np.argsort(rank)])
        if self.base is None:
            return block, ordered
        named = {str(v): int(r) for v, r in zip(values, rank, strict=True)}
        if str(self.base) not in named:
            raise GnnrecError(f"stream.base={self.base} is no value of '{self.column}'{nearest(str(self.base), named)}")
        first = named[str(self.base)]
        return np.maximum(block - first, 0), ordered[first:]

    def _parts(self, dataset: Dataset) -> Ints:
        values, codes = np.unique(_raw(dataset, str(self.split_column)).astype(str), return_inverse=True)
        for value in values:
            if value not in _PARTS:
                shown = one_line(value)[:40]
                raise GnnrecError(f"column '{self.split_column}' holds '{shown}'; allowed: train, valid, test")
        return np.array([_PARTS.index(v) for v in values], np.int64)[codes]


def _raw(dataset: Dataset, column: str) -> Texts:
    if column not in dataset.extra:
        raise GnnrecError(f"column '{one_line(column)}' was not loaded{nearest(column, dataset.extra)}")
    return dataset.extra[column]


def _sort_keys(values: NDArray[np.str_]) -> NDArray[np.generic]:
    try:
        return values.astype(np.float64)
    except ValueError:
        return values
