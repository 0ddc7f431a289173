"""Raw rows as a reader hands them on: every cell a string, every lost row counted with examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import polars as pl

from gnnrec.core.errors import one_line
from gnnrec.data.types import Ints

EXAMPLES = 5
SHAPELESS = (
    *("above_the_header", "header_again", "invalid_utf8", "open_quote", "too_many_fields", "too_few_fields"),
    *("bad_json", "duplicate_key", "not_an_object", "nested_value"),
)
"""Reasons why a line is no row, in the order in which they are told."""
ROW = "\x00row"
"""Name of the column that holds the physical row number; no file can have a column of this name."""


def raw(name: str) -> str:
    """Return the name under which a column of the file travels, so that it cannot be taken for a role."""
    return f"\x00raw:{name}"


@dataclass(frozen=True, slots=True)
class Example:
    """A row that was set aside: where it stands, what it says, and what of that is not its user (nothing, of a line)."""

    file: str
    row: int
    value: str
    nameless: str = ""


PLACE: dict[str, pl.DataType] = {"row": pl.Int64(), "user": pl.String()}


@dataclass(slots=True)
class Tally:
    """Counts rows set aside by reason, remembers where they stand and whose they are, keeps the first few as examples.

    Attributes:
        counts: rows by reason.
        examples: the first few of each.
        places: of each: columns row (physical number) and user (as cleaned; null where the line has no such cell).
    """

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[Example]] = field(default_factory=dict)
    places: dict[str, list[pl.DataFrame]] = field(default_factory=dict)

    def add(
        self,
        reason: str,
        rows: Sequence[int] | Ints | pl.Series,
        found: Iterable[Example],
        user: pl.Series | None = None,
    ) -> None:
        """Count more rows, physical numbers [n], for `reason`; `user` holds whose they are, [n]."""
        if not len(rows):
            return
        row = pl.Series("row", rows, dtype=pl.Int64)
        user = pl.repeat(None, len(row), dtype=pl.String, eager=True) if user is None else user
        self._add(reason, pl.DataFrame([row, user.alias("user")]), found)

    def _add(self, reason: str, places: pl.DataFrame, found: Iterable[Example]) -> None:
        if not places.height:
            return
        self.counts[reason] = self.counts.get(reason, 0) + places.height
        self.places.setdefault(reason, []).append(places)
        kept = self.examples.setdefault(reason, [])
        for example in found:
            if len(kept) >= EXAMPLES:
                return
            kept.append(Example(example.file, example.row, _short(example.value), _short(example.nameless)))

    def merge(self, other: Tally) -> None:
        """Add everything `other` counted."""
        for reason, examples in other.examples.items():
            self._add(reason, other.where(reason), examples)

    def ordered(self, reasons: Iterable[str]) -> Tally:
        """Return the same in this order of reasons, whichever was met first."""
        found = Tally()
        for reason in reasons:
            found._add(reason, self.where(reason), self.examples.get(reason, []))
        return found

    def where(self, reason: str) -> pl.DataFrame:
        """Return the rows counted for `reason`: columns row and user."""
        return pl.concat(self.places.get(reason) or [pl.DataFrame(schema=PLACE)])

    def total(self) -> int:
        """Return the number of rows set aside."""
        return sum(self.counts.values())


def _short(text: str) -> str:
    return one_line(text[:400])[:80]


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Rows of one file: chosen columns as strings, or numbers where a format has them, plus `ROW`; and rows without shape."""

    frame: pl.DataFrame
    rows_read: int
    aside: Tally


class RowTable(Protocol):
    """A file that was opened and whose columns are known."""

    @property
    def names(self) -> Sequence[str]:
        """Column names in file order; positions as text when the file has no header."""

    @property
    def headerless(self) -> bool:
        """Whether names are positions."""

    @property
    def notes(self) -> Sequence[str]:
        """What was inferred."""

    def first(self) -> dict[str, str]:
        """Return the first row, for inference from its values."""

    def batches(self, names: Sequence[str]) -> Iterator[RowBatch]:
        """Yield the columns `names` of all rows in order, in pieces of bounded size."""

    def raw(self, rows: Ints) -> Iterator[tuple[int, str]]:
        """Yield number and raw text of these physical rows, ascending numbers."""
