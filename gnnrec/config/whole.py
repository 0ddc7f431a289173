"""Is a configuration whole? Its groups, the keys that no constructor reads, the numbers that no run can have."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gnnrec.config import check
from gnnrec.config.options import groups, leaves
from gnnrec.config.typed import OPTIONAL
from gnnrec.core.errors import GnnrecError, nearest, one_line

KINDS: dict[str, Any] = {
    "name": str,
    "seed": int,
    "seeds": list[int],
    "strategies": list[Any],
    "policies": list[Any],
    "references": list[Any],
    "output": str,
    "figures": bool,
    "resume": bool,
    "state.keep": int,
    "threads": int | None,
    "privacy.key": str | None,
    "privacy.least_users": int,
    "plugins.allow": list[str],
    "live.valid_share": float,
    "live.judged_share": float,
    "live.tries": int,
    "live.keep": int,
    "live.bundles": int,
    "scorer.rows": list[str],
    "evaluation.topk": list[int],
    "evaluation.graph": str,
    "logger.kind": str,
    "sweep.trials": int,
    "sweep.metric": str | list[str],
}
"""What the keys hold that belong to no constructor."""
LATER: dict[str, Any] = {"sweep.sampler": str, "sweep.prune": bool, "sweep.seeds": list[int] | None}
"""The same of keys that older configurations, and files of one's own that were written for them, do not have."""
MAPPINGS = {"live.gate": False, "scorer.grid": False, "fit.base": False, "sweep.space": True}
"""Keys that hold mappings, and whether they may hold nothing."""
CLOSED = {
    "state": ("keep",),
    "privacy": ("key", "least_users"),
    "plugins": ("allow",),
    "live": ("valid_share", "judged_share", "tries", "keep", "bundles", "gate"),
    "scorer": ("rows", "companion", "grid"),
    "sweep": ("trials", "metric", "sampler", "seeds", "prune", "space", "usual"),
}
"""Mappings that no constructor reads, and the keys they may have: another would be ignored."""
LARGEST = 2**63 - 1
"""Seed that tables and generators can hold."""


def checked(config: dict[str, Any], known: Iterable[str] = ()) -> dict[str, Any]:
    """Return `config` if it has every group, the keys of `KINDS` hold what they should and no other key stands beside them.

    Args:
        config: resolved.
        known: the groups.

    Raises:
        GnnrecError: names the key, what it holds and what it should hold.
    """
    named = [g for g in known or groups() if g != OPTIONAL]
    tops = [*dict.fromkeys(k.split(".")[0] for k in KINDS), *named]
    _no_other(config, tops, "")
    own = groups()
    for group in named:
        if group in own and not isinstance(
            config.get(group), dict
        ):  # a folder beside ours that nothing names is no concern
            raise GnnrecError(f"{group}={_shown(config.get(group))} is no mapping of keys: choose an option of {group}")
    there = {k: kind for k, kind in LATER.items() if k.rpartition(".")[2] in (config.get(k.split(".")[0]) or {})}
    for key, kind in {**KINDS, **there}.items():
        holder, name = _holder(config, key), key.rpartition(".")[2]
        holder[name] = check.fitting(holder[name], kind, key)
    for key, nothing in MAPPINGS.items():
        value = _holder(config, key)[key.rpartition(".")[2]]
        if not isinstance(value, Mapping) and not (nothing and value is None):
            raise GnnrecError(f"{key}={_shown(value)} is no mapping of keys")
    for key, allowed in CLOSED.items():
        _no_other(config[key], allowed, f"{key}.")
    return _bounded(config)


def _no_other(config: Mapping[str, Any], allowed: Iterable[str], at: str) -> None:
    if odd := [k for k in config if k not in [*allowed]]:
        raise GnnrecError(f"there is no key '{at}{one_line(str(odd[0]))}'{nearest(str(odd[0]), allowed)}")


def _holder(config: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the mapping that holds the last part of a dotted key."""
    *path, name = key.split(".")
    node: Any = config
    for part in path:
        node = node.get(part) if isinstance(node, Mapping) else None
    if not isinstance(node, dict) or name not in node:
        raise GnnrecError(f"the configuration lacks '{key}'")
    return node


def _bounded(config: dict[str, Any]) -> dict[str, Any]:
    """Refuse numbers that no run can have, and no output."""
    bounds: list[tuple[str, Any, int, int]] = [
        ("threads", config["threads"], 1, max(64, 4 * (os.cpu_count() or 1))),
        ("state.keep", config["state"]["keep"], 0, LARGEST),
        ("privacy.least_users", config["privacy"]["least_users"], 1, LARGEST),
        *((key, value, 0, LARGEST) for key, value in _seeds(config)),
    ]
    for key, value, least, most in bounds:
        if value is not None and not least <= value <= most:
            allowed = f"{least} or more" if value < least else f"at most {most}"
            raise GnnrecError(f"{key}={value} must be {allowed}")
    if not config["name"].strip():
        raise GnnrecError(
            "name= is empty; it says in tables, W&B and folders which experiment a run belongs to: name=NAME"
        )
    if not config["output"].strip():
        raise GnnrecError("output= is empty; write output=FOLDER, or output=. for this one")
    if "\0" in config["output"]:
        raise GnnrecError(f"output={one_line(config['output'])} holds a character that no path may hold")
    return config


def _seeds(config: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield the seeds of a configuration, those of its parts too."""
    yield "seed", config["seed"]
    yield from (("seeds", seed) for seed in config["seeds"])
    yield from ((k, v) for k, v in leaves(config).items() if k.endswith(".seed") and type(v) is int)


def _shown(value: Any) -> str:
    return "null" if value is None else one_line(str(value))


def located(config: dict[str, Any]) -> dict[str, Any]:
    """Return `config` with paths of data that start in the current folder made absolute: a run is read again from others."""
    data = config["data"]
    for key in ("path", "root"):
        if key in data:
            data[key] = _absolute(data[key])
    if key := config.get("privacy", {}).get("key"):
        config["privacy"]["key"] = _absolute(key)
    if (stream := config.get("stream", {})).get("removals"):
        stream["removals"] = _absolute(stream["removals"])
    # These may lie below the data folder as well: only one that lies here is meant to.
    for beside, key in ((data, "items"), (data.get("side"), "file")):
        if isinstance(beside, dict) and isinstance(name := beside.get(key), str) and _is_here(name):
            beside[key] = _absolute(name)
    return config


def _is_here(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False


def _absolute(path: Any) -> Any:
    if isinstance(path, list):
        return [_absolute(p) for p in path]
    if not isinstance(path, str) or not path.strip() or path.startswith("~") or "://" in path:
        return path
    return str(Path(path).absolute())
