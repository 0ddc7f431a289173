"""A clean log: ids as codes, values, times, and an account of every row that was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from gnnrec.data.clean.rows import Example
from gnnrec.data.read.formats import Source
from gnnrec.data.types import Floats, Ints, Texts, Truth


@dataclass(frozen=True, slots=True)
class Counts:
    """Where the rows went; `check` holds for every data set.

    Attributes:
        rows_read: physical rows of all files, headers and blank lines apart.
        kept: rows of the data set.
        duplicate: rows equal to an earlier one in user, item, value and time.
        repeat: other rows of a (user, item) pair, dropped by ``data.repeats``.
        set_aside: rows by the first reason that applied.
        matched: rows by every reason that applied; a row may count under several.
    """

    rows_read: int
    kept: int
    duplicate: int = 0
    repeat: int = 0
    set_aside: Mapping[str, int] = field(default_factory=dict)
    matched: Mapping[str, int] = field(default_factory=dict)

    def check(self) -> None:
        """Assert that no row was lost or counted twice."""
        total = self.kept + self.duplicate + self.repeat + sum(self.set_aside.values())
        if total != self.rows_read:
            raise AssertionError(f"rows do not add up: {self.rows_read} read, {total} accounted for: {self}")


@dataclass(frozen=True, slots=True)
class Dataset:
    """A clean log, sorted by (time, place in the file).

    Attributes:
        name: of the data set.
        user_code, item_code: [n] positions in `user_ids`, `item_ids`.
        user_ids, item_ids: external ids, exact, in order of first appearance.
        value: [n] ratings; 1.0 where there is no rating column.
        time: [n] seconds since 1970 (UTC), or None.
        counts: what became of every row read.
        feedback: "explicit" or "implicit".
        positive_from: smallest relevant value; None: every event is relevant.
        scale: declared bounds of values.
        extra: raw columns asked for by `load(keep=…)`, as text.
        examples: rows set aside, by reason.
        titles: item id -> title.
        side: side information, a row per item it knows (column item), or None; see `gnnrec.data.side`.
        user_side: the same of users (column user); exports have it, streams and encoders do not.
        sources: files read.
        versions: of a store, what the rows of each version hash to; empty where the data come from files.
        reports: of a store, the quality report of each version that has one.
        notes: what was inferred or is unusual.
        oracle: the truth of a simulated world.
    """

    name: str
    user_code: Ints
    item_code: Ints
    user_ids: Texts
    item_ids: Texts
    value: Floats
    time: Floats | None
    counts: Counts
    feedback: str
    positive_from: float | None = None
    scale: tuple[float, float] | None = None
    extra: Mapping[str, Texts] = field(default_factory=dict)
    examples: Mapping[str, list[Example]] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    side: pl.DataFrame | None = None
    user_side: pl.DataFrame | None = None
    sources: tuple[Source, ...] = ()
    versions: Mapping[int, str] = field(default_factory=dict)
    reports: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    oracle: Truth | None = None

    def __len__(self) -> int:
        return len(self.value)

    def without_events(self) -> Dataset:
        """Return what is known about the events without them and their ids, for who has taken them over."""
        none, texts, ids = np.empty(0), np.empty(0, object), np.empty(0, np.int64)
        return replace(
            self, user_code=ids, item_code=ids, user_ids=texts, item_ids=texts, value=none, time=None, extra={}
        )

    @property
    def user(self) -> Texts:
        """External user id of every event, [n]."""
        return self.user_ids[self.user_code]

    @property
    def item(self) -> Texts:
        """External item id of every event, [n]."""
        return self.item_ids[self.item_code]
