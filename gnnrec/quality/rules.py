"""The rules of a verdict, as a file of YAML has them: each names a measure or a comparison, and when it warns or blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from gnnrec.core.errors import GnnrecError, nearest, one_line
from gnnrec.quality.measures import MEASURES

RULES = Path(__file__).with_name("rules.yaml")
COMPARED = ("values", "popularity", "hours")
"""Measures that are comparisons of counts."""
AGAINST = ("recent", "first")
LONGEST = 100_000
"""Characters of a file of rules."""
_CONDITIONS = {"above", "below", "history", "p_below", "psi_above"}
_NUMBERS = {"least": (8, "versions"), "recent": (5, "versions"), "first": (5000, "events")}
"""What a file may say beside its rules: default, and of what it is a number."""


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
    for key, (default, what) in _NUMBERS.items():
        if not isinstance(found.setdefault(key, default), int) or found[key] < 2:
            raise GnnrecError(f"the rules {path}: {key} must be a number of {what} from 2 on, got {found[key]!r}")
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
    if measure not in (*MEASURES, *COMPARED):
        raise GnnrecError(
            f"the rules {path}: '{name}' looks at {measure}{nearest(str(measure), (*MEASURES, *COMPARED))}"
        )
    if measure in COMPARED and rule.get("against") not in AGAINST:
        raise GnnrecError(f"the rules {path}: '{name}' needs against: one of {', '.join(AGAINST)}")
    if not isinstance(rule.get("once", False), bool):
        raise GnnrecError(f"the rules {path}: '{name}' needs once: true or false, got {str(rule['once'])[:40]}")
    for level in ("warn", "block"):
        conditions = rule.get(level) or {}
        bounds = conditions.values() if isinstance(conditions, dict) else [None]
        if any(isinstance(b, bool) or not isinstance(b, int | float) for b in bounds) or set(conditions) - _CONDITIONS:
            raise GnnrecError(
                f"the rules {path}: '{name}' needs under {level} numbers for {', '.join(sorted(_CONDITIONS))}"
            )
