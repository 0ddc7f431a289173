"""Where the configuration lies, and what can be chosen in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gnnrec.core.errors import GnnrecError, one_line

_WORDS = ("null", "true", "false", "inf", "nan")
"""Names that mean something else than text in an override."""

LISTED = "reference"
"""The group whose files are rows of every table: a key lists them, and none of them is chosen alone."""


WHOLE = ("scorer.companion",)
"""Keys whose mappings name an option and its parameters."""


def folder() -> Path:
    """Return the conf folder: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    for place in (package / "conf", package.parent / "conf"):
        if (place / "config.yaml").is_file():
            return place
    raise GnnrecError(f"no configuration beside {package.name}: install the package again")


def groups(extra: Path | None = None) -> dict[str, list[str]]:
    """Return the options of each group of which one is chosen, those of the user's own folder with them.

    Raises:
        GnnrecError: an option of the user's has the name of one that comes with gnnrec, which Hydra would take in its place.
    """
    if extra is not None and extra.resolve() != folder().resolve():
        _check_names(extra)
    found: dict[str, set[str]] = {}
    for root in filter(None, (folder(), extra)):
        for path in Path(root).glob("*/*.yaml"):
            found.setdefault(path.parent.name, set()).add(path.stem)
    found.pop(LISTED, None)
    return {group: sorted(options) for group, options in sorted(found.items())}


def _check_names(extra: Path) -> None:
    for path in sorted(extra.glob("*/*.yaml")):
        if (folder() / path.parent.name / path.name).is_file():
            raise GnnrecError(
                f"{one_line(str(path))} has the name of an option that comes with gnnrec, which would be taken in its place; "
                "call it otherwise"
            )


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
        if isinstance(value, Mapping) and value and f"{prefix}{key}" not in WHOLE:
            found += overrides(value, f"{prefix}{key}.")
        else:
            found.append(f"{prefix}{key}={_literal(value)}")
    return found


def quoted(text: str) -> str:
    """Return a text in quotes of Hydra's grammar, where a backslash escapes only what stands before a quote."""
    inner = re.sub(r"(\\*)'", r"\1\1\\'", text)
    return "'" + re.sub(r"(\\+)$", r"\1\1", inner) + "'"


def _literal(value: Any) -> str:
    if isinstance(value, str):
        plain = value.isascii() and value.isidentifier() and value.lower() not in _WORDS
        return value if plain else quoted(value)
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{_literal(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_literal, value))}]"
    return "null" if value is None else str(value)
