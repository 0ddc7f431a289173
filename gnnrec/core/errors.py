"""The one exception a user is meant to read: a single line that says what is wrong and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GnnrecError(ValueError):
    """Bad input or configuration. The command line prints it as one line and exits with code 2."""


class DivergedError(GnnrecError):
    """A fit that came to no finite loss: a smaller rate, or other data, may end well."""


def above_zero(prefix: str, **values: float) -> None:
    """Check settings by name.

    Raises:
        GnnrecError: one of them is 0, below, or no number.
    """
    for name, value in values.items():
        if not value > 0:
            raise GnnrecError(f"{prefix}.{name}={value} must be above 0")


def nearest(word: str, allowed: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the allowed word closest to `word`, or the whole list when none is close."""
    words = sorted(set(allowed))
    found = closest(word, words)
    return f"; did you mean '{found}'?" if found else f"; allowed: {', '.join(words) or 'nothing'}"


def closest(word: str, allowed: Iterable[str]) -> str | None:
    """Return the allowed word that is likely meant, whatever its case; None where none is close."""
    folded = {w.casefold(): w for w in sorted(allowed, reverse=True)}
    found = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.5)
    return folded[found[0]] if found else None


def one_line(text: str) -> str:
    """Collapse `text` to one printable line, so that ids with newlines or control codes cannot forge log lines."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
