"""What makes a row of a table what it is, and which rows differ by their policy alone."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from gnnrec.config import options as conf
from gnnrec.runs.build import Config

NOT_THE_MODEL = {
    *("data", "name", "seed", "seeds", "strategies", "references", "output"),
    *("figures", "resume", "threads", "state", "logger", "launcher", "sweep", "plugins", "privacy"),
}
"""Keys that make no other row of the table; the data of all rows have one fingerprint."""
WHEN = ("policy", "policies")
"""Keys that say when a row is updated, and not how."""


def setting(config: Config) -> dict[str, Any]:
    """Return the leaves of a configuration that make a row what it is; seeds of parts follow the run's."""
    found = conf.leaves({k: v for k, v in config.items() if k not in NOT_THE_MODEL})
    return {k: v for k, v in found.items() if not (k.split(".")[-1] == "seed" and v == config["seed"])}


def by_policy(rows: Iterable[tuple[str, Config]]) -> tuple[tuple[str, ...], ...]:
    """Return the groups of two or more rows, by name, whose configurations differ in when they are updated alone.

    Args:
        rows: name and configuration of each run.
    """
    found: dict[str, dict[str, None]] = {}
    for name, config in rows:
        how = {k: v for k, v in setting(config).items() if k.split(".")[0] not in WHEN}
        found.setdefault(json.dumps(how, sort_keys=True, default=str), {})[name] = None
    return tuple(tuple(names) for names in found.values() if len(names) > 1)
