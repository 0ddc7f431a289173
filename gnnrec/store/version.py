"""What a version of a store is: where its rows come from, what became of the others, and what its rows hash to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gnnrec.core.errors import GnnrecError
from gnnrec.data.clean.ids import spelled
from gnnrec.data.read.formats import Source
from gnnrec.quality.row_counts import RowCounts

SCHEMA = 1
"""Of the record below; raised when its meaning changes."""
_SLICE = 1 << 20
_NEVER = -(1 << 63)


@dataclass(frozen=True, slots=True)
class Version:
    """The record of one ingest, kept in the commit of its rows.

    Attributes:
        number: of the Delta commit; an erasure takes numbers too, so they need not follow each other.
        content: SHA-256 of its rows in a fixed order; no clock in it.
        cleaning: the configuration the files were cleaned by.
        files: what was read.
        counts: what became of every row.
        first, last: earliest and latest event, seconds since 1970 (UTC); None: no times, or no rows.
        users, items: with an event in this version or an earlier one.
        new_users, new_items: with their first event in this version.
        feedback: explicit or implicit, as these files look.
        aside: SHA-256 and name of the file with the rows set aside, below the store's quarantine; None: there are none.
        code: version of gnnrec.
        side: SHA-256 and name of the file with titles and side information of items, below the store's side; None: none.
        origin: id of another Delta table and number of its commit that this was; None: it was files.
        schema: of this record.
    """

    number: int
    content: str
    cleaning: Mapping[str, Any]
    files: tuple[Source, ...]
    counts: RowCounts
    first: float | None
    last: float | None
    users: int
    items: int
    new_users: int
    new_items: int
    feedback: str
    aside: str | None
    code: str
    side: str | None = None
    origin: str | None = None
    schema: int = SCHEMA

    def to_json(self) -> str:
        """Return the record as JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> Version:
        """Return the record that `to_json` wrote."""
        found: dict[str, Any] = json.loads(text)
        if found.get("schema") != SCHEMA:
            raise GnnrecError(
                f"the store was written by another gnnrec: record {found.get('schema')}, this one reads {SCHEMA}"
            )
        counts = found.pop("counts")
        counts["known"] = {int(version): n for version, n in counts["known"].items()}
        files = tuple(Source(**source) for source in found.pop("files"))
        return Version(files=files, counts=RowCounts(**counts), **found)


class ContentHash:
    """The SHA-256 of events, whatever their order, machine or library: equal rows hash alike.

    Args:
        height: how many events there are.
        ids: texts of users and items, where events have their numbers; empty: they have the texts.
    """

    def __init__(self, height: int, ids: Mapping[str, pl.Series] = MappingProxyType({})) -> None:
        self._ids = ids
        # Ranking all texts takes longer than comparing those of a few events.
        self._ranks = {n: texts.rank("ordinal") for n, texts in ids.items() if height >= len(texts)}
        self._digest = hashlib.sha256(b"%d" % height)
        self._rest: list[pl.DataFrame] = []  # what has not filled a slice yet

    def update(self, rows: pl.DataFrame) -> None:
        """Take the events up to some instant, all later than those taken before.

        Args:
            rows: user, item (texts, or their numbers), value, time (microseconds since 1970 or null).
        """
        rows = rows.select("user", "item", "value", pl.col("time").dt.epoch("us"))
        if not rows["time"].is_sorted(nulls_last=True):
            rows = rows.sort("time", nulls_last=True)
        order, start = self._order(rows), 0
        while start < len(order):
            end = start + _SLICE - sum(part.height for part in self._rest)
            self._rest.append(rows[order[start:end]])
            if end <= len(order):
                self._take(pl.concat(self._rest))
                self._rest.clear()
            start = end

    def _order(self, rows: pl.DataFrame) -> NDArray[np.uint32]:
        """Return the order by time, user, item and value; rows are in order of time, so equal times alone are compared."""
        time = rows["time"].fill_null(_NEVER).to_numpy()
        tied = np.zeros(len(time), bool)
        tied[1:] = time[1:] == time[:-1]
        tied[:-1] |= tied[1:]
        at = np.flatnonzero(tied)
        few = spelled(rows[at], {**self._ids, **self._ranks})
        by = few.select(pl.arg_sort_by("time", "user", "item", "value", nulls_last=True)).to_series()
        order = np.arange(rows.height, dtype=np.uint32)
        order[at] = at[by.to_numpy()]
        return order

    def _take(self, part: pl.DataFrame) -> None:
        for name in ("user", "item"):
            text = self._ids[name].gather(part[name]) if name in self._ids else part[name]
            self._digest.update(text.str.len_bytes().cast(pl.UInt32).to_numpy().astype("<u4").tobytes())
            self._digest.update(text.str.join("").cast(pl.Binary).item())
        self._digest.update(part["value"].to_numpy().astype("<f8").tobytes())
        self._digest.update(part["time"].is_null().to_numpy().tobytes())
        self._digest.update(part["time"].fill_null(0).to_numpy().astype("<i8").tobytes())

    def hexdigest(self) -> str:
        """Return the hash of all that was taken; nothing can be taken after that."""
        if self._rest:
            self._take(pl.concat(self._rest))
            self._rest.clear()
        return self._digest.hexdigest()


def content_hash(rows: pl.DataFrame) -> str:
    """Return the `ContentHash` of these events."""
    found = ContentHash(rows.height)
    found.update(rows)
    return found.hexdigest()
