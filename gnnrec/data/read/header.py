"""The header of a delimited text: where it stands, how many columns it has, what they are called."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.data.read.columns import looks_like_header, names_columns
from gnnrec.data.read.dialect import usual_width
from gnnrec.data.read.formats import Blob

_RECBOLE = re.compile(r":(token|float|token_seq|float_seq)$")
_ABOVE = 20
"""Lines above the header at most."""


def find_header(
    rows: Sequence[list[str]], header: bool | None, known: set[str], doubtful: bool
) -> tuple[int, list[str]]:
    """Return how many lines stand above the header or the first row, and the header's fields, none where there is none.

    Args:
        rows: the first lines, as fields.
        header: whether there is one; None: found out.
        known: declared names of columns.
        doubtful: whether files of this kind have none as a rule.
    """
    width = usual_width(rows)
    above = 0
    while above < min(len(rows) - 1, _ABOVE) and header is not False:
        bare = _bare(rows[above])
        if bare != rows[above] and names_columns(bare, known) > 1:
            return above, bare
        if not _is_above(rows, above, width, known):
            break
        above += 1
    head = rows[above]
    if header is None:
        header = looks_like_header(head, known, doubtful)
    bare = _bare(head)
    return above, (bare if len(bare) == width else list(head)) if header else []


def _bare(head: Sequence[str]) -> list[str]:
    """Return the fields of a line without the sign of a comment before them."""
    first = head[0].lstrip("\ufeff")
    if not first.startswith(("#", "%")):
        return list(head)
    bare = first.lstrip("#% \t")
    return [bare, *head[1:]] if bare else list(head[1:])


def _is_above(rows: Sequence[list[str]], k: int, width: int, known: set[str]) -> bool:
    """Return whether line `k` is a comment or a title: neither a row nor a header, with one of them right below."""
    if rows[k][0].lstrip("\ufeff").startswith(("#", "%")) and len(rows[k]) != width:
        return True
    if len(rows[k]) == width or names_columns(rows[k], known):
        return False
    below = next((row for row in rows[k + 1 : k + _ABOVE] if len(row) == width), [])
    return len(rows) - k > 2 and (len(rows[k]) == 1 or names_columns(below, known) > 1)


def column_count(head: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Return how many columns there are, given a header, which may end in empty fields, and the first rows."""
    named = len(head)
    while named > 1 and not head[named - 1].strip():
        named -= 1
    # Without a name, but with something in it, a field is a column still.
    beyond = [k for row in rows for k, cell in enumerate(row[: len(head)]) if k >= named and cell.strip()]
    return max(beyond, default=named - 1) + 1


def header_names(blob: Blob, head: Sequence[str], width: int) -> tuple[str, ...]:
    """Return `width` column names without spaces and RecBole types; a column without a name gets one by its place.

    Raises:
        GnnrecError: a name occurs twice.
    """
    names = [name.strip().strip("\ufeff") for name in head[:width]]
    if all(_RECBOLE.search(name) for name in names):
        names = [_RECBOLE.sub("", name) for name in names]
    names = [name or f"unnamed_{k}" for k, name in enumerate(names)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise GnnrecError(f"{blob.path}: column '{one_line(twice[0])}' occurs twice in the header; rename one of them")
    return tuple(names)
