"""Whether the quotes in a text enclose fields or are text themselves."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gnnrec.core.errors import one_line
from gnnrec.data.read.dialect import Dialect
from gnnrec.data.read.formats import Blob

_CLOSED_WITHIN = re.compile(r'"[^"]*"[^"]')
"""A field that a quote begins and whose second quote is not its end."""


def find_quote(blob: Blob, mark: str, encoding: str, sample: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the quote of a file, None where quotes are text, and a note then.

    Quotes are text where fields go on behind a second quote, or, between tabs, are left open, in more lines than there are
    that only quotes hold together; and in most lines with a quote, or no column has them around most of its cells.
    """
    if len(mark) > 1 or not blob.quoted:
        return '"', []
    plain, quoting = Dialect(mark, None), Dialect(mark)
    text, needed, shown = 0, 0, ""
    for line in (data.decode(encoding, "replace") for data in blob.quoted):
        cells, record = plain.split(line) or [], quoting.split(line)
        if any(_CLOSED_WITHIN.match(cell) for cell in cells) or (record is None and mark == "\t"):
            text, shown = text + 1, shown or line
        if record is not None and (len(record) != len(cells) or any('""' in cell[1:-1] for cell in cells)):
            needed += 1
    if text <= needed or (2 * text <= len(blob.quoted) and _enclosed(sample, plain)):
        return '"', []
    return None, [
        f"{blob.path.name}: quotes are part of the text, as in '{one_line(shown)[:60]}' (inferred); "
        "set data.quote=double if they enclose fields"
    ]


def _enclosed(sample: Sequence[str], plain: Dialect) -> bool:
    """Return whether some column is enclosed in quotes in half of the lines or more."""
    counts: dict[int, int] = {}
    for line in sample:
        for k, cell in enumerate(plain.split(line) or []):
            counts[k] = counts.get(k, 0) + (len(cell) > 1 and cell[0] == cell[-1] == '"')
    return 2 * max(counts.values(), default=0) >= len(sample)
