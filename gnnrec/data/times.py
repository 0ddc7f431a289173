"""Times as text become seconds since 1970 in UTC: units and formats declared, or inferred and said."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from gnnrec.errors import GnnrecError, nearest, one_line

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


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds (null where a text is no time) and what was inferred."""

    seconds: pl.Series
    note: str | None = None


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


def parse_times(text: pl.Series, unit: str, pattern: str | None, low: float, high: float, file: str) -> Times:
    """Parse a column.

    Args:
        text: the cells.
        unit: s, ms, us, ns, iso or auto.
        pattern: a strptime format, or None.
        low: the earliest possible time; with `high` it tells mixed units from garbage.
        high: the latest possible time.
        file: for messages.
    """
    if unit not in _KINDS:
        raise GnnrecError(f"data.time_unit={unit} is not a unit{nearest(unit, _KINDS)}")
    text = text.str.strip_chars()
    if pattern is not None:
        return Times(_seconds(_declared(text, pattern)))
    if unit in UNITS:
        return Times(_numbers(text) / UNITS[unit])
    numbers = _numbers(text)
    filled = (text.fill_null("") != "").sum()
    if unit == "auto" and 2 * (numbers.is_not_null()).sum() >= filled:
        return _by_range(numbers, low, high, file)
    return _by_format(text, file)


def _numbers(text: pl.Series) -> pl.Series:
    number = text.cast(pl.Float64, strict=False)
    return pl.select(pl.when(number.is_finite()).then(number)).to_series()


def _by_range(numbers: pl.Series, low: float, high: float, file: str) -> Times:
    size = numbers.abs()
    bounds = [0.0, *_LIMITS.values(), float("inf")]
    found = {}
    for (unit, scale), start, end in zip(UNITS.items(), bounds, bounds[1:], strict=False):
        inside = (size >= start) & (size < end)
        possible = inside & (numbers / scale >= low) & (numbers / scale <= high)
        found[unit] = (int(possible.sum()), int(inside.sum()))
    main = max(found, key=lambda u: found[u])
    other = {u: n for u, (n, _) in found.items() if u != main and n > _MIXED_SHARE * len(numbers)}
    if other:
        parts = ", ".join(f"{n:,} in {u}" for u, n in {main: found[main][0], **other}.items())
        raise GnnrecError(f"{file}: times mix units ({parts}); bring them to one unit or set data.time_unit=s|ms|us|ns")
    note = None if main == "s" else f"{file}: time unit {main} inferred from the size of the numbers"
    return Times(numbers / UNITS[main], note)


def _by_format(text: pl.Series, file: str) -> Times:
    plain = text.str.replace(r"^(\d{4}-\d{2}-\d{2})[Tt]", "${1} ")
    plain = plain.str.replace(r"\s*([Zz]|UTC)$", "+00:00")
    parsed = _coalesce([_seconds(_parse(plain, f)) for f in (*_ISO, *_ISO_ZONE)])
    slashed = text.filter(parsed.is_null() & text.str.contains(r"^\d{1,2}/\d{1,2}/\d{4}"))
    if not len(slashed):
        return Times(parsed)
    fits = {d: all(t is not None for t in _clocked(slashed, d)) for d in _DAY_OR_MONTH}
    if sum(fits.values()) != 1:
        raise GnnrecError(
            f"{file}: in times like '{one_line(str(slashed[0]))}' day and month cannot be told apart; "
            "set data.time_format='%d/%m/%Y %H:%M' or '%m/%d/%Y %H:%M'"
        )
    order = next(d for d, fit in fits.items() if fit)
    return Times(_coalesce([parsed, _clocked(text, order)]), f"{file}: dates read {_DAY_OR_MONTH[order]} (inferred)")


def _clocked(text: pl.Series, day: str) -> pl.Series:
    return _coalesce([_seconds(_parse(text, day + clock)) for clock in _CLOCKS])


def _declared(text: pl.Series, pattern: str) -> pl.Series:
    try:
        return _parse(text, pattern)
    except pl.exceptions.PolarsError as error:
        raise GnnrecError(f"data.time_format={pattern!r} is no strptime format: {one_line(str(error))[:80]}") from None


def _parse(text: pl.Series, pattern: str) -> pl.Series:
    if not any(code in pattern for code in _CLOCK_CODES):
        return text.str.to_date(pattern, strict=False).cast(pl.Datetime("us"))
    return text.str.to_datetime(pattern, strict=False, time_unit="us")


def _seconds(moment: pl.Series) -> pl.Series:
    return moment.dt.epoch("us").cast(pl.Float64) / 1e6


def _coalesce(parts: list[pl.Series]) -> pl.Series:
    return pl.select(pl.coalesce([pl.lit(p) for p in parts])).to_series()
