"""Parquet: typed columns but numbers become strings again, so that every format is cleaned alike."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.data.clean.rows import ROW, RowBatch, Tally
from gnnrec.data.read.formats import Blob
from gnnrec.data.types import Ints

_CELL_BYTES = 8
_YEARS = (-62_104_060_800.0, 253_339_228_799.0)
_FAILURES = (Exception, pl.exceptions.PanicException)
"""Polars and its decoders raise many types; a panic is no `Exception`."""
ROWS = 1 << 17
"""Rows cleaned at once."""
PARTS = 64
"""A file is decoded in so many parts at most: each begins at the head of its row group, which may be the whole file."""


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

    def batches(self, names: Sequence[str]) -> Iterator[RowBatch]:
        """Yield the columns `names` as strings or numbers."""
        claimed = self.height * max(len(names), 1) * _CELL_BYTES
        if claimed > self.max_bytes:
            raise GnnrecError(
                f"{self.blob.path} claims {self.height:,} rows in {self.blob.size:,} bytes, more than "
                f"data.max_bytes={self.max_bytes:,} in memory; raise the cap if you trust the file"
            )
        for name in names:
            self._check(name)
        self._check_height(names)
        cells = [_as_read(name, self.schema[name]) for name in names]
        start = 0
        for frame in self._read(cells):
            number = pl.int_range(start + 1, start + frame.height + 1, eager=True).alias(ROW)
            start += frame.height
            yield RowBatch(frame.with_columns(number), frame.height, Tally())
        self.blob.check_same()

    def raw(self, rows: Ints) -> Iterator[tuple[int, str]]:
        """Yield number and cells, as a JSON object, of these rows."""
        source = _source(self.blob)
        for start in range(0, self.height, ROWS):
            at = rows[(rows > start) & (rows <= start + ROWS)]
            if len(at):
                try:
                    frame = _scan(source).slice(start, ROWS).select(pl.all().gather(at - start - 1)).collect()
                except _FAILURES as error:
                    raise _damaged(self.blob, error) from None
                yield from zip(at.tolist(), map(_object, frame.iter_rows(named=True)), strict=True)

    def _read(self, cells: Sequence[pl.Expr]) -> Iterator[pl.DataFrame]:
        """Yield the rows, one frame at least; the next are decoded while these are looked at."""
        # Polars' own batches run ahead by whatever it has decoded: twice the memory of all that is made of the rows.
        step = max(ROWS, -(-self.height // PARTS))
        with ThreadPoolExecutor(1) as beside:
            try:
                rows = _scan(_source(self.blob)).select(*cells)
                coming = beside.submit(rows.slice(0, step).collect)
                for start in range(step, self.height, step):
                    part, coming = coming.result(), beside.submit(rows.slice(start, step).collect)
                    yield from part.iter_slices(ROWS)
                part = coming.result()
                yield from part.iter_slices(ROWS) if part.height else [part]
            except _FAILURES as error:
                raise _damaged(self.blob, error) from None

    def _check_height(self, names: Sequence[str]) -> None:
        """Refuse a footer that claims fewer rows than there are, which polars then leaves out, or more."""
        for name in names[-1:]:
            cell = pl.selectors.by_name(name).as_expr()
            try:
                held = (
                    _scan(_source(self.blob))
                    .select(cell.null_count() + cell.count())
                    .collect(engine="streaming")
                    .item()
                )
            except _FAILURES as error:
                raise _damaged(self.blob, error) from None
            if held != self.height:
                raise _damaged(self.blob, ValueError(f"its footer claims {self.height:,} rows of {held:,}"))

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
        scanned = _scan(_source(blob))
        schema = scanned.collect_schema()
        height = int(scanned.select(pl.len()).collect().item())
    except _FAILURES as error:
        raise _damaged(blob, error) from None
    return ParquetTable(blob, dict(schema), height, max_bytes)


def _source(blob: Blob) -> Path | io.BytesIO:
    """Return what polars reads from; packed Parquet, which is rare, in memory."""
    return io.BytesIO(blob.whole()) if blob.packed else blob.path


def _scan(source: Path | io.BytesIO) -> pl.LazyFrame:
    """Scan this file and no other: a name with * or [ is a name."""
    return pl.scan_parquet(source, glob=False, hive_partitioning=False)


def _object(cells: dict[str, object]) -> str:
    return json.dumps(cells, default=str, ensure_ascii=False)


def _ending(blob: Blob) -> bytes:
    try:
        with blob.path.open("rb") as file:
            file.seek(max(blob.size - 4, 0))
            return file.read(4)
    except OSError:
        blob.check_same()
        raise


def _damaged(blob: Blob, error: BaseException) -> GnnrecError:
    blob.check_same()
    return GnnrecError(f"{blob.path} is damaged Parquet ({one_line(str(error))[:120]}); fetch it again")


def _as_read(name: str, kind: pl.DataType) -> pl.Expr:
    cell = pl.selectors.by_name(name).as_expr()  # pl.col would take some names for patterns
    if kind.is_float() or (kind.is_integer() and kind.is_signed_integer() and kind != pl.Int128):
        return cell
    if kind == pl.Date:
        return _possible(cell, 1.0 / 86_400).cast(pl.String)
    if isinstance(kind, pl.Datetime):
        cell = _possible(cell, {"ms": 1e3, "us": 1e6, "ns": 1e9}[kind.time_unit])
        if kind.time_zone is None:
            return cell.dt.strftime("%Y-%m-%d %H:%M:%S%.6f").alias(name)
        # Said in the text, so that `data.time_zone`, which is for times without a zone, leaves it alone.
        cell = cell.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return cell.dt.strftime("%Y-%m-%d %H:%M:%S%.6f+00:00").alias(name)
    return cell.cast(pl.String)


def _possible(cell: pl.Expr, per_second: float) -> pl.Expr:
    """Return null where a date lies outside the years 2 to 9998, which cannot be written out in every zone."""
    number = cell.to_physical().cast(pl.Float64)
    return pl.when(number.is_between(_YEARS[0] * per_second, _YEARS[1] * per_second)).then(cell)
