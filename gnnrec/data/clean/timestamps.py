"""Times as text become seconds since 1970 in UTC: units and formats declared, or inferred and said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import polars as pl

from gnnrec.core.errors import GnnrecError, closest, nearest, one_line

UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_KINDS = (*UNITS, "iso", "auto")
_LIMITS = {"s": 1e11, "ms": 1e14, "us": 1e17}
_ISO = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d", "%Y-%m-%d %H:%M")
_ISO_ZONE = ("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M%#z")
_DAY_OR_MONTH = {"%m/%d/%Y": "month first", "%d/%m/%Y": "day first"}
_CLOCKS = (" %H:%M:%S", " %H:%M", "")
_CLOCK_CODES = ("%H", "%I", "%k", "%l", "%M", "%S", "%T", "%R", "%X", "%c", "%s", "%+")
_MIXED_SHARE = 1e-3
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC).timestamp()


def parse_instant(text: str, key: str) -> float:
    """Return the seconds of one ISO date or number given in the configuration."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise GnnrecError(f"{key}={one_line(text)} is no date; write it as 2017-10-06 or 2017-10-06T03:00") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@dataclass(frozen=True, slots=True)
class TimeRule:
    """How the times of one file are written.

    Attributes:
        unit: s, ms, us or ns of numbers; iso: dates.
        pattern: a strptime format instead, or None.
        day: the format of days with slashes, where there are such, or None.
        note: what was inferred.
    """

    unit: str
    pattern: str | None = None
    day: str | None = None
    note: str | None = None

    def seconds(self, text: pl.Series, zone: str | None = None) -> pl.Series:
        """Return the seconds of each cell, null where a text is no time.

        Args:
            text: the cells; integers where a format has them.
            zone: of dates that name none; None: UTC. An hour that the clocks repeat is taken as its first run; one that they
                leave out is no time.
        """
        if self.unit in UNITS and self.pattern is None:
            return _numbers(text) / UNITS[self.unit]
        text = text.cast(pl.String).str.strip_chars()
        if self.pattern is not None:
            return _seconds(_declared(text, self.pattern), zone)
        plain = text.str.replace(r"^(\d{4}-\d{2}-\d{2})[Tt]", "${1} ")
        plain = plain.str.replace(r"\s*([Zz]|UTC)$", "+00:00")
        parsed = [_seconds(_parse(plain, f), zone) for f in _ISO] + [_seconds(_parse(plain, f)) for f in _ISO_ZONE]
        return _coalesce([*parsed, *([_clocked(text, self.day, zone)] if self.day else [])])


@dataclass(frozen=True, slots=True)
class Survey:
    """What times of a file look like; surveys of its pieces add up.

    Attributes:
        rows, filled, numbers: cells, those with text, those that are finite numbers.
        possible, inside: numbers of each unit's size, and of these the ones that are possible times.
        slashed: cells like 1/2/2010; the first of them.
        fits: day format → whether every slashed cell fits.
    """

    rows: int = 0
    filled: int = 0
    numbers: int = 0
    possible: tuple[int, ...] = (0,) * len(UNITS)
    inside: tuple[int, ...] = (0,) * len(UNITS)
    slashed: str | None = None
    fits: tuple[bool, ...] = (True,) * len(_DAY_OR_MONTH)

    def __add__(self, other: Survey) -> Survey:
        return Survey(
            self.rows + other.rows,
            self.filled + other.filled,
            self.numbers + other.numbers,
            _plus(self.possible, other.possible),
            _plus(self.inside, other.inside),
            other.slashed if self.slashed is None else self.slashed,
            tuple(a and b for a, b in zip(self.fits, other.fits, strict=True)),
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
        text: the cells; integers where a format has them.
        low: the earliest possible time; with `high` it tells mixed units from garbage.
        high: the latest possible time.
    """
    numbers = _numbers(text)
    possible, inside = _sizes(numbers, low, high)
    others = text.filter(numbers.is_null()).cast(pl.String).str.strip_chars()
    slashed = others.filter(others.str.contains(r"^\d{1,2}/\d{1,2}/\d{4}"))
    fits = tuple(not len(slashed) or not _clocked(slashed, day).has_nulls() for day in _DAY_OR_MONTH)
    return Survey(
        len(text),
        len(text) - len(others) + int((others.fill_null("") != "").sum()),
        len(text) - numbers.null_count(),
        possible,
        inside,
        slashed[0] if len(slashed) else None,
        fits,
    )


def _sizes(numbers: pl.Series, low: float, high: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return how many numbers are possible times in each unit, and how many are of its size."""
    bounds = [*pairwise([0.0, *_LIMITS.values(), float("inf")])]
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


def likely(found: Survey, unit: str) -> TimeRule:
    """Return the rule that a survey of a part of the cells points to."""
    if unit == "auto" and 2 * found.numbers >= found.filled:
        return TimeRule(max(zip(UNITS, found.possible, found.inside, strict=True), key=lambda f: f[1:])[0])
    fitting = [day for day, fit in zip(_DAY_OR_MONTH, found.fits, strict=True) if fit]
    return TimeRule("iso", day=fitting[0] if found.slashed is not None and fitting else None)


def decide(found: Survey, unit: str, file: str) -> TimeRule:
    """Return the rule of a file's cells and what is to be said about it.

    Args:
        found: of all its cells.
        unit: iso or auto.
        file: for messages.

    Raises:
        GnnrecError: units are mixed, or day and month cannot be told apart.
    """
    rule = likely(found, unit)
    if rule.unit in UNITS:
        return replace(rule, note=_unit_note(found, rule.unit, file))
    if found.slashed is None:
        return rule
    if sum(found.fits) != 1:
        raise GnnrecError(
            f"{file}: in times like '{one_line(found.slashed)}' day and month cannot be told apart; "
            "set data.time_format='%d/%m/%Y %H:%M' or '%m/%d/%Y %H:%M'"
        )
    return replace(rule, note=f"{file}: dates read {_DAY_OR_MONTH[str(rule.day)]} (inferred)")


def _unit_note(found: Survey, main: str, file: str) -> str | None:
    possible = dict(zip(UNITS, found.possible, strict=True))
    other = {u: n for u, n in possible.items() if u != main and n > _MIXED_SHARE * found.rows}
    if other:
        parts = ", ".join(f"{n:,} in {u}" for u, n in {main: possible[main], **other}.items())
        raise GnnrecError(f"{file}: times mix units ({parts}); bring them to one unit or set data.time_unit=s|ms|us|ns")
    return None if main == "s" else f"{file}: time unit {main} inferred from the size of the numbers"


def _numbers(text: pl.Series) -> pl.Series:
    if text.dtype == pl.String:
        text = text.str.strip_chars()
    number = text.cast(pl.Float64, strict=False)
    return pl.select(pl.when(number.is_finite()).then(number)).to_series()


def _clocked(text: pl.Series, day: str, zone: str | None = None) -> pl.Series:
    return _coalesce([_seconds(_parse(text, day + clock), zone) for clock in _CLOCKS])


def _declared(text: pl.Series, pattern: str) -> pl.Series:
    try:
        return _parse(text, pattern)
    except pl.exceptions.PolarsError as error:
        raise GnnrecError(f"data.time_format={pattern!r} is no strptime format: {one_line(str(error))[:80]}") from None


def _parse(text: pl.Series, pattern: str) -> pl.Series:
    if not any(code in pattern for code in _CLOCK_CODES):
        return text.str.to_date(pattern, strict=False).cast(pl.Datetime("us"))
    return text.str.to_datetime(pattern, strict=False, time_unit="us")


def _seconds(moment: pl.Series, zone: str | None = None) -> pl.Series:
    if zone is not None and moment.dtype == pl.Datetime(
        "us"
    ):  # a text with a zone of its own has been converted already
        moment = moment.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return moment.dt.epoch("us").cast(pl.Float64) / 1e6


def _coalesce(parts: list[pl.Series]) -> pl.Series:
    return pl.select(pl.coalesce([pl.lit(p) for p in parts])).to_series()
