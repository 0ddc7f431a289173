"""How points are said: on a terminal, in files, on the page."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from gnnrec.runs.point import COST
from gnnrec.sweeping.study import STATES, Tried

_AROUND = ("trial", "state", "seconds_per_update", "why")
"""Columns of the table beside settings and metrics."""
SECONDS = (
    "Seconds: wall-clock time from an increment's arrival until the model could serve, mean over increments 1 and 2 and the "
    "seeds. They depend on the machine and on what ran beside a trial, so two sweeps never agree on them to the byte; "
    "edges_touched counts the same work and does."
)


def setting(params: Mapping[str, Any]) -> str:
    """Return a point's setting."""
    return ", ".join(f"{k}={v:.5g}" if isinstance(v, float) else f"{k}={v}" for k, v in params.items())


def named(metric: str) -> str:
    """Return a metric as a heading has it: quality is of valid events, cost of updates."""
    return metric if metric in COST else f"valid {metric}"


def value(number: float) -> str:
    """Return a value: five decimals, or as many digits where it is large."""
    return f"{number:.5f}" if abs(number) < 1000 else f"{number:,.0f}"


def valued(metrics: Sequence[str], values: Sequence[float], deviations: Sequence[float] | None) -> str:
    """Return values with their names, and deviations over seeds where there are any."""
    spread = [f" ± {value(d)}" for d in deviations] if deviations else [""] * len(values)
    return ", ".join(f"{m} {value(v)}{s}" for m, v, s in zip(metrics, values, spread, strict=False))


def counts(tried: Sequence[Tried]) -> str:
    """Return how many points there are of each state."""
    found = Counter(t.state for t in tried)
    said = ", ".join(f"{found[state]} {state}" for state in STATES if found[state])
    return f"{len(tried)} trial{'' if len(tried) == 1 else 's'}: {said or 'none'}"


def from_csv(table: str, metrics: Sequence[str]) -> list[Tried]:
    """Return the points of a table that `as_csv` has written.

    Raises:
        ValueError, KeyError: it is none of these metrics, or damaged.
    """
    reader = csv.DictReader(io.StringIO(table))
    keys = [c for c in reader.fieldnames or () if c not in _AROUND and c.removesuffix("_deviation") not in metrics]
    return [_tried(row, keys, metrics) for row in reader]


def _tried(row: Mapping[str, str], keys: Sequence[str], metrics: Sequence[str]) -> Tried:
    values, deviations = ([row[f"{m}{end}"] for m in metrics] for end in ("", "_deviation"))
    return Tried(
        int(row["trial"]),
        {key: _plain(row[key]) for key in keys},
        row["state"],
        tuple(map(float, values)) if all(values) else None,
        tuple(map(float, deviations)) if all(deviations) else None,
        row["why"],
        float(row["seconds_per_update"]) if row["seconds_per_update"] else None,
    )


def _plain(cell: str) -> Any:
    """Return a value of a setting as it was before it was written."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(cell)
    return cell


def as_csv(tried: Sequence[Tried], metrics: Sequence[str]) -> str:
    """Return the table of points: number, state, setting, values, deviations, seconds, why."""
    keys = list(tried[0].params) if tried else []
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        ["trial", "state", *keys, *metrics, *(f"{m}_deviation" for m in metrics), "seconds_per_update", "why"]
    )
    for t in tried:
        values = t.values or [""] * len(metrics)
        deviations = t.deviations or [""] * len(metrics)
        seconds = "" if t.seconds is None else t.seconds
        writer.writerow([t.number, t.state, *(t.params[k] for k in keys), *values, *deviations, seconds, t.more])
    return file.getvalue()
