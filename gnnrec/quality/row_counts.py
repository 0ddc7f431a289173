"""Where the rows of an ingest went: none is lost, none is counted twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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
