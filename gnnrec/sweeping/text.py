"""How points are said: on a terminal, in files, on the page."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from gnnrec.runs.point import COST
from gnnrec.sweeping.study import STATES, Tried

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
