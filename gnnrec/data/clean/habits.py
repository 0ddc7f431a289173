"""How a file writes times, ids and numbers: declared, or what its cells agree on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from gnnrec.data.clean.cells import decimals
from gnnrec.data.clean.ids import are_whole
from gnnrec.data.clean.timestamps import Survey, TimeRule, decide, likely, survey

_IDS = ("user", "item")


@dataclass(frozen=True, slots=True)
class Looks:
    """What the cells of a file look like; looks at its pieces add up.

    Attributes:
        times: of the time column.
        whole: user, item → whether every id is a whole number written as a float; None: there is no id.
        commas, points: ratings that can only have a decimal comma, a decimal point.
    """

    times: Survey = field(default_factory=Survey)
    whole: Mapping[str, bool | None] = field(default_factory=dict)
    commas: int = 0
    points: int = 0

    def __add__(self, other: Looks) -> Looks:
        whole = {name: _both(self.whole.get(name), other.whole.get(name)) for name in _IDS}
        return Looks(self.times + other.times, whole, self.commas + other.commas, self.points + other.points)


def _both(a: bool | None, b: bool | None) -> bool | None:
    return b if a is None else a if b is None else a and b


@dataclass(frozen=True, slots=True)
class Habits:
    """How a file writes its cells.

    Attributes:
        time: its times; None: it has none.
        whole: which ids are whole numbers written as floats.
        decimal: what stands before the fraction of a number.
    """

    time: TimeRule | None
    whole: frozenset[str]
    decimal: str


@dataclass(frozen=True, slots=True)
class Observer:
    """Finds out how a file writes its cells.

    Attributes:
        rule: of times, where it is declared.
        unit: iso, mixed or auto.
        low, high: the earliest and the latest possible time.
        decimal: what stands before the fraction, where it is declared.
    """

    rule: TimeRule | None
    unit: str
    low: float
    high: float
    decimal: str | None

    def look(self, cells: Mapping[str, pl.Series], before: Looks) -> Looks:
        """Return what the columns of a piece look like, by role; what was settled before is not looked at again."""
        times = Survey()
        if "time" in cells and self.rule is None:
            times = survey(cells["time"], self.low, self.high)
        whole = {name: False if before.whole.get(name) is False else _whole(cells[name]) for name in _IDS}
        found = (0, 0) if self.decimal is not None or "rating" not in cells else decimals(cells["rating"])
        return Looks(times, whole, *found)

    def guess(self, found: Looks, timed: bool) -> Habits:
        """Return the habits that some cells point to."""
        rule = (self.rule or likely(found.times, self.unit)) if timed else None
        whole = frozenset(name for name in _IDS if found.whole.get(name))
        inferred = "," if found.commas and not found.points else "."
        return Habits(rule, whole, self.decimal or inferred)

    def settle(self, found: Looks, timed: bool, file: str) -> tuple[Habits, list[str]]:
        """Return the habits that all cells of a file agree on, and what is to be said about them.

        Raises:
            GnnrecError: times are written in several ways, or cannot be told.
        """
        habits, notes = self.guess(found, timed), []
        if timed and self.rule is None and found.times.filled:
            rule = decide(found.times, self.unit, file)
            notes += [rule.note] if rule.note else []
            habits = replace(habits, time=replace(rule, note=None))
        notes += [
            f"{file}: {name} ids are written as floats; whole ones are taken as integers"
            for name in _IDS
            if name in habits.whole
        ]
        if self.decimal is None and habits.decimal == ",":
            notes.append(f"{file}: decimal comma inferred; data.decimal says otherwise")
        return habits, notes


def _whole(ids: pl.Series) -> bool | None:
    return True if ids.dtype.is_float() else are_whole(ids)
