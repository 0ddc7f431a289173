"""From cleaned pieces to a log: ids become numbers, rows set aside are counted, what memory cannot hold is written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from gnnrec.core import allocator
from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.data.clean.clean import Cleaned, Rules
from gnnrec.data.clean.event_buffer import Account, Column, Gathered
from gnnrec.data.clean.external_sort import Overflow
from gnnrec.data.clean.ids import Codes, Ids
from gnnrec.data.clean.rows import PLACE, SHAPELESS, Tally, raw

_TIMES = "data.time_range=[EARLIEST,LATEST] and data.time_unit, or data.columns.time=false where the column is no time"
LARGE = 16 << 20
"""Bytes of a column from which on memory that was let go is given back."""
KEYS = {
    "above_the_header": "data.header",
    "header_again": "data.header",
    "invalid_utf8": "data.encoding",
    "open_quote": "data.quote=none, or data.multiline=true where fields hold line ends",
    "too_many_fields": "data.delimiter",
    "too_few_fields": "data.delimiter",
    "bad_json": "the lines of the file, which are to be JSON objects",
    "duplicate_key": "the lines of the file, which have a key twice",
    "not_an_object": "the lines of the file, which are to be JSON objects",
    "nested_value": "data.columns, by a path such as user.id",
    "missing_user": "data.columns.user",
    "missing_item": "data.columns.item",
    "control_characters": "data.encoding",
    "id_too_long": "data.columns and data.delimiter",
    "bad_rating": "data.columns.rating and data.decimal",
    "unknown_action": "data.weights",
    "out_of_scale": "data.scale",
    "bad_time": "data.time_format (strptime) and data.time_unit, or data.columns.time=false where the column is no time",
    "time_out_of_range": _TIMES,
}
"""What mends a reason for which rows are set aside; every other reason is a filter's."""


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
        overflow: where rows go that are more than it says may lie in memory; None: all lie in memory. No raw columns then.
    """

    def __init__(self, rules: Rules, keep: Sequence[str], overflow: Overflow | None = None) -> None:
        self.rules, self.keep, self._overflow = rules, keep, overflow
        self.users, self.items = Ids(), Ids()
        self._pieces: list[Piece] = []
        self._names: frozenset[str] = frozenset()
        self._held = self._good = 0
        self._beside = ThreadPoolExecutor(2)
        self._waiting: tuple[Cleaned, int, Tally, list[Future[Codes]]] | None = None

    def add(self, cleaned: Cleaned, rows_read: int, shapeless: Tally) -> None:
        """Take the next piece; its ids get their numbers while the caller cleans the one after it."""
        self.settle()
        self._waiting = (
            cleaned,
            rows_read,
            shapeless,
            [
                self._beside.submit(ids.codes, cleaned.good[name])
                for ids, name in ((self.users, "user"), (self.items, "item"))
            ],
        )

    def settle(self) -> None:
        """Wait for the piece that was taken last."""
        if self._waiting is None:
            return
        (cleaned, rows_read, shapeless, codes), self._waiting = self._waiting, None
        good = cleaned.good
        found: dict[str, Column] = {name: code.result() for name, code in zip(("user", "item"), codes, strict=True)}
        found |= {c: good[c].to_numpy() for c in ("value", "time") if c in good.columns}
        # Copies, so that polars' memory is free for the next piece; texts are let go.
        columns = {name: column.copy() for name, column in found.items()}
        extra = {name: good[raw(name)].fill_null("") for name in self.keep}
        self._names = frozenset(columns)
        self._pieces.append(Piece(columns, extra, rows_read, shapeless, replace(cleaned, good=good.clear())))
        self._held, self._good = self._held + good.height, self._good + good.height
        if self._overflow is not None and self._held > self._overflow.room:
            self._write_down()

    def mark(self) -> tuple[int, int]:
        """Return how far the log has been taken, in pieces and good rows."""
        self.settle()
        return len(self._pieces), self._good

    def rewind(self, mark: tuple[int, int]) -> None:
        """Forget the pieces taken since then."""
        self.settle()
        del self._pieces[mark[0] :]
        self._good, self._held = mark[1], sum(len(p.columns.get("user", ())) for p in self._pieces)
        if self._overflow is not None and self._overflow.rows > mark[1]:
            self._overflow.rewind(mark[1])

    def lost(self, mark: tuple[int, int]) -> pl.DataFrame:
        """Return the rows set aside since then: row, ascending, user and reason."""
        self.settle()
        found = Tally()
        for piece in self._pieces[mark[0] :]:
            found.merge(piece.shapeless)
            found.merge(piece.cleaned.aside)
        kind = pl.Enum(list(found.counts))
        parts = [found.where(reason).with_columns(reason=pl.lit(reason, kind)) for reason in found.counts]
        return pl.concat(parts or [pl.DataFrame(schema={**PLACE, "reason": kind})]).sort("row")

    def finish(self) -> Gathered:
        """Return the log.

        Raises:
            GnnrecError: rows are refused, the scale is wrong, or no row is left.
        """
        self.settle()
        self._beside.shutdown()
        aside, read = self._aside(), sum(p.rows_read for p in self._pieces)
        self._complain(aside, read)
        account = Account(read, aside, _summed([p.cleaned.matched for p in self._pieces]))
        columns = None
        if self._overflow is not None and self._overflow.rows:
            self._write_down()
        else:
            columns = self._stacked()
        ids = self.users, self.items
        return Gathered(ids, columns, self._overflow, account, self.rules.repeats, self._names)

    def _write_down(self) -> None:
        """Move the columns held into files."""
        assert self._overflow is not None
        held = [p.columns for p in self._pieces if p.columns]
        self._overflow.put([dict(columns) for columns in held])
        for columns in held:
            columns.clear()
        self._held = 0
        allocator.give_back()

    def _stacked(self) -> dict[str, Any]:
        """Return the columns of all pieces; the pieces are let go, so that no column lies in memory twice for long."""
        pieces, self._pieces = [(p.columns, p.extra) for p in self._pieces], []
        columns: dict[str, Any] = {}
        for name in list(pieces[0][0]):
            columns[name] = np.concatenate([own.pop(name) for own, _ in pieces])
            if columns[name].nbytes > LARGE:  # what goes on beside a small file would have all its pages cleared again
                allocator.give_back()
        columns |= {raw(name): pl.concat([extra.pop(name) for _, extra in pieces]) for name in self.keep}
        return columns

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
        if read and not self._good:
            why = f": {describe(aside)}" if aside.counts else ""
            raise GnnrecError(f"no row is left of {read:,} read{why}; {_advice(aside)}")


def _summed(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Return the sum of counts by reason, those that are not 0."""
    total = {reason: sum(c[reason] for c in counts) for reason in counts[0]}
    return {reason: n for reason, n in total.items() if n}


def _advice(aside: Tally) -> str:
    """Return the keys that mend the reasons, the most frequent first."""
    reasons = sorted(aside.counts, key=lambda r: -aside.counts[r])
    return (
        "check " + "; ".join(dict.fromkeys(KEYS.get(r, "data.filters") for r in reasons[:3]))
        if reasons
        else "check data.columns"
    )


def describe(aside: Tally) -> str:
    """Return one line that says what was set aside and shows an example of each reason."""
    parts = []
    for reason, count in aside.counts.items():
        example = aside.examples[reason][0]
        hint = " (a decimal comma? set data.decimal=',')" if reason == "bad_rating" and _comma(example.value) else ""
        parts.append(f"{count:,} {reason}, as in {one_line(example.file)}:{example.row} '{example.value}'{hint}")
    return "; ".join(parts)


def _comma(value: str) -> bool:
    return any(a.isdigit() and b == "," and c.isdigit() for a, b, c in zip(value, value[1:], value[2:], strict=False))
