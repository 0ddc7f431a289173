"""Dates as people and programs write them, brought to one form and read: ISO, slashed, dotted, compact, named months."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DATED = (
    r"^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|^\d{8}(?:[T ]?\d{4}(?:\d{2})?Z?)?$|^\d{1,2}[-/. ]+[A-Za-z]{3}|"
    r"^(?:[A-Za-z]{3,9},?\s+)?(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)|^[A-Za-z]{3}, \d"
)
"""What a cell with a date in it looks like."""
COMPACT = r"^(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?)?$"
"""A number that is year, month, day, and hour, minute and second."""
DAY_OR_MONTH = r"^(\d{1,2})([-/.])(\d{1,2})[-/.](?:\d{4}|\d{2})(?:\D|$)"
_MONTH = r"(?i:(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*)\.?"
_PLAIN = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d", "%Y-%m-%d %H:%M")
_ZONED = ("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M%#z")
_HALVED = ("%Y-%m-%d %I:%M:%S%.f %p", "%Y-%m-%d %I:%M %p")
_HALVED_ZONED = ("%Y-%m-%d %I:%M:%S%.f %p%#z", "%Y-%m-%d %I:%M %p%#z")
_ISO = r"^\d{4}-"
_DONE = r"^\d{4}-(?:\d|[A-Za-z]{3}-)"
_WEEKDAY = r"^(?i:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+"
_DIGITS = r"^(\d{1,2})[-/.](\d{1,2})[-/.]"
_DAY_NAME = rf"^(\d{{1,2}})(?:st|nd|rd|th)?[-/. ]+{_MONTH},?[-/. ]+"
_LAST_CENTURY = r"(69|[7-9]\d)(\D|$)"
# Of years with two digits 69 to 99 are of the last century, as in POSIX.
_ORDERS = (
    (_DIGITS + r"(\d{4})(\D|$)", "${3}-MONTH-DAY${4}"),
    (_DIGITS + _LAST_CENTURY, "19${3}-MONTH-DAY${4}"),
    (_DIGITS + r"(\d{2})(\D|$)", "20${3}-MONTH-DAY${4}"),
    (r"^(\d{4})[/.](\d{1,2})[/.](\d{1,2})", "${1}-${2}-${3}"),
    (r"^(\d{4})(\d{2})(\d{2})$", "${1}-${2}-${3}"),
    (r"^(\d{4})(\d{2})(\d{2})[T ]?(\d{2})(\d{2})Z?$", "${1}-${2}-${3} ${4}:${5}"),
    (r"^(\d{4})(\d{2})(\d{2})[T ]?(\d{2})(\d{2})(\d{2})Z?$", "${1}-${2}-${3} ${4}:${5}:${6}"),
    (_DAY_NAME + r"(\d{4})(\D|$)", "${3}-${2}-${1}${4}"),
    (_DAY_NAME + _LAST_CENTURY, "19${3}-${2}-${1}${4}"),
    (_DAY_NAME + r"(\d{2})(\D|$)", "20${3}-${2}-${1}${4}"),
    (rf"^{_MONTH}\s+(\d{{1,2}})(?:st|nd|rd|th)?,?\s+(\d{{4}})(\D|$)", "${3}-${1}-${2}${4}"),
    (
        rf"^{_MONTH}\s+(\d{{1,2}})\s+(\d{{1,2}}:\d{{2}}:\d{{2}})\s*([-+]\d{{4}})?\s*(\d{{4}})$",
        "${5}-${1}-${2} ${3}${4}",
    ),
)
"""Ways to write a date, and the same with the year first."""
_NAMED = r"^\d{2,4}-[A-Za-z]{3}-"
_NUMBERS = {f"-{name}-": f"-{k:02d}-" for k, name in enumerate(MONTHS, 1)}
_ODD_CLOCK = r"[A-Za-z,+]|^\d{4}-\d{1,2}-\d{1,2}:| -\d{2}:?\d{2}$|\d-\d{2}:?\d{2}$|\s\s|\s$"
CLOCK_CODES = ("%H", "%I", "%k", "%l", "%M", "%S", "%T", "%R", "%X", "%c", "%s", "%+")


def read_dates(text: pl.Series, day_first: bool, zone: str | None = None) -> pl.Series:
    """Return the seconds since 1970 of each cell, null where a text is no date.

    Args:
        text: without blanks around it.
        day_first: whether the day stands before the month where both are numbers and the year does not come first.
        zone: of dates that name none; None: UTC.
    """
    found = pl.repeat(None, len(text), dtype=pl.Float64, eager=True)
    if text.str.contains(_ISO).any():
        plain = text.str.replace(r"^(\d{4}-\d{2}-\d{2})[Tt]", "${1} ").str.replace(r"\s*([Zz]|UTC|GMT)$", "+00:00")
        found = _first_that_reads(plain, [(f, zone) for f in _PLAIN] + [(f, None) for f in _ZONED])
    return _filled(found, text, lambda left: _uncommon(left, day_first, zone))


def _uncommon(text: pl.Series, day_first: bool, zone: str | None) -> pl.Series:
    formats = [(f, zone) for f in (*_PLAIN, *_HALVED)] + [(f, None) for f in (*_ZONED, *_HALVED_ZONED)]
    return _first_that_reads(canonical(text, day_first), formats)


def canonical(text: pl.Series, day_first: bool) -> pl.Series:
    """Return dates with the year first and the rest behind a blank, as far as they are recognised."""
    day, month = ("${1}", "${2}") if day_first else ("${2}", "${1}")
    if text.str.contains(_WEEKDAY).any():
        text = text.str.replace(_WEEKDAY, "")
    for pattern, order in _ORDERS:
        left = ~text.str.contains(_DONE)
        if not left.any():  # most columns are done after the first pattern
            break
        new = text.str.replace(pattern, order.replace("DAY", day).replace("MONTH", month))
        text = text.zip_with(~left.fill_null(True), new)
    if text.str.contains(_NAMED).any():
        text = text.str.replace_many(_NUMBERS, ascii_case_insensitive=True)
    return _clock(text) if text.str.contains(_ODD_CLOCK).any() else text


def _clock(text: pl.Series) -> pl.Series:
    """Return dates whose clocks and zones are written in one way."""
    text = text.str.replace(r"^(\d{4}-\d{1,2}-\d{1,2})[Tt:,\s]+", "${1} ").str.strip_chars_end()
    text = text.str.replace(r"\s*([Zz]|UTC|GMT)$", "+00:00").str.replace(r"(\d)\s+([-+]\d{2}:?\d{2})$", "${1}${2}")
    text = text.str.replace(r"\s*([AaPp])\.?[Mm]\.?\s*([-+]\d{2}:?\d{2})?$", " ${1}M${2}")
    return text.str.replace(r"(:\d{2}),(\d+)", "${1}.${2}").str.replace(r" (\d{1,2}) ([APap]M)", " ${1}:00 ${2}")


def parsed(text: pl.Series, pattern: str) -> pl.Series:
    """Return the moment of each cell by a strptime format, null where it does not fit."""
    if not any(code in pattern for code in CLOCK_CODES):
        return text.str.to_date(pattern, strict=False).cast(pl.Datetime("us"))
    return text.str.to_datetime(pattern, strict=False, time_unit="us")


def seconds(moment: pl.Series, zone: str | None = None) -> pl.Series:
    """Return seconds since 1970; a moment that names its zone has been converted already."""
    if zone is not None and moment.dtype == pl.Datetime("us"):
        moment = moment.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return moment.dt.epoch("us").cast(pl.Float64) / 1e6


def _first_that_reads(text: pl.Series, formats: list[tuple[str, str | None]]) -> pl.Series:
    """Return seconds by the first format that reads a cell; those that one reads are not tried with the next."""
    found = pl.repeat(None, len(text), dtype=pl.Float64, eager=True)
    for pattern, zone in formats:
        found = _filled(found, text, lambda left, p=pattern, z=zone: seconds(parsed(left, p), z))  # type: ignore[misc]
    return found


def _filled(found: pl.Series, text: pl.Series, read: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """Return `found` where it is known, else what `read` makes of the cells that are not."""
    left = found.is_null() & text.is_not_null() & (text != "")
    count = int(left.sum())
    if not count:
        return found
    if count == len(text):
        return read(text)
    return found.scatter(left.arg_true(), read(text.filter(left)))
