"""Where the configuration lies, and what can be chosen in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gnnrec.config import check
from gnnrec.core.errors import GnnrecError, closest, nearest, one_line

KINDS: dict[str, Any] = {
    "name": str,
    "seed": int,
    "seeds": list[int],
    "strategies": list[Any],
    "output": str,
    "resume": bool,
    "state.keep": int,
    "threads": int | None,
    "plugins.allow": list[str],
    "scorer.rows": list[str],
    "evaluation.topk": list[int],
    "sweep.trials": int,
}
"""What the keys hold that belong to no constructor."""


def folder() -> Path:
    """Return the conf folder: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    for place in (package / "conf", package.parent / "conf"):
        if (place / "config.yaml").is_file():
            return place
    raise GnnrecError(f"no configuration beside {package.name}: install the package again")


def groups(extra: Path | None = None) -> dict[str, list[str]]:
    """Return the options of each group, those of the user's own folder with them."""
    found: dict[str, set[str]] = {}
    for root in filter(None, (folder(), extra)):
        for path in Path(root).glob("*/*.yaml"):
            found.setdefault(path.parent.name, set()).add(path.stem)
    return {group: sorted(options) for group, options in sorted(found.items())}


def keys(config: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return every dotted key of a configuration."""
    found = []
    for name, value in config.items():
        if str(name).startswith("_"):
            continue
        found.append(f"{prefix}{name}")
        if isinstance(value, Mapping):
            found += keys(value, f"{prefix}{name}.")
    return found


def leaves(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return dotted key -> value of everything in a configuration that is no mapping."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        inner = (
            leaves(value, f"{prefix}{name}.") if isinstance(value, Mapping) and value else {f"{prefix}{name}": value}
        )
        found |= inner
    return found


def overrides(parameters: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return parameters as overrides in Hydra's grammar: nested ones under their dotted keys, texts quoted."""
    found = []
    for key, value in parameters.items():
        if isinstance(value, Mapping) and value:
            found += overrides(value, f"{prefix}{key}.")
        else:
            found.append(f"{prefix}{key}={_literal(value)}")
    return found


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return value if value.isidentifier() and value != "null" else "'" + value.replace("'", "\\'") + "'"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_literal, value))}]"
    return "null" if value is None else str(value)


def checked(config: dict[str, Any], known: Iterable[str] = ()) -> dict[str, Any]:
    """Return `config` if the keys of `KINDS` hold what they should and no other key stands beside them.

    Args:
        config: resolved.
        known: the groups.

    Raises:
        GnnrecError: names the key, what it holds and what it should hold.
    """
    tops = [*dict.fromkeys(k.split(".")[0] for k in KINDS), *(known or groups())]
    if odd := [k for k in config if k not in tops]:
        raise GnnrecError(f"there is no key '{one_line(str(odd[0]))}'{nearest(str(odd[0]), tops)}")
    for key, kind in KINDS.items():
        *path, name = key.split(".")
        node: Any = config
        for part in path:
            node = node.get(part) if isinstance(node, Mapping) else None
        if not isinstance(node, dict) or name not in node:
            raise GnnrecError(f"the configuration lacks '{key}'")
        node[name] = check.fitting(node[name], kind, key)
    for key, value, least in (
        ("seed", config["seed"], 0),
        ("threads", config["threads"], 1),
        ("state.keep", config["state"]["keep"], 0),
    ):
        if value is not None and value < least:
            raise GnnrecError(f"{key}={value} must be {least} or more")
    if not config["output"].strip():
        raise GnnrecError("output= is empty; write output=FOLDER, or output=. for this one")
    return config


def explain(overrides: list[str], known: list[str], extra: Path | None, problem: str) -> GnnrecError:
    """Return the one line that says which override is wrong and what would be right.

    Args:
        overrides: as typed.
        known: dotted keys of the configuration without them.
        extra: the user's configuration folder.
        problem: what the composer said, for the case that none of the overrides is plainly wrong.
    """
    options = groups(extra)
    for override in overrides:
        key, sign, value = override.lstrip("+~").partition("=")
        if not sign:
            return GnnrecError(f"'{one_line(override)}' is not understood; write KEY=VALUE")
        if key in options and value not in options[key] and not value.startswith(("[", "{", "null")):
            return GnnrecError(f"there is no {key}={one_line(value)}{nearest(value, options[key])}")
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        if key in options:
            continue
        if not override.startswith("+") and key not in known and not key.startswith("hydra."):
            return GnnrecError(f"there is no key '{one_line(key)}'{_nearby(key, known)}")
        if reason := _misread(override):
            return GnnrecError(
                f"'{one_line(override)}' is not understood: {reason}; write KEY='\"VALUE\"' for any text"
            )
    if problem.startswith("Ambiguous value"):
        return GnnrecError(f"{one_line(problem.splitlines()[0])}: a grid needs `gnnrec run -m`, a list needs [a,b]")
    lines = [line for line in problem.splitlines() if line.strip()]
    return GnnrecError(one_line(" ".join(lines[:2]) or "the configuration cannot be composed"))


def _misread(override: str) -> str | None:
    """Return what Hydra's grammar cannot read in an override, None where it can."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        OverridesParser.create().parse_override(override)
    except HydraException as error:
        return one_line(str(error).splitlines()[0])
    return None


def _nearby(key: str, known: list[str]) -> str:
    """Name the closest key, or the keys beside it where none is close."""
    parent = key.rpartition(".")[0]
    while parent and parent not in known:
        parent = parent.rpartition(".")[0]
    beside = [k for k in known if k.rpartition(".")[0] == parent]
    return nearest(key, known if closest(key, known) else beside)
