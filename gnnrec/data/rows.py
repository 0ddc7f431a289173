"""Raw rows as a reader hands them on: every cell a string, every lost row counted with examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import polars as pl

from gnnrec.data.types import Ints
from gnnrec.errors import one_line

EXAMPLES = 5
SHAPELESS = (
    *("invalid_utf8", "open_quote", "too_many_fields", "too_few_fields"),
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
    """A row that was set aside: where it stands and what it says."""

    file: str
    row: int
    value: str


@dataclass(slots=True)
class Tally:
    """Counts rows set aside by reason, remembers where they stand and keeps the first few of each as examples."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[Example]] = field(default_factory=dict)
    rows: dict[str, list[Ints]] = field(default_factory=dict)

    def add(self, reason: str, rows: Sequence[int] | Ints, found: Iterable[Example]) -> None:
        """Count more rows, physical numbers [n], for `reason`."""
        if not len(rows):
            return
        self.counts[reason] = self.counts.get(reason, 0) + len(rows)
        self.rows.setdefault(reason, []).append(np.asarray(rows, np.int64))
        kept = self.examples.setdefault(reason, [])
        for example in found:
            if len(kept) >= EXAMPLES:
                return
            kept.append(Example(example.file, example.row, one_line(example.value[:400])[:80]))

    def merge(self, other: Tally) -> None:
        """Add everything `other` counted."""
        for reason, examples in other.examples.items():
            self.add(reason, other.numbers(reason), examples)

    def ordered(self, reasons: Iterable[str]) -> Tally:
        """Return the same in this order of reasons, whichever was met first."""
        found = Tally()
        for reason in reasons:
            found.add(reason, self.numbers(reason), self.examples.get(reason, []))
        return found

    def numbers(self, reason: str) -> Ints:
        """Return the physical rows counted for `reason`, [n]."""
        return np.concatenate(self.rows.get(reason) or [np.empty(0, np.int64)])

    def total(self) -> int:
        """Return the number of rows set aside."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one file: chosen columns as strings plus `ROW`, and the rows that have no such shape."""

    frame: pl.DataFrame
    rows_read: int
    aside: Tally


class Table(Protocol):
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

    def batches(self, names: Sequence[str]) -> Iterator[Rows]:
        """Yield the columns `names` of all rows in order, in pieces of bounded size."""

    def raw(self, rows: Ints) -> Iterator[tuple[int, str]]:
        """Yield number and raw text of these physical rows, ascending numbers."""
