"""Is a new version sound? Compared with earlier ones, and judged by named rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from scipy import stats

from gnnrec.quality import drift
from gnnrec.quality.drift import Drift
from gnnrec.quality.measures import Measures
from gnnrec.quality.row_counts import RowCounts
from gnnrec.quality.rules import COMPARED
from gnnrec.quality.statistics import Statistics

HALF_DAY = 12
"""Hours that events must span before their hours of the day are compared."""
LEVELS = ("PASS", "WARN", "BLOCK")


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule that was met.

    Attributes:
        level: WARN or BLOCK.
        rule: its name.
        value: of the measure, or the PSI.
        threshold: the conditions, as text.
        n: events it rests on.
        advice: what to look at.
        since: version that the rule was first met in, where this is no news; None: it is.
    """

    level: str
    rule: str
    value: float
    threshold: str
    n: int
    advice: str
    since: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """PASS, WARN or BLOCK, and why.

    Attributes:
        level: the highest of the alerts that are news.
        alerts: by rule, in their order.
        drifts: comparisons by (measure, against), None where nothing could be said.
    """

    level: str
    alerts: tuple[Alert, ...]
    drifts: Mapping[tuple[str, str], Drift | None]


@dataclass(frozen=True, slots=True)
class Past:
    """The accepted versions that a new one is judged by, oldest first.

    Attributes:
        numbers: of them.
        measures: of each.
        alerts: of each: rule and, where it was no news then, the version since which it is met.
        first: statistics of the first events, of whole versions; None: there are too few yet to compare with.
        recent: statistics of the newest versions.
    """

    numbers: tuple[int, ...] = ()
    measures: tuple[Measures, ...] = ()
    alerts: tuple[Mapping[str, int | None], ...] = ()
    first: Statistics | None = None
    recent: tuple[Statistics, ...] = ()

    def since(self, rule: str, versions: int) -> int | None:
        """Return the version since which a rule is met, where one of the newest `versions` met it; None: none did."""
        known = list(zip(self.numbers, self.alerts, strict=True))[-versions:]
        return next((met[rule] if met[rule] is not None else n for n, met in known[::-1] if rule in met), None)


def judge(new: Statistics, measures: Measures, past: Past, rules: Mapping[str, Any]) -> Verdict:
    """Return the verdict on a version.

    Args:
        new: its statistics.
        measures: of it.
        past: the versions before it.
        rules: as `rules_of` returns them.
    """
    wanted = [(r["measure"], r["against"]) for r in rules["rules"] if r["measure"] in COMPARED]
    old = {"first": past.first, "recent": reduce(add, past.recent) if past.recent else None}
    drifts = {key: _drift(new, key[0], old[key[1]]) for key in dict.fromkeys(wanted)}
    # Several comparisons are made: their p-values are adjusted together.
    said = [key for key, found in drifts.items() if found is not None]
    p_values = drift.adjusted(np.array([drifts[key].p_value for key in said]))  # type: ignore[union-attr]
    adjusted = dict(zip(said, p_values.tolist(), strict=True))
    least = int(rules["least"])
    met = [(r, a) for r in rules["rules"] if (a := _alert(r, new, measures, past.measures, drifts, adjusted, least))]
    alerts = tuple(_dated(alert, rule, past, int(rules["recent"])) for rule, alert in met)
    level = max((a.level for a in alerts if a.since is None), key=LEVELS.index, default="PASS")
    return Verdict(level, alerts, drifts)


def _dated(alert: Alert, rule: Mapping[str, Any], past: Past, recent: int) -> Alert:
    """Say since when a rule is met that is to warn once: a state that lasts is no news in every version."""
    if alert.level != "WARN" or not rule.get("once"):
        return alert
    return replace(alert, since=past.since(alert.rule, recent))


def _drift(new: Statistics, measure: str, old: Statistics | None) -> Drift | None:
    if old is None:
        return None
    if measure == "popularity":
        return drift.compare(*drift.popularity(old.items, new.items))
    if measure == "hours":
        # Files of an hour or two cover other hours each; that says nothing about the clock.
        whole = min(s.span or 0 for s in (old, new)) >= HALF_DAY
        return drift.compare(old.by_hour_of_day(), new.by_hour_of_day()) if whole else None
    return drift.compare(*drift.values(old.values, new.values))


def _alert(
    rule: Mapping[str, Any],
    new: Statistics,
    measures: Measures,
    past: Sequence[Measures],
    drifts: Mapping[tuple[str, str], Drift | None],
    adjusted: Mapping[tuple[str, str], float],
    least: int,
) -> Alert | None:
    measure, key = rule["measure"], (rule["measure"], rule.get("against", ""))
    found = drifts.get(key)
    if measure in COMPARED:
        value, p = (None, None) if found is None else (found.psi, adjusted[key])
    else:
        value, p = measures[measure], None
    if value is None:
        return None
    # The first version is what was there at the start: everything in it is new, and it is longer than the others.
    history = [float(v) for m in past[1:] if (v := m.get(measure)) is not None]
    for level in ("block", "warn"):
        conditions = rule.get(level)
        if conditions and all(_holds(k, float(bound), value, p, history, least) for k, bound in conditions.items()):
            shown = ", ".join(f"{k} {bound:g}" for k, bound in conditions.items())
            return Alert(level.upper(), rule["name"], value, shown, new.rows, rule["advice"])
    return None


def _holds(key: str, bound: float, value: float, p: float | None, history: Sequence[float], least: int) -> bool:
    if key == "above":
        return value > bound
    if key == "below":
        return value < bound
    if key == "history":
        return len(history) >= least and _outside(value, history, bound)
    if key == "psi_above":
        return value >= bound
    return p is not None and p < bound


def _outside(value: float, history: Sequence[float], deviations: float) -> bool:
    """Return whether a value lies outside the prediction interval that is as wide as so many deviations of a normal law.

    The deviation is itself estimated from few versions: Student's t says how much further the interval must reach.
    """
    n = len(history)
    reach = float(stats.t.isf(stats.norm.sf(deviations), n - 1)) * (1 + 1 / n) ** 0.5
    return bool(abs(value - np.mean(history)) > reach * max(float(np.std(history, ddof=1)), 1e-12))


def as_json(verdict: Verdict, measures: Measures, counts: RowCounts) -> dict[str, Any]:
    """Return the report's contract: verdict, alerts, measures, counts and comparisons, in plain types."""
    drifts = {f"{m} against {a}": None if d is None else asdict(d) for (m, a), d in verdict.drifts.items()}
    alerts = [asdict(a) for a in verdict.alerts]
    return {
        "verdict": verdict.level,
        "alerts": alerts,
        "measures": dict(measures),
        "rows": asdict(counts),
        "drift": drifts,
    }
