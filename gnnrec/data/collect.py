"""From cleaned pieces to a log: ids as numbers, sorted by time, duplicates and repeats counted, nothing lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gnnrec import memory
from gnnrec.data.clean import Cleaned, Rules
from gnnrec.data.dataset import Counts, Dataset, Texts
from gnnrec.data.repeats import kept_rows
from gnnrec.data.rows import SHAPELESS, Tally, raw
from gnnrec.data.types import Ints
from gnnrec.errors import GnnrecError, one_line

Codes = NDArray[np.uint32]
Column = NDArray[Any]


class Ids:
    """Numbers for ids, in the order in which they are met: polars' categories."""

    def __init__(self) -> None:
        self._categories = pl.Categories.random()
        # Polars forgets the ids once no column that has them is alive.
        self._alive = pl.Series([], dtype=pl.Categorical(self._categories))

    def codes(self, column: pl.Series) -> Codes:
        """Return the number of each cell, [n]."""
        self._alive = column.cast(pl.Categorical(self._categories))
        return self._alive.to_physical().to_numpy()

    def renumbered(self, codes: Codes) -> tuple[Texts, Ints]:
        """Return the ids that occur, in order of first appearance, and the place of each cell among them."""
        known = int(codes.max(initial=0)) + 1
        first = np.full(known, len(codes))
        first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)  # of repeated places the last one written stays
        order = np.argsort(first, kind="stable")[: int((first < len(codes)).sum())]
        place = np.empty(known, np.int64)
        place[order] = np.arange(len(order))
        ids = pl.Series(order, dtype=pl.UInt32).cat.to(pl.Categorical(self._categories))
        return texts(ids.cast(pl.String)), place[codes]


@dataclass(frozen=True, slots=True)
class Piece:
    """Good rows of a piece of a file as numbers, user, item, value and time, and what became of the others."""

    columns: dict[str, Column]
    extra: dict[str, pl.Series]
    rows_read: int
    shapeless: Tally
    cleaned: Cleaned


class Collector:
    """Gathers the pieces of all files of a log.

    Args:
        rules: which of several events of a pair count, and what is refused.
        keep: raw columns to hand on.
    """

    def __init__(self, rules: Rules, keep: Sequence[str]) -> None:
        self.rules, self.keep = rules, keep
        self.users, self.items = Ids(), Ids()
        self._pieces: list[Piece] = []

    def piece(self, cleaned: Cleaned, rows_read: int, shapeless: Tally) -> Piece:
        """Return good rows as numbers; their texts are let go."""
        good = cleaned.good
        found: dict[str, Column] = {"user": self.users.codes(good["user"]), "item": self.items.codes(good["item"])}
        found |= {c: good[c].to_numpy() for c in ("value", "time") if c in good.columns}
        # Copies, so that polars' memory is free for the next piece.
        columns = {name: column.copy() for name, column in found.items()}
        extra = {name: good[raw(name)].fill_null("") for name in self.keep}
        return Piece(columns, extra, rows_read, shapeless, replace(cleaned, good=good.clear()))

    def add(self, pieces: Sequence[Piece]) -> None:
        """Take the pieces of a file."""
        self._pieces += pieces

    def finish(self, name: str) -> Dataset:
        """Return the log as a data set of this name; implicit where there are no ratings or constant ones.

        Raises:
            GnnrecError: rows are refused, the scale is wrong, or no row is left.
        """
        aside, read = self._aside(), sum(p.rows_read for p in self._pieces)
        self._complain(aside, read)
        matched = _summed([p.cleaned.matched for p in self._pieces])
        columns, extra = self._stacked()
        order = _by_time(columns.get("time"))
        columns, extra = _taken(columns, order), _taken(extra, order)
        rows, duplicate, repeat = kept_rows(columns, self.rules.repeats)
        columns, extra = _taken(columns, rows), _taken(extra, rows)
        kept = len(columns["user"])
        counts = Counts(read, kept, duplicate, repeat, dict(aside.counts), matched)
        counts.check()
        user_ids, user_code = self.users.renumbered(columns.pop("user"))
        item_ids, item_code = self.items.renumbered(columns.pop("item"))
        value, time = columns.get("value", np.ones(kept)), columns.get("time")
        feedback = "implicit" if not kept or bool(np.all(value == value[0])) else "explicit"
        events = user_code, item_code, user_ids, item_ids, value, time
        texts_of = {key: texts(column) for key, column in extra.items()}
        return Dataset(name, *events, counts, feedback, extra=texts_of, examples=dict(aside.examples))

    def _stacked(self) -> tuple[dict[str, Column], dict[str, pl.Series]]:
        """Return the columns of all pieces; the pieces are let go, so that no column lies in memory twice for long."""
        pieces, self._pieces = [(p.columns, p.extra) for p in self._pieces], []
        columns = {c: np.concatenate([own.pop(c) for own, _ in pieces]) for c in list(pieces[0][0])}
        joined = {name: pl.concat([extra.pop(name) for _, extra in pieces]) for name in self.keep}
        memory.give_back()
        return columns, joined

    def _aside(self) -> Tally:
        """Return what was set aside: rows without a shape first, then in the order of reasons."""
        found = Tally()
        for piece in self._pieces:
            found.merge(piece.shapeless)
            found.merge(piece.cleaned.aside)
        return found.ordered((*SHAPELESS, *self._pieces[0].cleaned.matched))

    def _complain(self, aside: Tally, read: int) -> None:
        if self.rules.refuse and aside.counts:
            raise GnnrecError(f"data.on_bad=refuse: {describe(aside)}; fix the file, or set data.on_bad=set_aside")
        outside, scale = aside.counts.get("out_of_scale", 0), self.rules.valuation.scale
        if scale is not None and 2 * outside > read:
            low = min(p.cleaned.low for p in self._pieces if p.cleaned.low is not None)
            high = max(p.cleaned.high for p in self._pieces if p.cleaned.high is not None)
            raise GnnrecError(
                f"{outside:,} of {read:,} ratings leave data.scale=[{scale[0]:g},{scale[1]:g}]; "
                f"they lie between {low:g} and {high:g}: set data.scale=[{low:g},{high:g}]"
            )
        if read and not any(len(p.columns["user"]) for p in self._pieces):
            why = f": {describe(aside)}" if aside.counts else ""
            hint = "check data.columns, data.scale and data.time_unit"
            raise GnnrecError(f"no row is left of {read:,} read{why}; {hint}")


def _summed(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Return the sum of counts by reason, those that are not 0."""
    total = {reason: sum(c[reason] for c in counts) for reason in counts[0]}
    return {reason: n for reason, n in total.items() if n}


def _by_time(time: Column | None) -> Ints | None:
    """Return the rows in order of time, equal times as they are; None: they are in order."""
    if time is None or bool((np.diff(time) >= 0).all()):
        return None
    return np.argsort(time, kind="stable")


def _taken(columns: dict[str, Any], rows: Ints | None) -> dict[str, Any]:
    """Return these rows of each column, which is let go; None: all rows."""
    return columns if rows is None else {name: columns.pop(name)[rows] for name in list(columns)}


def describe(aside: Tally) -> str:
    """Return one line that says what was set aside and shows an example of each reason."""
    parts = []
    for reason, count in aside.counts.items():
        example = aside.examples[reason][0]
        hint = " (a decimal comma? write 4.5)" if reason == "bad_rating" and _comma(example.value) else ""
        parts.append(f"{count:,} {reason}, as in {one_line(example.file)}:{example.row} '{example.value}'{hint}")
    return "; ".join(parts)


def _comma(value: str) -> bool:
    return any(a.isdigit() and b == "," and c.isdigit() for a, b, c in zip(value, value[1:], value[2:], strict=False))


def coded(column: pl.Series) -> tuple[Texts, Ints]:
    """Return the distinct texts in order of first appearance, and the position of each cell among them."""
    ids = Ids()
    return ids.renumbered(ids.codes(column))


def texts(column: pl.Series) -> Texts:
    """Return a column of text as a numpy array of Python strings."""
    out = np.empty(len(column), object)
    out[:] = column.to_list()
    return out
