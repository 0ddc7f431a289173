"""What every way of cutting a log shares: the base, the split inside an increment, the assembly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from gnnrec.core.errors import GnnrecError, nearest
from gnnrec.data.clean.timestamps import parse_instant
from gnnrec.data.dataset import Dataset
from gnnrec.data.stream.builder import OrderedLog, assemble, roles_next_half, roles_within
from gnnrec.data.stream.notes import Advice, remarks
from gnnrec.data.stream.removals import read_removals, with_removals
from gnnrec.data.stream.splits import check_shares, split_halves, split_within
from gnnrec.data.types import Floats, Ints, Stream

_SPLITS = ("within", "next_half", "column")
_GRAPHS = ("strict", "fold_in")

Base = float | int | str | None


class Splitter(ABC):
    """What the three ways share: the split inside an increment, and the assembly."""

    advice: Advice

    def __init__(
        self, base: Base, split: str, valid_share: float, test_share: float, graph: str, removals: str | None
    ) -> None:
        for key, value, allowed in (("stream.split", split, _SPLITS), ("evaluation.graph", graph, _GRAPHS)):
            if value not in allowed:
                raise GnnrecError(f"{key}={value} is not a choice{nearest(str(value), allowed)}")
        check_shares(valid_share, test_share)
        self.base, self.split, self.fold_in = base, split, graph == "fold_in"
        self.valid_share, self.test_share = valid_share, test_share
        self.removals = None if removals is None else read_removals(Path(str(removals)).expanduser())

    @property
    def columns(self) -> tuple[str, ...]:
        """Raw columns this needs from the file."""
        return ()

    def build(self, dataset: Dataset) -> Stream:
        """Cut `dataset` into base and increments, and say of what there is too little."""
        not_empty(dataset)
        stream = self._cut(dataset)
        if self.removals:
            stream = with_removals(stream, self.removals)
        return replace(stream, notes=(*stream.notes, *remarks(stream, dataset, self.advice)))

    @abstractmethod
    def _cut(self, dataset: Dataset) -> Stream:
        """Return base and increments of a log that has events."""

    def _stream(
        self,
        dataset: Dataset,
        edges: list[int],
        notes: list[str],
        order: Ints | None = None,
        late: Sequence[int] | None = None,
    ) -> Stream:
        """Split and assemble increments with the given borders; `late` rows at the start of each serve for training alone."""
        clock = dataset.time
        time = clock if clock is not None else block_number(edges)
        log = OrderedLog(dataset, time if order is None else time[order] if clock is not None else time, order)
        ties = log.time if clock is not None else None
        if self.split == "next_half":
            if len(edges) < 3:
                raise GnnrecError("stream.split=next_half needs at least two increments; choose a smaller base")
            if late and any(late):
                raise GnnrecError(
                    f"stream.split=next_half has no place for {sum(late):,} late rows; use stream.split=within"
                )
            roles = roles_next_half(edges, split_halves(ties, edges), self.fold_in)
            return assemble(log, roles, notes, has_test=False)
        cuts = split_within(ties, edges, self.valid_share, self.test_share, late)
        return assemble(log, roles_within(cuts), notes, has_test=self.test_share > 0)


def no_column(split: str) -> str:
    if split == "column":
        raise GnnrecError("stream.split=column belongs to stream=by_column; allowed: within, next_half")
    return split


def not_empty(dataset: Dataset) -> None:
    if not len(dataset):
        raise GnnrecError(f"data={dataset.name} has no events; a stream needs at least one")


def block_number(edges: list[int]) -> Floats:
    return np.repeat(np.arange(len(edges) - 1, dtype=np.float64), np.diff(edges))


def base_rows(base: Base, dataset: Dataset) -> int:
    """Return how many rows the base asks for."""
    n = len(dataset)
    if isinstance(base, str):
        if dataset.time is None:
            raise GnnrecError(
                f"stream.base={base} is a date, but the log has no time; give a share or a number of events"
            )
        rows = int(np.searchsorted(dataset.time, parse_instant(base, "stream.base"), side="left"))
        if rows < 1:
            raise GnnrecError(f"stream.base={base} leaves no event in the base; the log {_span(dataset)}")
        return rows
    if isinstance(base, float) and base == 1:
        raise GnnrecError(
            f"stream.base=1.0 is a share that leaves no event after the base; write a share below 1, or a number of events "
            f"without a point (there are {n:,})"
        )
    if isinstance(base, float) and 0 < base < 1:
        return _followed(base, max(round(n * base), 1), n)
    if base is None or isinstance(base, bool) or base != int(base) or not 1 <= base <= n:
        raise GnnrecError(
            f"stream.base={base} is neither a share in (0, 1), a number of events from 1 to {n:,}, nor a date"
        )
    return _followed(base, int(base), n)


def _followed(base: float | int, rows: int, n: int) -> int:
    """Refuse a base that is the whole of a log: nothing would follow. One event alone has nothing to be cut from."""
    if rows >= n > 1:
        raise GnnrecError(
            f"stream.base={base} takes {rows:,} of {n:,} events and leaves none to follow; choose a smaller base"
        )
    return rows


def _span(dataset: Dataset) -> str:
    first, last = (datetime.fromtimestamp(float(dataset.time[k]), UTC) for k in (0, -1))  # type: ignore[index]
    return f"runs from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"
