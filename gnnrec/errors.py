"""The one exception a user is meant to read: a single line that says what is wrong and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GnnrecError(ValueError):
    """Bad input or configuration. The command line prints it as one line and exits with code 2."""


def nearest(word: str, allowed: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the allowed word closest to `word`, or the whole list when none is close."""
    words = sorted(set(allowed))
    folded = {w.casefold(): w for w in reversed(words)}
    close = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.5)
    return f"; did you mean '{folded[close[0]]}'?" if close else f"; allowed: {', '.join(words) or 'nothing'}"


def one_line(text: str) -> str:
    """Collapse `text` to one printable line, so that ids with newlines or control codes cannot forge log lines."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
