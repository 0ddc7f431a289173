"""Parquet: typed columns become strings again (exact for integers), so that every format is cleaned alike."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gnnrec.data.formats import Blob
from gnnrec.data.rows import ROW, Rows, Tally
from gnnrec.errors import GnnrecError, one_line

_CELL_BYTES = 8
ROWS = 1 << 18
"""Rows cleaned at once."""


@dataclass(frozen=True, slots=True)
class ParquetTable:
    """A Parquet file whose footer was read."""

    blob: Blob
    schema: dict[str, pl.DataType]
    height: int
    max_bytes: int
    headerless: bool = False
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in file order."""
        return tuple(self.schema)

    def first(self) -> dict[str, str]:
        """Return nothing: names decide here."""
        return {}

    def batches(self, names: Sequence[str]) -> Iterator[Rows]:
        """Yield the columns `names` as strings."""
        claimed = self.height * max(len(names), 1) * _CELL_BYTES
        if claimed > self.max_bytes:
            raise GnnrecError(
                f"{self.blob.path} claims {self.height:,} rows in {self.blob.size:,} bytes, more than "
                f"data.max_bytes={self.max_bytes:,} in memory; raise the cap if you trust the file"
            )
        for name in names:
            self._check(name)
        cells = [_as_text(name, self.schema[name]) for name in names]
        for start in range(0, max(self.height, 1), ROWS):
            frame = self._read(names, start).select(*cells, pl.int_range(start + 1, start + pl.len() + 1).alias(ROW))
            yield Rows(frame, frame.height, Tally())
        self.blob.check_same()

    def _read(self, names: Sequence[str], start: int) -> pl.DataFrame:
        try:
            return pl.scan_parquet(_bytes(self.blob)).select(names).slice(start, ROWS).collect()
        except Exception as error:  # polars and its decoders raise many types, panics among them
            raise _damaged(self.blob, error) from None

    def _check(self, name: str) -> None:
        kind = self.schema[name]
        if kind.is_nested() or kind in (pl.Binary, pl.Object, pl.Duration, pl.Time):
            raise GnnrecError(
                f"{self.blob.path}: column '{one_line(name)}' has type {kind}, which is neither text, number nor time; "
                "choose another column by data.columns or flatten it first"
            )


def open_parquet(blob: Blob, max_bytes: int) -> ParquetTable:
    """Read the footer.

    Raises:
        GnnrecError: it is missing or damaged.
    """
    if not blob.packed and _ending(blob) != b"PAR1":
        raise GnnrecError(f"{blob.path} is truncated Parquet: footer missing, {blob.size:,} bytes; fetch it again")
    try:
        schema = pl.read_parquet_schema(_bytes(blob))
        height = int(pl.scan_parquet(_bytes(blob)).select(pl.len()).collect().item())
    except Exception as error:
        raise _damaged(blob, error) from None
    return ParquetTable(blob, dict(schema), height, max_bytes)


def _bytes(blob: Blob) -> Path | io.BytesIO:
    """Return what polars reads from; packed Parquet, which is rare, in memory."""
    return io.BytesIO(blob.whole()) if blob.packed else blob.path


def _ending(blob: Blob) -> bytes:
    with blob.path.open("rb") as file:
        file.seek(max(blob.size - 4, 0))
        return file.read(4)


def _damaged(blob: Blob, error: Exception) -> GnnrecError:
    return GnnrecError(f"{blob.path} is damaged Parquet ({one_line(str(error))[:120]}); fetch it again")


def _as_text(name: str, kind: pl.DataType) -> pl.Expr:
    cell = pl.col(name)
    if isinstance(kind, pl.Datetime):
        if kind.time_zone is not None:
            cell = cell.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return cell.dt.strftime("%Y-%m-%d %H:%M:%S%.6f").alias(name)
    return cell.cast(pl.String)
