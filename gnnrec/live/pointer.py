"""Which champion serves: the journal says it, and `champion.json` says it to readers, in one number.

The decision is on disk before the pointer, so where the two differ, and one is not merely a step behind, the journal is right.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from gnnrec.core.errors import GnnrecError
from gnnrec.core.files import write_atomic
from gnnrec.live.journal import ACCEPTED, NAME, Entry

log = logging.getLogger(__name__)
POINTER = "champion.json"


def point(folder: Path, number: int) -> None:
    """Make a champion the one that serves; a reader finds the old one or this one."""
    write_atomic(folder / POINTER, json.dumps({"champion": number}) + "\n")


def served(folder: Path, entries: Sequence[Entry]) -> tuple[int, str]:
    """Return the number of what serves, and what is wrong with the pointer; "" where nothing is, or a kill came before it.

    Args:
        folder: of the live run.
        entries: its decisions.

    Raises:
        GnnrecError: the pointer names a champion that the journal does not know: it has lost lines.
    """
    path, number = folder / POINTER, entries[-1].champion if entries else 0
    before = entries[-1].parent if entries else 0
    if not path.is_file():
        first = number == 0 or (before == 0 and entries[-1].outcome == ACCEPTED)
        return number, "" if first else f"{path} is missing; by the newest decision champion {number} serves"
    try:
        named = int(json.loads(path.read_text())["champion"])
    except (ValueError, KeyError, TypeError) as error:
        return number, f"{path} is damaged ({error}); by the newest decision champion {number} serves"
    if named not in {0, *(e.champion for e in entries if e.outcome == ACCEPTED)}:
        raise GnnrecError(_lost(folder, named, number, entries))
    if named in (number, before):
        return number, ""
    return number, f"{path} names champion {named}; by the newest decision champion {number} serves"


def mend(folder: Path, entries: Sequence[Entry]) -> int:
    """Return the number of what serves, and have the pointer say it too; what was wrong with it is logged.

    Raises:
        GnnrecError: as `served`.
    """
    number, wrong = served(folder, entries)
    if wrong:
        log.warning("%s; it is set again", wrong)
    if wrong or (entries and _named(folder) != number):
        point(folder, number)
    return number


def _named(folder: Path) -> int | None:
    path = folder / POINTER
    return int(json.loads(path.read_text())["champion"]) if path.is_file() else 0


def _lost(folder: Path, named: int, number: int, entries: Sequence[Entry]) -> str:
    what = f"{folder / POINTER} names champion {named}, which no decision in {folder / NAME} made: "
    if not entries:
        return f"{what}it is gone or empty; restore it from a copy, or remove {folder} to begin again from the run"
    back = f"`gnnrec rollback {folder.parent} --to {number}` serves the newest that it knows"
    return f"{what}it has lost lines; restore it from a copy, or {back}"
