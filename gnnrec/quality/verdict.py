"""Is a new version sound? Measures, comparisons with earlier ones, and a verdict by named rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy import stats

from gnnrec.core.errors import GnnrecError, nearest, one_line
from gnnrec.quality import drift
from gnnrec.quality.drift import Drift
from gnnrec.quality.statistics import Statistics, gini, top_share
from gnnrec.store.version import RowCounts

RULES = Path(__file__).with_name("rules.yaml")
HALF_DAY = 12
"""Hours that events must span before their hours of the day are compared."""
LEVELS = ("PASS", "WARN", "BLOCK")
_KEYS = {"above", "below", "history", "p_below", "psi_above"}
_COMPARED = ("values", "popularity", "hours")
AGAINST = ("recent", "first")
LONGEST = 100_000
"""Characters of a file of rules."""

Measures = Mapping[str, float | None]


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
    """

    level: str
    rule: str
    value: float
    threshold: str
    n: int
    advice: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """PASS, WARN or BLOCK, and why.

    Attributes:
        level: the highest of the alerts.
        alerts: by rule, in their order.
        drifts: comparisons by (measure, against), None where nothing could be said.
    """

    level: str
    alerts: tuple[Alert, ...]
    drifts: Mapping[tuple[str, str], Drift | None]


def measured(
    new: Statistics,
    components: int,
    counts: RowCounts,
    new_users: int,
    new_items: int,
    past: Sequence[Measures] = (),
    since: float | None = None,
) -> dict[str, float | None]:
    """Return `MEASURES` of a version; None where there is nothing to divide by.

    Args:
        new: its statistics.
        components: connected parts of the graph of its events.
        counts: what became of the rows read.
        new_users, new_items: of it.
        past: measures of the accepted versions, oldest first.
        since: hours between the last event before it and its first.
    """
    users, items = new.users["count"].to_numpy(), new.items["count"].to_numpy()
    aside, read = sum(counts.set_aside.values()), counts.read
    cells = new.users.height * new.items.height
    return {
        "rows": float(new.rows),
        "log_rows": float(np.log(new.rows)) if new.rows else None,
        "rows_ratio": _ratio(new.rows, [float(m.get("rows") or 0) for m in past[1:]]),
        "set_aside_share": _share(aside, read),
        "duplicate_share": _share(counts.duplicate + sum(counts.known.values()), read),
        "repeat_share": _share(counts.repeat, read),
        "late_share": _share(counts.late, new.rows),
        "new_user_share": _share(new_users, new.users.height),
        "new_item_share": _share(new_items, new.items.height),
        "density": _share(new.rows, cells),
        "mean_user_degree": _share(new.rows, new.users.height),
        "mean_item_degree": _share(new.rows, new.items.height),
        "user_gini": gini(users),
        "item_gini": gini(items),
        "top_user_share": _share(float(users.max(initial=0)), new.rows),
        "top_item_share": _share(float(items.max(initial=0)), new.rows),
        "top_percent_of_items": top_share(items),
        "mean_value": new.mean,
        "deviation_of_values": new.deviation,
        "hours_since_last": since,
        "longest_gap_hours": None if new.gap is None else float(new.gap),
        "components": float(components),
    }


MEASURES = (
    *("rows", "log_rows", "rows_ratio", "set_aside_share", "duplicate_share", "repeat_share", "late_share"),
    *("new_user_share", "new_item_share", "density", "mean_user_degree", "mean_item_degree", "user_gini", "item_gini"),
    *("top_user_share", "top_item_share", "top_percent_of_items", "mean_value", "deviation_of_values"),
    *("longest_gap_hours", "hours_since_last", "components"),
)
"""What a rule may look at beside the comparisons."""


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _ratio(rows: int, before: Sequence[float]) -> float | None:
    """Return how many times more, or fewer, rows there are than in the middle one of the versions before but the first."""
    usual = float(np.median(before)) if before else 0.0
    return max(rows / usual, usual / rows) if rows and usual else None


def _aliases(text: str) -> bool:
    """Return whether a YAML text refers to itself: a few lines of that can ask for any amount of memory."""
    return any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, Loader=yaml.SafeLoader))


def rules_of(path: Path = RULES) -> dict[str, Any]:
    """Return the rules of a file.

    Raises:
        GnnrecError: it cannot be read, or a rule says something that no rule can.
    """
    try:
        text = path.read_text()
        if len(text) > LONGEST or _aliases(text):
            raise GnnrecError(f"the rules {path} must be at most {LONGEST:,} characters without aliases (&name, *name)")
        found = yaml.safe_load(text)
    except (OSError, yaml.YAMLError, UnicodeError, RecursionError) as error:
        raise GnnrecError(f"the rules {path} cannot be read ({one_line(str(error))[:160]})") from None
    if not isinstance(found, dict) or not isinstance(found.get("rules"), list):
        raise GnnrecError(f"the rules {path} need a list under 'rules'; copy {RULES}")
    for key, default in (("least", 8), ("recent", 5)):
        if not isinstance(found.setdefault(key, default), int) or found[key] < 2:
            raise GnnrecError(f"the rules {path}: {key} must be a number of versions from 2 on, got {found[key]!r}")
    for rule in found["rules"]:
        _check_rule(path, rule)
    return dict(found)


def _check_rule(path: Path, rule: object) -> None:
    """Refuse a rule that says something no rule can."""
    if not isinstance(rule, dict) or not {"name", "measure", "advice"} <= set(rule):
        raise GnnrecError(
            f"the rules {path}: a rule needs name, measure, advice, and warn or block; got {str(rule)[:80]}"
        )
    name, measure = rule["name"], rule["measure"]
    if measure not in (*MEASURES, *_COMPARED):
        raise GnnrecError(
            f"the rules {path}: '{name}' looks at {measure}{nearest(str(measure), (*MEASURES, *_COMPARED))}"
        )
    if measure in _COMPARED and rule.get("against") not in AGAINST:
        raise GnnrecError(f"the rules {path}: '{name}' needs against: one of {', '.join(AGAINST)}")
    for level in ("warn", "block"):
        conditions = rule.get(level) or {}
        bounds = conditions.values() if isinstance(conditions, dict) else [None]
        if any(isinstance(b, bool) or not isinstance(b, int | float) for b in bounds) or set(conditions) - _KEYS:
            raise GnnrecError(f"the rules {path}: '{name}' needs under {level} numbers for {', '.join(sorted(_KEYS))}")


def judge(
    new: Statistics,
    measures: Measures,
    first: Statistics | None,
    recent: Sequence[Statistics],
    past: Sequence[Measures],
    rules: Mapping[str, Any],
) -> Verdict:
    """Return the verdict on a version.

    Args:
        new: its statistics.
        measures: of it.
        first: statistics of the first accepted version; None: there is none.
        recent: of the newest ones.
        past: measures of all accepted versions, oldest first.
        rules: as `rules_of` returns them.
    """
    wanted = [(r["measure"], r["against"]) for r in rules["rules"] if r["measure"] in _COMPARED]
    old = {"first": first, "recent": reduce(add, recent) if recent else None}
    drifts = {key: _drift(new, key[0], old[key[1]]) for key in dict.fromkeys(wanted)}
    # Several comparisons are made: their p-values are adjusted together.
    said = [key for key, found in drifts.items() if found is not None]
    p_values = drift.adjusted(np.array([drifts[key].p_value for key in said]))  # type: ignore[union-attr]
    adjusted = dict(zip(said, p_values.tolist(), strict=True))
    alerts = [
        a for rule in rules["rules"] if (a := _alert(rule, new, measures, past, drifts, adjusted, int(rules["least"])))
    ]
    level = max((a.level for a in alerts), key=LEVELS.index, default="PASS")
    return Verdict(level, tuple(alerts), drifts)


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
    if measure in _COMPARED:
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
