"""Overrides as they are typed: what Hydra takes and gnnrec would ignore is refused or put right before Hydra sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gnnrec.core.errors import GnnrecError, nearest, one_line

OPTIONAL = "experiment"
"""The group that may be left out."""
_HYDRAS = {
    "hydra.run": "set output=FOLDER",
    "hydra.sweep.": "set output=FOLDER",
    "hydra.sweeper": "use `gnnrec sweep`",
    "hydra/sweeper": "use `gnnrec sweep`",
    "hydra.searchpath": "give --config-dir FOLDER",
}
"""What stands here for Hydra's own keys, by how they begin."""


def put_right(overrides: Sequence[str], options: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the overrides as Hydra is to have them: ``+GROUP=`` is ``GROUP=``, and ``+KEY=`` sets a key that is there too.

    Args:
        overrides: as typed.
        options: the groups and what can be chosen of each.

    Raises:
        GnnrecError: takes a key away, speaks to Hydra itself, or chooses what a group does not have.
    """
    return [_put_right(override, options) for override in overrides]


def key_of(override: str) -> str:
    """Return the key that an override sets."""
    return override.lstrip("+~").partition("=")[0]


def _put_right(override: str, options: Mapping[str, Sequence[str]]) -> str:
    if any(0xD800 <= ord(c) <= 0xDFFF for c in override):
        raise GnnrecError(f"'{one_line(override)}' is no UTF-8 text: rename what it names")
    key, sign, value = override.lstrip("+~").partition("=")
    group, at, _ = key.partition("@")
    if key.startswith("hydra"):
        raise GnnrecError(f"{one_line(key)}= does nothing here; {_instead(key)}")
    if at and group in options:
        raise GnnrecError(f"{one_line(key)}= is not understood: a run has one {group}; write {group}={one_line(value)}")
    if override.startswith("~"):
        raise GnnrecError(f"'{one_line(override)}' takes away what a run needs; {_keep(key, options)}")
    if not sign:
        raise GnnrecError(f"'{one_line(override)}' is not understood; write KEY=VALUE")
    if key in options:
        mark = "++" if override.startswith("+") and value.startswith("{") else ""
        return f"{mark}{key}={_option(key, value, options[key])}"
    # Hydra's `+` refuses a key that is there and its `++` does not; whoever types one means that the key shall have the value.
    return f"++{key}={value}" if override.startswith("+") else override


def _instead(key: str) -> str:
    found = next((advice for begin, advice in _HYDRAS.items() if key.startswith(begin)), None)
    return found or "Hydra only composes the configuration, see `gnnrec run --help`"


def _keep(key: str, options: Mapping[str, Sequence[str]]) -> str:
    if key == OPTIONAL:
        return f"{key}=null leaves it out"
    if key in options:
        return f"choose another: {key}={', '.join(options[key])}"
    return f"leave it as it is, or set it: {one_line(key)}=VALUE"


def _option(group: str, value: str, options: Sequence[str]) -> str:
    """Return an option of a group, or the keys that a mapping sets in it; a group has one option."""
    if value.startswith("{") or (group == OPTIONAL and value in ("null", "")):
        return value
    if value.startswith("[") or not value:
        raise GnnrecError(f"{group}={one_line(value)} must name one of {', '.join(options)}")
    if value not in options and not _several(value):
        raise GnnrecError(f"there is no {group}={one_line(value)}{nearest(value, options)}")
    return value


def _several(value: str) -> bool:
    """Return whether a value is a grid, whose values are looked at one by one."""
    return "," in value or "(" in value
