"""Which delimiter a text has: by how many fields it makes, in how many lines as many, and what the fields then are."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.data.read.columns import names_columns
from gnnrec.data.read.dialect import BLANKS, Dialect, usual_width
from gnnrec.data.read.formats import Blob

CANDIDATES = ("::", "\t", ",", ";", "|", " ", BLANKS)
_STRONG = ("::", "\t", ",", ";", "|")
_ATOM = re.compile(
    r"""\s*(?:
      -?\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?                                # a number, with a decimal comma too
    | \d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[ T]\d{1,2}:\d\d\S*(?:\ ?[AaPp]\.?[Mm]\.?)?)?  # a date
    | (?:(?!::)[^\s,;|"'])+                                             # an id
    )\s*""",
    re.VERBOSE,
)
_SURE, _CONSTANT, _TIDY, _MOST, _RARE = 0.8, 0.9, 0.95, 0.5, 0.1
_PURE = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Guess:
    """What a delimiter would make of the sample.

    Attributes:
        mark: the delimiter.
        width: fields of most lines.
        share: of lines that have as many.
        worth: what a field is worth on average: 1 a number, a date or an id; less prose, and what holds other delimiters.
        named: fields of the first lines that are names of columns.
    """

    mark: str
    width: int
    share: float
    worth: float
    named: int

    @property
    def score(self) -> float:
        """How well it cuts the lines."""
        return self.share**2 * (self.width * self.worth + self.named) if self.width > 1 and self.share > _RARE else 0.0

    def __str__(self) -> str:
        return f"{self.mark!r} makes {self.width} fields in {self.share:.0%} of the lines"


def weigh(sample: Sequence[str], known: Collection[str]) -> list[Guess]:
    """Return what each delimiter makes of some lines, the best first.

    Blanks stand inside texts and dates too: they come last unless every field they make is a number, a date or an id and
    they cut all lines alike.
    """
    left_out = " " if _has_runs(sample) else BLANKS
    found = [_guess(mark, sample, known) for mark in CANDIDATES if mark != left_out]
    strong = [g for g in found if g.mark in _STRONG and g.share >= _CONSTANT and g.width > 1]
    weak = [g for g in found if g.mark not in _STRONG]
    if strong:
        weak = [g for g in weak if g.worth >= _TIDY and g.share >= _CONSTANT]
    # A stable order: of equals the earlier candidate.
    return sorted([*(g for g in found if g.mark in _STRONG), *weak], key=lambda g: -g.score)


def choose(blob: Blob, sample: Sequence[str], known: Collection[str]) -> tuple[str, list[str]]:
    """Return the delimiter, and a note where it is not the usual one for the suffix or does not cut every line alike.

    Raises:
        GnnrecError: none is found, or two fit about as well.
    """
    best, *others = weigh(sample, known)
    if best.score == 0:
        shown = ", ".join(repr(mark) for mark in CANDIDATES)
        raise GnnrecError(
            f"{blob.path}: no delimiter (one of {shown}) found in the first line "
            f"'{one_line(sample[0])[:80]}'; declare data.delimiter"
        )
    if best.share < _MOST and not best.named:
        raise GnnrecError(
            f"{blob.path}: no delimiter cuts most lines alike (at best {best}); declare data.delimiter, or "
            "data.format=adjacency where a line is a user and any number of items"
        )
    second = others[0]
    if second.score > _SURE * best.score:
        raise GnnrecError(f"{blob.path}: the delimiter is not clear: {best}, {second}; declare data.delimiter")
    usual = {".dat": "::", ".tsv": "\t", ".inter": "\t", ".rating": "\t", ".data": "\t"}.get(blob.suffix, ",")
    if best.mark == usual and best.share >= _CONSTANT:
        return best.mark, []
    against = f"; {second}" if second.score else ""
    return best.mark, [f"{blob.path.name}: delimiter {best.mark!r} inferred ({best}{against})"]


def check_adjacency(blob: Blob, sample: Sequence[str]) -> None:
    """Refuse lines of a user and any number of items, which would be read as events of their first fields.

    Raises:
        GnnrecError: they look so; names the key that reads them.
    """
    for mark in (" ", "\t", ",", BLANKS):
        rows = [Dialect(mark, None).split(line.rstrip()) or [] for line in sample]
        widths, users = {len(row) for row in rows}, {row[0] for row in rows}
        whole = all(_PURE.fullmatch(cell) for row in rows for cell in row)
        # Fields beyond those of an event, so that a cut line or two of a log do not look alike.
        if whole and len(rows) > 2 and len(widths) > 1 and max(widths) > 4 and len(users) == len(rows):
            raise GnnrecError(
                f"{blob.path} looks like an adjacency list: lines of a user and their items, {min(widths)} to {max(widths)} "
                "numbers long; set data.format=adjacency to read it (it has no times), or data.delimiter if it is none"
            )


def _has_runs(sample: Sequence[str]) -> bool:
    return any("  " in line.strip() or " \t" in line or "\t " in line or line[:1] == " " for line in sample)


def _guess(mark: str, sample: Sequence[str], known: Collection[str]) -> Guess:
    dialect = Dialect(mark)
    rows = [dialect.split(line) or line.split(dialect.cut) for line in sample]
    width = usual_width(rows)
    alike = [row for row in rows if len(row) == width]
    cells = [cell for row in alike for cell in row]
    worth = sum(map(_worth, cells)) / len(cells)
    named = max((names_columns(row, known) for row in rows[:20] if len(row) == width), default=0)
    return Guess(mark, width, len(alike) / len(rows), worth, named)


def _worth(cell: str) -> float:
    if _ATOM.fullmatch(cell):
        return 1.0
    return 0.25 if any(mark in cell for mark in _STRONG) else 0.5
