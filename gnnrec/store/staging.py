"""The data files of a version before it is committed: written while its rows are looked at, deleted where it never is."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import polars as pl
from deltalake import Schema
from deltalake.schema import Field, PrimitiveType
from deltalake.transaction import AddAction

COLUMNS: dict[str, pl.DataType] = {
    "user": pl.String(),
    "item": pl.String(),
    "value": pl.Float64(),
    "time": pl.Datetime("us", "UTC"),
    "late": pl.Boolean(),
    "version": pl.Int64(),
    "place": pl.Int64(),
}
"""`place` numbers the rows of a version by time, equal times as the files have them."""
_KINDS = ("string", "string", "double", "timestamp", "boolean", "long", "long")
SCHEMA = Schema([Field(name, PrimitiveType(kind)) for name, kind in zip(COLUMNS, _KINDS, strict=True)])
ROWS = 1 << 22
"""Rows of a file at most."""
GROUP = 1 << 18
"""Rows encoded at once."""


class StagedFiles:
    """Files that no reader knows of until their actions are committed.

    Args:
        folder: of the table.
        number: of the version.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.folder, self.number = folder, number
        self.actions: list[AddAction] = []
        self._committed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for action in [] if self._committed or self._named() else self.actions:
            (self.folder / action.path).unlink(missing_ok=True)

    def committed(self) -> None:
        """Say that the files are the table's now."""
        self._committed = True

    def _named(self) -> bool:
        """Return whether the log names the files: a signal or an error may come between a commit and the word of it."""
        try:
            entry = (self.folder / "_delta_log" / f"{self.number:020}.json").read_text()
        except FileNotFoundError:
            return False
        except OSError:  # files too many are found by `gc`, files too few by nobody
            return True
        return any(action.path in entry for action in self.actions)

    def write(self, rows: pl.DataFrame, ids: Mapping[str, pl.Series]) -> None:
        """Write the next rows: columns of a store but `version`; `ids` has the texts of the numbers in user and item."""
        cells = [pl.lit(texts).gather(pl.col(name)).alias(name) for name, texts in ids.items()]
        cells += [pl.lit(self.number).alias(n) if n == "version" else pl.col(n) for n in COLUMNS if n not in ids]
        for part in rows.iter_slices(ROWS) if rows.height or not self.actions else ():
            name = f"part-{len(self.actions):05}-{secrets.token_hex(16)}-c000.zstd.parquet"
            self.actions.append(AddAction(name, 0, {}, int(time.time() * 1000), True, _stats(part.height, self.number)))
            path = self.folder / name
            # A piece after the other: the texts of all rows would take many times their numbers.
            pieces = pl.concat([p.lazy().select(cells).cast(COLUMNS) for p in part.iter_slices(GROUP)])  # type: ignore[arg-type]
            pieces.sink_parquet(path, compression="zstd", compression_level=1, row_group_size=GROUP)
            self.actions[-1].size = path.stat().st_size


def _stats(rows: int, version: int) -> str:
    bounds = {"version": version}
    return json.dumps({"numRecords": rows, "minValues": bounds, "maxValues": bounds, "nullCount": {"version": 0}})
