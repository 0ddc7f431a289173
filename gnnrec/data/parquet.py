"""Parquet: typed columns become strings again (exact for integers), so that every format is cleaned alike."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from gnnrec.data.formats import Blob
from gnnrec.data.rows import ROW, Rows, Tally
from gnnrec.errors import GnnrecError, one_line

_CELL_BYTES = 8


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

    def rows(self, names: Sequence[str]) -> Rows:
        """Return the columns `names` as strings."""
        claimed = self.height * max(len(names), 1) * _CELL_BYTES
        if claimed > self.max_bytes:
            raise GnnrecError(
                f"{self.blob.path} claims {self.height:,} rows in {len(self.blob.data):,} bytes, more than "
                f"data.max_bytes={self.max_bytes:,} in memory; raise the cap if you trust the file"
            )
        for name in names:
            self._check(name)
        try:
            frame = pl.read_parquet(io.BytesIO(self.blob.data), columns=list(names))
        except Exception as error:  # polars and its decoders raise many types, panics among them
            raise _damaged(self.blob, error) from None
        frame = frame.select(names).with_row_index(ROW, offset=1)
        cells = [_as_text(name, self.schema[name]) for name in names]
        return Rows(frame.select(*cells, pl.col(ROW).cast(pl.Int64)), frame.height, Tally())

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
    if blob.data[-4:] != b"PAR1":
        raise GnnrecError(f"{blob.path} is truncated Parquet: footer missing, {len(blob.data):,} bytes; fetch it again")
    try:
        schema = pl.read_parquet_schema(io.BytesIO(blob.data))
        height = int(pl.scan_parquet(io.BytesIO(blob.data)).select(pl.len()).collect().item())
    except Exception as error:
        raise _damaged(blob, error) from None
    return ParquetTable(blob, dict(schema), height, max_bytes)


def _damaged(blob: Blob, error: Exception) -> GnnrecError:
    return GnnrecError(f"{blob.path} is damaged Parquet ({one_line(str(error))[:120]}); fetch it again")


def _as_text(name: str, kind: pl.DataType) -> pl.Expr:
    cell = pl.col(name)
    if isinstance(kind, pl.Datetime):
        if kind.time_zone is not None:
            cell = cell.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return cell.dt.strftime("%Y-%m-%d %H:%M:%S%.6f").alias(name)
    return cell.cast(pl.String)
