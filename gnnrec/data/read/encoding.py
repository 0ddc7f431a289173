"""Which encoding a text has that is not the declared one, as far as its bytes tell."""

from __future__ import annotations

import re
from collections.abc import Iterable

_HIGH = re.compile(rb"[\x80-\xff]")
_RUN = re.compile(rb"[\x80-\xff]{3,}")
C1 = re.compile(rb"[\x80-\x9f]")
"""Control characters in latin-1, where cp1252 has quotes, dashes and the euro sign."""
_UNASSIGNED = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
"""Bytes that cp1252 gives no character."""


def likely_encoding(lines: Iterable[bytes]) -> str:
    """Return a setting of ``data.encoding`` for lines that are no UTF-8, or several to choose from.

    Western texts have single letters beyond ASCII among others; where most come in runs, the script is another one.
    """
    text = b"\n".join(lines)
    high = len(_HIGH.findall(text))
    if 2 * sum(map(len, _RUN.findall(text))) > high:
        return "cp1251, gb18030 or shift_jis, whichever fits the language"
    if not C1.search(text):
        return "latin-1"
    return "cp850 or mac_roman" if _UNASSIGNED.search(text) else "cp1252"
