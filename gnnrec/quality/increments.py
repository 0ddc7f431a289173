"""How sound each increment of a stream is: new nodes, drift against the increments before it, and the dirt it came with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import polars as pl

from gnnrec.data.types import Increment, Interactions, Stream
from gnnrec.quality import drift
from gnnrec.quality.statistics import Statistics
from gnnrec.quality.verdict import LEVELS

RECENT = 5
"""Increments before it that an increment is compared with."""
COLUMNS = {
    "t": pl.Int64(),
    "events": pl.Int64(),
    "new users": pl.Float64(),
    "new items": pl.Float64(),
    "item drift": pl.Float64(),
    "item p": pl.Float64(),
    "value drift": pl.Float64(),
    "value p": pl.Float64(),
    "set aside": pl.Float64(),
    "repeated": pl.Float64(),
    "late": pl.Float64(),
    "verdict": pl.String(),
}
Reports = Mapping[int, Mapping[str, Any]]


def per_increment(stream: Stream, reports: Reports | None = None) -> pl.DataFrame:
    """Return a row per increment: see `COLUMNS`.

    Drift is the PSI of item popularity and of values against the `RECENT` increments before, p the chance of such a PSI in
    equal populations (`gnnrec.quality.drift`). Shares are of the increment's events, those of dirt of the rows read. What
    cannot be computed is null: drift of the base, and dirt where the data come without a report per version.

    Args:
        stream: cut by versions where reports are given.
        reports: quality report of each version of a store.
    """
    seen: tuple[set[int], set[int]] = (set(), set())
    found: list[dict[str, object]] = []
    past: list[Statistics] = []
    for t, increment in enumerate(stream.increments):
        events = _events(increment, stream)
        new = Statistics.of(_frame(events))
        shares = [_fresh(column, known) for column, known in zip((events.user, events.item), seen, strict=True)]
        row = {"t": t, "events": len(events), "new users": shares[0], "new items": shares[1]}
        found.append(row | _drift(past[-RECENT:], new) | _dirt(_reports_of(stream, t, reports or {})))
        past.append(new)
    return pl.DataFrame(found, schema=COLUMNS)


def _events(increment: Increment, stream: Stream) -> Interactions:
    """Return the events of an increment; without test slices, valid may belong to the next one and is left out."""
    parts = [increment.observed.train]
    return Interactions.concat([*parts, increment.observed.valid, increment.test] if stream.has_test else parts)


def _frame(events: Interactions) -> pl.DataFrame:
    time = pl.Series((events.time * 1e6).astype(np.int64)).cast(pl.Datetime("us", "UTC"))
    return pl.DataFrame({"user": events.user, "item": events.item, "value": events.value, "time": time})


def _fresh(column: np.ndarray[Any, np.dtype[np.int64]], known: set[int]) -> float | None:
    """Return the share of the distinct nodes that no earlier increment has, and remember them."""
    mine = set(np.unique(column).tolist())
    fresh = len(mine - known)
    known |= mine
    return fresh / len(mine) if mine else None


def _drift(past: Sequence[Statistics], new: Statistics) -> dict[str, object]:
    if not past:
        return {}
    old = reduce(add, past)
    counts = {"item": drift.popularity(old.items, new.items), "value": drift.values(old.values, new.values)}
    found: dict[str, object] = {}
    for name, pair in counts.items():
        one = drift.compare(*pair)
        found |= {f"{name} drift": None if one is None else one.psi, f"{name} p": None if one is None else one.p_value}
    return found


def _reports_of(stream: Stream, t: int, reports: Reports) -> list[Mapping[str, Any]]:
    """Return the reports of the versions that increment t is made of."""
    if not reports or not all(label.isdigit() for label in stream.labels) or not stream.labels:
        return []
    last = [int(label) for label in stream.labels]
    low, high = (last[t - 1] if t else -1), last[t]
    return [report for number, report in reports.items() if low < number <= high]


def _dirt(reports: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    rows = [r["rows"] for r in reports]
    read, kept = sum(r["read"] for r in rows), sum(r["kept"] for r in rows)
    if not read:
        return {}
    aside = sum(sum(r["set_aside"].values()) for r in rows)
    repeated = sum(r["duplicate"] + r["repeat"] + sum(r["known"].values()) for r in rows)
    late = sum(r["late"] for r in rows) / kept if kept else None
    verdict = max((str(r["verdict"]) for r in reports), key=LEVELS.index)
    return {"set aside": aside / read, "repeated": repeated / read, "late": late, "verdict": verdict}


def as_text(table: pl.DataFrame) -> str:
    """Return the table for the terminal; columns that hold nothing are left out."""
    names = [n for n in table.columns if table[n].null_count() < table.height]
    rows = [
        names,
        *([_cell(name, value) for name, value in zip(names, row, strict=True)] for row in table.select(names).rows()),
    ]
    widths = [max(len(row[k]) for row in rows) for k in range(len(names))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    said = f"drift: PSI against the {RECENT} increments before; p: chance of such a PSI in equal populations"
    return "\n".join([*lines, said])


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, str | int):
        return f"{value:,}" if isinstance(value, int) else value
    return f"{value:.3f}" if name.endswith((" drift", " p")) else f"{value:.1%}"
