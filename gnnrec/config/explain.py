"""Which override is wrong, and what would be right: the one line for what Hydra could not compose."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gnnrec.config.typed import key_of
from gnnrec.core.errors import GnnrecError, closest, nearest, one_line


def explain(
    overrides: Sequence[str],
    known: Sequence[str],
    misread: Callable[[str], str | None],
    problem: str,
) -> GnnrecError:
    """Return the one line that says which override is wrong and what would be right.

    Args:
        overrides: as typed.
        known: dotted keys of the configuration without them, and the groups.
        misread: what the grammar of overrides cannot read in one, None where it can.
        problem: what the composer said, for the case that none of the overrides is plainly wrong.
    """
    for override in overrides:
        if not override.startswith("+") and key_of(override) not in known:
            return GnnrecError(_unknown(key_of(override), known))
        if reason := misread(override):
            return unreadable(override, reason)
    if problem.startswith("Ambiguous value"):
        return GnnrecError(f"{one_line(problem.splitlines()[0])}: a grid needs `gnnrec run -m`, a list needs [a,b]")
    lines = [line for line in problem.splitlines() if line.strip()]
    return GnnrecError(one_line(" ".join(lines[:2]) or "the configuration cannot be composed"))


def unreadable(override: str, reason: str) -> GnnrecError:
    """Return the one line for an override that the grammar cannot read."""
    why = one_line(reason.partition("\n")[0])
    return GnnrecError(f"'{one_line(override)}' is not understood: {why}; write KEY='\"VALUE\"' for any text")


def _unknown(key: str, known: Sequence[str]) -> str:
    parent = key.rpartition(".")[0]
    open_ended = f"; +{one_line(key)}=VALUE adds it" if parent in known and not _beside(parent, known) else ""
    return f"there is no key '{one_line(key)}'{open_ended or _nearby(key, known)}"


def _nearby(key: str, known: Sequence[str]) -> str:
    """Name the closest key, or the keys beside it where none is close."""
    parent = key.rpartition(".")[0]
    while parent and parent not in known:
        parent = parent.rpartition(".")[0]
    return nearest(key, known if closest(key, known) else _beside(parent, known))


def _beside(parent: str, known: Sequence[str]) -> list[str]:
    return [k for k in known if k.rpartition(".")[0] == parent]
