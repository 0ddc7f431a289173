"""Times as text become seconds since 1970 in UTC: units and formats declared, or inferred from what the cells agree on."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import polars as pl

from gnnrec.core.errors import GnnrecError, closest, nearest, one_line
from gnnrec.data.clean.layouts import COMPACT, DATED, DAY_OR_MONTH, parsed, read_dates, seconds

UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_KINDS = (*UNITS, "iso", "mixed", "auto")
_LIMITS = {"s": 1e11, "ms": 1e14, "us": 1e17}
_ORDERS = {"day_first": True, "month_first": False}
_MIXED_SHARE = 1e-3
_TORN = 0.2
"""A share of cells in another format above which a column has none that its cells agree on."""
_YEARS = range(1900, 2101)
_LEAST_SECONDS = 1e8
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC).timestamp()


def parse_instant(text: str, key: str) -> float:
    """Return the seconds of one ISO date, year or number given in the configuration; a number like 2013 is a year."""
    try:
        number = float(text)
        return datetime(int(number), 1, 1, tzinfo=UTC).timestamp() if number in _YEARS else number
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise GnnrecError(
            f"{key}={one_line(text)} is no date; write it as 2017, 2017-10-06 or 2017-10-06T03:00"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@dataclass(frozen=True, slots=True)
class TimeRule:
    """How the times of one file are written.

    Attributes:
        unit: s, ms, us or ns of numbers; iso: dates; mixed: each cell in its own way.
        pattern: a strptime format instead, or None.
        day_first: of dates such as 1/2/2010.
        note: what was inferred.
    """

    unit: str
    pattern: str | None = None
    day_first: bool = False
    note: str | None = None

    def seconds(self, text: pl.Series, zone: str | None = None) -> pl.Series:
        """Return the seconds of each cell, null where a text is no time.

        Args:
            text: the cells; numbers where a format has them.
            zone: of dates that name none; None: UTC. An hour that the clocks repeat is taken as its first run; one that they
                leave out is no time.
        """
        if self.unit in UNITS and self.pattern is None:
            return _numbers(text) / UNITS[self.unit]
        cells = _texts(text)
        if self.pattern is not None:
            return seconds(_declared(cells, self.pattern), zone)
        dates = read_dates(cells, self.day_first, zone)
        return dates if self.unit == "iso" else _coalesced(dates, _by_size(_numbers(text)))


@dataclass(frozen=True, slots=True)
class Survey:
    """What times of a file look like; surveys of its pieces add up.

    Attributes:
        rows, filled, numbers: cells, those with text, those that are finite numbers.
        possible, inside: numbers of each unit's size, and of these the ones that are possible times.
        compact: numbers like 20200114.
        dated: texts with a date in them.
        day, month: dates such as 13/2/2010 that can only be read with the day, with the month first.
        either: dates such as 1/2/2010.
        dots: those of these three with dots.
        largest: number, whatever its sign.
        shown: a date such as 1/2/2010; any other cell that is neither number nor date.
    """

    rows: int = 0
    filled: int = 0
    numbers: int = 0
    possible: tuple[int, ...] = (0,) * len(UNITS)
    inside: tuple[int, ...] = (0,) * len(UNITS)
    compact: int = 0
    dated: int = 0
    day: int = 0
    month: int = 0
    either: int = 0
    dots: int = 0
    largest: float = 0.0
    shown: str | None = None

    def __add__(self, other: Survey) -> Survey:
        summed = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self) if f.type == "int"}
        return Survey(
            **summed,
            possible=_plus(self.possible, other.possible),
            inside=_plus(self.inside, other.inside),
            largest=max(self.largest, other.largest),
            shown=other.shown if self.shown is None else self.shown,
        )

    @property
    def slashed(self) -> int:
        """Dates whose day and month are numbers, the year behind them."""
        return self.day + self.month + self.either

    @property
    def timeless(self) -> bool | None:
        """Whether all cells are empty or numbers too small for any time: the column is none of times; None: no cells."""
        if not self.rows:
            return None
        return (
            self.filled == self.numbers
            and not self.compact
            and not any(self.possible)
            and self.largest < _LEAST_SECONDS
        )


def _plus(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(x + y for x, y in zip(a, b, strict=True))


def declared_rule(unit: str, pattern: str | None) -> TimeRule | None:
    """Return the rule where configuration settles it; None: it depends on the cells.

    Raises:
        GnnrecError: there is no such unit.
    """
    if unit not in _KINDS:
        raise GnnrecError(f"data.time_unit={unit} is not a unit{nearest(unit, _KINDS)}")
    if pattern in _ORDERS:
        return TimeRule("mixed" if unit == "mixed" else "iso", day_first=_ORDERS[pattern])
    return TimeRule(unit, pattern) if pattern is not None or unit in UNITS else None


def check_zone(zone: str | None) -> str | None:
    """Return the time zone.

    Raises:
        GnnrecError: there is none of that name.
    """
    try:
        if zone is not None:
            ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = closest(str(zone), available_timezones()) or "Europe/London"
        raise GnnrecError(f"data.time_zone={one_line(str(zone))} is no time zone; did you mean '{near}'?") from None
    return zone


def survey(text: pl.Series, low: float, high: float) -> Survey:
    """Return what these cells look like.

    Args:
        text: the cells; numbers where a format has them.
        low: the earliest possible time; with `high` it tells mixed units from garbage.
        high: the latest possible time.
    """
    numbers = _numbers(text)
    possible, inside = _sizes(numbers, low, high)
    count = len(text) - numbers.null_count()
    others = _texts(text.filter(numbers.is_null())) if count < len(text) else pl.Series([], dtype=pl.String)
    others = others.filter(others.fill_null("") != "")
    compact = 0
    if count and not sum(possible):  # as seconds, such numbers lie before the first log
        compact = int(_texts(text).str.contains(COMPACT).sum())
    largest = numbers.abs().max()
    found = Survey(
        rows=len(text),
        filled=count + len(others),
        numbers=count,
        possible=possible,
        inside=inside,
        compact=compact,
        largest=0.0 if largest is None else float(largest),  # type: ignore[arg-type]
    )
    return found + _looks(others) if len(others) else found


def _looks(text: pl.Series) -> Survey:
    """Return counts of dates, and of those whose day and month are numbers, by what can be the day."""
    dated = text.str.contains(DATED)
    groups = text.str.extract_groups(DAY_OR_MONTH).struct
    first, second = (groups.field(k).cast(pl.Int8, strict=False) for k in ("1", "3"))
    slashed = first.is_not_null()
    either = slashed & (first <= 12) & (second <= 12)
    shown = text.filter(either) if either.any() else text.filter(slashed) if slashed.any() else text.filter(~dated)
    return Survey(
        dated=int(dated.sum()),
        day=int((first.is_between(13, 31) & (second <= 12)).sum()),
        month=int((second.is_between(13, 31) & (first <= 12)).sum()),
        either=int(either.sum()),
        dots=int((groups.field("2") == ".").sum()),
        shown=shown[0] if len(shown) else None,
    )


def _sizes(numbers: pl.Series, low: float, high: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return how many numbers are possible times in each unit, and how many are of its size."""
    bounds = _bounds()
    least, most, count = numbers.min(), numbers.max(), len(numbers) - numbers.null_count()
    for k, ((start, end), scale) in enumerate(zip(bounds, UNITS.values(), strict=True)):
        if count and start <= least and most < end and low <= least / scale and most / scale <= high:  # type: ignore[operator]
            all_here = tuple(count if k == n else 0 for n in range(len(UNITS)))
            return all_here, all_here
    size = numbers.abs()
    inside = [(size >= start) & (size < end) for start, end in bounds]
    possible = [
        i & (numbers / scale >= low) & (numbers / scale <= high)
        for i, scale in zip(inside, UNITS.values(), strict=True)
    ]
    return tuple(int(p.sum()) for p in possible), tuple(int(i.sum()) for i in inside)


def _bounds() -> list[tuple[float, float]]:
    return [*pairwise([0.0, *_LIMITS.values(), float("inf")])]


def _by_size(numbers: pl.Series) -> pl.Series:
    """Return the seconds of numbers, each in the unit of its size."""
    size = numbers.abs()
    scaled = [
        pl.when(pl.lit((size >= start) & (size < end))).then(pl.lit(numbers / scale))
        for (start, end), scale in zip(_bounds(), UNITS.values(), strict=True)
    ]
    return pl.select(pl.coalesce(scaled)).to_series()


def likely(found: Survey, unit: str) -> TimeRule:
    """Return the rule that a survey of a part of the cells points to."""
    if unit == "mixed":
        return TimeRule("mixed", day_first=_day_first(found))
    if unit == "auto" and 2 * found.numbers >= found.filled and 2 * found.compact < max(found.numbers, 1):
        return TimeRule(max(zip(UNITS, found.possible, found.inside, strict=True), key=lambda f: f[1:])[0])
    return TimeRule("iso", day_first=_day_first(found))


def _day_first(found: Survey) -> bool:
    """Return whether the day comes first: by the days above 12; where there are none, dots say so."""
    return found.day > found.month or (found.day == found.month == 0 and found.dots == found.slashed > 0)


def decide(found: Survey, unit: str, file: str) -> TimeRule:
    """Return the rule of a file's cells and what is to be said about it.

    Args:
        found: of all its cells.
        unit: iso, mixed or auto.
        file: for messages.

    Raises:
        GnnrecError: units or formats are mixed, or day and month cannot be told apart.
    """
    rule = likely(found, unit)
    notes = []
    if unit == "auto":
        notes += _check_one_kind(found, rule, file)
    if rule.unit in UNITS:
        notes += _unit_note(found, rule.unit, file)
    elif found.slashed:
        notes += _order_note(found, rule.day_first, file)
    return replace(rule, note="; ".join(notes) or None)


def _check_one_kind(found: Survey, rule: TimeRule, file: str) -> list[str]:
    """Return a note where a few cells are written in another way than the rest; refuse many."""
    numbers, dates = sum(found.possible), found.dated + found.compact
    if not numbers or not dates:
        return []
    if min(numbers, dates) > _TORN * (numbers + dates):
        raise GnnrecError(
            f"{file}: times are written in two ways ({dates:,} dates, {numbers:,} numbers); set data.time_unit=mixed to read "
            "each as it is, or data.time_unit=iso or s|ms|us|ns to set the others aside"
        )
    few = f"{numbers:,} times are numbers" if rule.unit == "iso" else f"{dates:,} times are dates"
    return [f"{file}: {few}, unlike the others, and bad_time; data.time_unit=mixed reads them"]


def _order_note(found: Survey, day_first: bool, file: str) -> list[str]:
    """Return what was inferred about day and month; refuse where it cannot be."""
    shown = one_line(str(found.shown))[:60]
    if min(found.day, found.month) > _MIXED_SHARE * found.slashed:
        raise GnnrecError(
            f"{file}: of times like '{shown}', {found.day:,} can only have the day first and {found.month:,} only the month; "
            "set data.time_format=day_first or month_first to set the others aside, or give the files apart"
        )
    dotted = found.dots == found.slashed
    if found.day == found.month and not dotted:
        raise GnnrecError(
            f"{file}: in times like '{shown}' day and month cannot be told apart; "
            "set data.time_format=day_first or month_first, or a strptime format such as '%d/%m/%Y %H:%M'"
        )
    by = " by their dots" if found.day == found.month else ""
    return [
        f"{file}: dates read {'day' if day_first else 'month'} first (inferred{by}; data.time_format says otherwise)"
    ]


def _unit_note(found: Survey, main: str, file: str) -> list[str]:
    possible = dict(zip(UNITS, found.possible, strict=True))
    other = {u: n for u, n in possible.items() if u != main and n > _MIXED_SHARE * found.rows}
    if other:
        parts = ", ".join(f"{n:,} in {u}" for u, n in {main: possible[main], **other}.items())
        raise GnnrecError(
            f"{file}: times mix units ({parts}); set data.time_unit=mixed to read each by its size, or "
            "data.time_unit=s|ms|us|ns"
        )
    return [] if main == "s" else [f"{file}: time unit {main} inferred from the size of the numbers"]


def _texts(text: pl.Series) -> pl.Series:
    """Return cells as text without blanks around them; whole floats without a fraction."""
    if text.dtype.is_float():
        text = text.cast(pl.Int64, strict=False)
    return (text if text.dtype == pl.String else text.cast(pl.String)).str.strip_chars()


def _numbers(text: pl.Series) -> pl.Series:
    if text.dtype == pl.String:
        text = text.str.strip_chars()
    number = text.cast(pl.Float64, strict=False)
    if text.dtype == pl.String and number.null_count() and text.str.contains(",", literal=True).any():
        number = number.fill_null(text.str.replace(r"^(-?\d+),(\d+)$", "${1}.${2}").cast(pl.Float64, strict=False))
    return pl.select(pl.when(number.is_finite()).then(number)).to_series()


def _declared(text: pl.Series, pattern: str) -> pl.Series:
    try:
        return parsed(text, pattern)
    except pl.exceptions.PolarsError as error:
        raise GnnrecError(f"data.time_format={pattern!r} is no strptime format: {one_line(str(error))[:80]}") from None


def _coalesced(*parts: pl.Series) -> pl.Series:
    return pl.select(pl.coalesce([pl.lit(p) for p in parts])).to_series()
