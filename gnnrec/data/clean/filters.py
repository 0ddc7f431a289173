"""Row filters a data set declares (cancellations, fees): each has a reason, so that what it drops is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import polars as pl

from gnnrec.core.errors import GnnrecError, nearest, one_line
from gnnrec.data.clean.cells import all_spellings
from gnnrec.data.clean.cells import number as number_in
from gnnrec.data.clean.rows import raw


@dataclass(frozen=True, slots=True)
class Filter:
    """Keep a row only if its cell meets every condition given; otherwise set it aside for `reason`.

    Attributes:
        column: raw column the conditions are about.
        reason: name under which dropped rows are counted.
        min, max, above, below: bounds of the cell as a number (`above`, `below` are strict).
        matches, not_matches: regular expressions searched in the cell.
        values: the only cells allowed.
    """

    column: str
    reason: str
    min: float | None = None
    max: float | None = None
    above: float | None = None
    below: float | None = None
    matches: str | None = None
    not_matches: str | None = None
    values: tuple[str, ...] | None = None

    def drops(self, decimal: str = ".") -> pl.Expr:
        """Return the expression that is true for rows to set aside; an empty or unreadable cell is dropped."""
        cell = pl.col(raw(self.column))
        number = number_in(cell, decimal)
        keeps = [
            *([number >= self.min] if self.min is not None else []),
            *([number <= self.max] if self.max is not None else []),
            *([number > self.above] if self.above is not None else []),
            *([number < self.below] if self.below is not None else []),
            *([cell.str.contains(self.matches)] if self.matches is not None else []),
            *([~cell.str.contains(self.not_matches)] if self.not_matches is not None else []),
            *([cell.is_in(list(self.values))] if self.values is not None else []),
        ]
        return ~pl.all_horizontal(keeps).fill_null(False)


def make_filters(declared: Sequence[Mapping[str, object]] | None) -> tuple[Filter, ...]:
    """Build filters from configuration.

    Raises:
        GnnrecError: an unknown key, a missing column or reason, or no condition.
    """
    return tuple(_make(dict(one)) for one in declared or ())


def _make(one: dict[str, object]) -> Filter:
    allowed = [f.name for f in fields(Filter)]
    for key in one:
        if key not in allowed:
            raise GnnrecError(f"data.filters: {key} is not a key{nearest(str(key), allowed)}")
    if not {"column", "reason"} < set(one):
        raise GnnrecError("data.filters: each needs column, reason and a condition, such as min or matches")
    if "values" in one:
        one["values"] = all_spellings(one["values"])  # type: ignore[arg-type]
    for key in ("matches", "not_matches"):
        _check_pattern(str(one.get(key) or ""))
    return Filter(**one)  # type: ignore[arg-type]


def _check_pattern(pattern: str) -> None:
    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.PolarsError as error:
        why = one_line(str(error))[:80]
        raise GnnrecError(f"data.filters: '{one_line(pattern)}' is no regular expression: {why}") from None
