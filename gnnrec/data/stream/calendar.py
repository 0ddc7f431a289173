"""Calendar widths such as ``7d`` or ``1mo``, and the borders they draw through a log. All times are UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gnnrec.core.errors import GnnrecError, one_line

_WIDTH = re.compile(r"^(-?)(\d+)(s|m|h|d|w|mo|y)$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_MONTHS = {"mo": 1, "y": 12}
_MOST = 100_000
_LATEST_YEAR = 9999


@dataclass(frozen=True, slots=True)
class Width:
    """A length of time: fixed seconds, or calendar months."""

    seconds: int
    months: int

    def after(self, moment: datetime, times: int) -> datetime:
        """Return the moment `times` widths later; months keep the day where they have it, else end on their last."""
        if not self.months:
            return moment + timedelta(seconds=self.seconds * times)
        month = moment.year * 12 + moment.month - 1 + self.months * times
        year, index = divmod(month, 12)
        follows = datetime(year + (index == 11), (index + 1) % 12 + 1, 1, tzinfo=UTC)
        last = (follows - timedelta(days=1)).day
        return moment.replace(year=year, month=index + 1, day=min(moment.day, last))


def parse_width(text: str, key: str) -> Width:
    """Return the width written as a number and a unit."""
    found = _WIDTH.match(str(text).strip())
    if found is None:
        raise GnnrecError(
            f"{key}={one_line(str(text))} is no width; write a number and s, m, h, d, w, mo or y, as in 7d or 1mo"
        )
    sign, count, unit = (-1 if found[1] else 1), int(found[2]), found[3]
    return Width(sign * count * _SECONDS.get(unit, 0), sign * count * _MONTHS.get(unit, 0))


def origin(first: float, width: Width, offset: Width) -> datetime:
    """Return the last calendar border (midnight, Monday, first of the month …) plus `offset` not after `first`."""
    moment = datetime.fromtimestamp(first, UTC)
    start = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if width.months:
        start = start.replace(day=1, month=1 if width.months % 12 == 0 else start.month)
    elif width.seconds % _SECONDS["w"] == 0:
        start -= timedelta(days=start.weekday())
    start = offset.after(start, 1)
    while start > moment:
        start = width.after(start, -1)
    while width.after(start, 1) <= moment:
        start = width.after(start, 1)
    return start


def borders(start: datetime, width: Width, last: float, key: str) -> list[float]:
    """Return start, start + width, … up to the first border after `last`, as seconds."""
    found = [start.timestamp()]
    while found[-1] <= last:
        if len(found) > _MOST:
            raise GnnrecError(f"{key} is too narrow: more than {_MOST:,} increments; choose a wider one")
        found.append(width.after(start, len(found)).timestamp())
    return found
