"""Where the configuration lies, and what can be chosen in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gnnrec.errors import GnnrecError, nearest, one_line


def folder() -> Path:
    """Return the conf folder: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
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
        found.append(f"{prefix}{name}")
        if isinstance(value, Mapping):
            found += keys(value, f"{prefix}{name}.")
    return found


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
        if key in options:
            if value not in options[key] and value.isidentifier():
                return GnnrecError(f"there is no {key}={one_line(value)}{nearest(value, options[key])}")
        elif not override.startswith("+") and key not in known and not key.startswith("hydra."):
            return GnnrecError(f"there is no key '{one_line(key)}'{nearest(key, [*known, *options])}")
    return GnnrecError(one_line(problem.splitlines()[0] if problem else "the configuration cannot be composed"))
