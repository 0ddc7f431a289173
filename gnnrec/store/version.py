"""What a version of a store is: where its rows come from, what became of the others, and what its rows hash to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from gnnrec.data.formats import Source
from gnnrec.errors import GnnrecError

SCHEMA = 1
"""Of the record below; raised when its meaning changes."""
_SLICE = 1 << 20


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Where the rows of an ingest went; `check` holds for every version.

    Attributes:
        read: physical rows of all files.
        kept: rows of the version.
        duplicate: rows equal to an earlier one of the same ingest.
        repeat: other rows of a pair that the policy leaves out, of the same ingest or of an earlier version.
        known: rows equal to one of an earlier version, by that version.
        set_aside: rows by the first reason that applied.
        matched: rows by every reason that applied; a row may count under several.
        late: rows kept although earlier than the newest event of an earlier version; they count under `kept`.
    """

    read: int
    kept: int
    duplicate: int = 0
    repeat: int = 0
    known: Mapping[int, int] = field(default_factory=dict)
    set_aside: Mapping[str, int] = field(default_factory=dict)
    matched: Mapping[str, int] = field(default_factory=dict)
    late: int = 0

    def check(self) -> None:
        """Assert that no row was lost or counted twice."""
        total = self.kept + self.duplicate + self.repeat + sum(self.known.values()) + sum(self.set_aside.values())
        if total != self.read:
            raise AssertionError(f"rows do not add up: {self.read} read, {total} accounted for: {self}")


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


def content_hash(rows: pl.DataFrame) -> str:
    """Return the SHA-256 of the events, whatever their order, machine or library: equal rows hash alike.

    Args:
        rows: user, item (text, or its numbers), value, time (microseconds since 1970 or null).
    """
    rows = rows.select("user", "item", "value", pl.col("time").dt.epoch("us"))
    ranked = rows.with_columns(_ranks(rows[name]) for name in ("user", "item"))
    order = ranked.select(pl.arg_sort_by("time", "user", "item", "value", nulls_last=True)).to_series()
    del ranked
    digest = hashlib.sha256(b"%d" % rows.height)
    for start in range(0, rows.height, _SLICE):
        part = rows[order.slice(start, _SLICE)].cast({"user": pl.String, "item": pl.String})  # a piece at a time
        for name in ("user", "item"):
            digest.update(part[name].str.len_bytes().cast(pl.UInt32).to_numpy().astype("<u4").tobytes())
            digest.update(str(part[name].str.join("").item()).encode())
        digest.update(part["value"].to_numpy().astype("<f8").tobytes())
        digest.update(part["time"].is_null().to_numpy().tobytes())
        digest.update(part["time"].fill_null(0).to_numpy().astype("<i8").tobytes())
    return digest.hexdigest()


def _ranks(ids: pl.Series) -> pl.Series:
    """Return numbers that sort as the texts do."""
    if not isinstance(ids.dtype, pl.Enum):
        return ids
    return ids.dtype.categories.rank("ordinal").gather(ids.to_physical()).alias(ids.name)
