"""Deletions: with an increment, some of what was absorbed earlier is taken back."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.data.types import Increment, Interactions, Observed, Stream

Removal = tuple[str | None, str | None]
"""External ids of a user and of an item; no item: everything of the user; no user: everything of the item."""
COLUMNS = ("increment", "user", "item")


def with_removals(stream: Stream, removals: Mapping[int, Sequence[Removal]]) -> Stream:
    """Return the stream whose increments take back what `removals` names, by increment.

    Removed is what has been absorbed before: a pair that comes again later is absorbed again.

    Raises:
        GnnrecError: an increment that is none, or an id that the stream does not know.
    """
    last = len(stream.increments) - 1
    if odd := [t for t in removals if not 0 < t <= last]:
        raise GnnrecError(f"removals of increment {odd[0]}: a stream of {last} increments removes in 1 to {last}")
    held, increments = Interactions.empty(), list[Increment]()
    for t, increment in enumerate(stream.increments):
        removed = _removed(stream, held, removals.get(t, ()))
        new = replace(increment.observed, removed=removed.owned())
        if new.train is not new.arrived:  # of what is trained on, some was absorbed earlier: stream.split=next_half
            new = replace(new, train=new.train.without(removed).owned())
        increments.append(replace(increment, observed=new))
        held = Interactions.concat([held.without(removed), *absorbed(new)])
    return replace(stream, increments=tuple(increments), fingerprint=_fingerprint(stream, removals))


def read_removals(path: Path) -> dict[int, list[Removal]]:
    """Return what a CSV of increment, user and item says is taken back.

    An empty item stands for everything of the user, an empty user for everything of the item.

    Raises:
        GnnrecError: no such file, or one with other columns or an increment that is no whole number.
    """
    if not path.is_file():
        raise GnnrecError(f"stream.removals={path} is no file; it takes a CSV of increment, user, item")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [(line.line_num, row) for line in [csv.reader(file, strict=True)] for row in line if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise GnnrecError(f"stream.removals={path} cannot be read as CSV: {one_line(str(error))}") from error
    head = lines[0][1] if lines else []
    if sorted(head) != sorted(COLUMNS):
        raise GnnrecError(
            f"stream.removals={path} needs the columns increment, user, item, got {one_line(', '.join(head))}"
        )
    found: dict[int, list[Removal]] = {}
    for number, row in lines[1:]:
        # A line that breaks off names no item either: it must not pass for everything of the user.
        if len(row) != len(head):
            raise GnnrecError(f"stream.removals={path}, line {number}: {len(row)} fields, the header has {len(head)}")
        increment, user, item = (row[head.index(name)] for name in COLUMNS)
        if not increment.isdecimal() or not (user or item):
            raise GnnrecError(
                f"stream.removals={path}, line {number}: needs an increment (1, 2, …) and the id of a user, of an item, or both"
            )
        found.setdefault(int(increment), []).append((user or None, item or None))
    return found


def absorbed(new: Observed) -> list[Interactions]:
    """Return what an increment absorbs, in order."""
    return [new.arrived, new.folded]


def _removed(stream: Stream, held: Interactions, wanted: Sequence[Removal]) -> Interactions:
    """Return the events among `held` that `wanted` names."""
    gone: NDArray[np.bool_] = np.zeros(len(held), bool)
    for user, item in wanted:
        named: NDArray[np.bool_] = np.full(len(held), user is not None or item is not None)
        if user is not None:
            named &= held.user == _number(stream.users, user, "user")
        if item is not None:
            named &= held.item == _number(stream.items, item, "item")
        gone |= named
    return held.take(gone)


def _number(ids: NDArray[np.object_], identifier: str, kind: str) -> int:
    found = np.flatnonzero(ids == identifier)
    if not len(found):
        raise GnnrecError(f"removals name the {kind} '{identifier}', which the stream does not know")
    return int(found[0])


def _fingerprint(stream: Stream, removals: Mapping[int, Sequence[Removal]]) -> str:
    text = repr([(t, [tuple(r) for r in removals[t]]) for t in sorted(removals)])
    return hashlib.sha256((stream.fingerprint + text).encode()).hexdigest()
