"""Side information of items, joined by id: categories and text as they are, precomputed vectors as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gnnrec.core.errors import GnnrecError, nearest, one_line
from gnnrec.data.clean.ids import are_whole, id_texts
from gnnrec.data.read.formats import Source, load
from gnnrec.data.read.reader import How, table_of
from gnnrec.data.types import Features

ITEM = "item"
_SPLIT = r"[\s,;|]+"


@dataclass(frozen=True, slots=True)
class SideFile:
    """A file about items.

    Attributes:
        file: CSV, Parquet, JSON lines.
        id: its column of item ids.
        columns: categories and text to keep; empty: all but id and vector.
        vector: a column of vectors: lists in Parquet, numbers with blanks, commas or semicolons between them in text.
    """

    file: str
    id: str
    columns: tuple[str, ...] = ()
    vector: str | None = None


def make_side(given: Mapping[str, object] | None) -> SideFile | None:
    """Check the user's settings and return them as `SideFile`."""
    if given is None:
        return None
    keys = {"file", "id", "columns", "vector"}
    for key in given:
        if key not in keys:
            raise GnnrecError(f"data.side.{key} is not known{nearest(str(key), sorted(keys))}")
    if not given.get("file") or not given.get("id"):
        raise GnnrecError(
            "data.side needs file and id, the column of item ids: data.side={file: items.csv, id: item_id}"
        )
    columns = given.get("columns") or ()
    named = (columns,) if isinstance(columns, str) else tuple(str(c) for c in columns)  # type: ignore[attr-defined]
    vector = given.get("vector")
    return SideFile(str(given["file"]), str(given["id"]), named, None if vector is None else str(vector))


def read_side(side: SideFile, path: Path, how: How) -> tuple[pl.DataFrame, Source]:
    """Return a row per item, its first one in the file: item, text columns, and the vector as Array(Float32, width).

    Raises:
        GnnrecError: the file cannot be read, a column is missing, or vectors are not numbers of one length.
    """
    blob = load(path, how.max_bytes)
    if blob.kind == "parquet":
        frame = _parquet(path, side)
    else:
        table = table_of(blob, how)
        names = _wanted(side, table.names, path)
        frame = pl.concat([rows.frame.select(names) for rows in table.batches(names)])
    ids = frame[side.id]
    frame = frame.with_columns(id_texts(ids, bool(are_whole(ids))).alias(side.id))
    frame = frame.rename({side.id: ITEM}).filter(pl.col(ITEM).fill_null("").str.strip_chars() != "")
    frame = frame.unique(ITEM, keep="first", maintain_order=True)
    if side.vector is not None:
        frame = frame.with_columns(_vectors(frame[side.vector], side.vector, path))
    blob.check_same()
    return frame, blob.source


def joined(side: pl.DataFrame, item_ids: Sequence[str]) -> pl.DataFrame:
    """Return a row per id, in their order; null where the side information does not know it."""
    return pl.DataFrame({ITEM: pl.Series(item_ids, dtype=pl.String)}).join(
        side, on=ITEM, how="left", maintain_order="left"
    )


def vectors(side: pl.DataFrame, item_ids: Sequence[str] | NDArray[np.object_]) -> Features | None:
    """Return the vectors of these items, [i, g], NaN where the side information has none; None where it has no vectors."""
    named = [name for name, kind in side.schema.items() if isinstance(kind, pl.Array)]
    if not named:
        return None
    column = joined(side.select(ITEM, named[0]), list(item_ids))[named[0]]
    width = int(side.schema[named[0]].shape[0])  # type: ignore[attr-defined]
    found = np.full((len(column), width), np.nan, np.float32)
    known = column.is_not_null().to_numpy()
    found[known] = column.drop_nulls().to_numpy()
    return Features(item=found)


def _wanted(side: SideFile, names: Sequence[str], path: Path) -> list[str]:
    own = [side.id, *([side.vector] if side.vector else [])]
    wanted = [*own, *(side.columns or (n for n in names if n not in own))]
    for name in wanted:
        if name not in names:
            found = one_line(", ".join(names))
            raise GnnrecError(
                f"data.side: {path.name} has no column '{one_line(name)}' (found: {found}){nearest(name, names)}"
            )
    if ITEM in wanted and side.id != ITEM:
        raise GnnrecError(
            f"data.side: the column '{ITEM}' of {path.name} is not its id; leave it out by data.side.columns"
        )
    return list(dict.fromkeys(wanted))


def _parquet(path: Path, side: SideFile) -> pl.DataFrame:
    try:
        names = _wanted(side, list(pl.read_parquet_schema(path)), path)
        frame = pl.read_parquet(path, columns=names, glob=False)
        return frame.with_columns(pl.col(n).cast(pl.String) for n in names if n not in (side.id, side.vector))
    except GnnrecError:
        raise
    except (Exception, pl.exceptions.PanicException) as error:
        raise GnnrecError(f"data.side: {path} cannot be read ({one_line(str(error))[:120]})") from None


def _vectors(column: pl.Series, name: str, path: Path) -> pl.Series:
    """Return vectors of one length; a cell that is null or empty stays null."""
    if column.dtype == pl.String:
        text = column.str.strip_chars(" []")
        parts = text.set(text == "", None).str.replace_all(_SPLIT, " ").str.split(" ")
        column = parts
    widths = column.list.len().drop_nulls() if isinstance(column.dtype, pl.List) else None
    if isinstance(column.dtype, pl.Array):
        width = column.dtype.size
    elif widths is None or widths.n_unique() != 1:
        lengths = "none" if widths is None or not len(widths) else " to ".join(map(str, (widths.min(), widths.max())))
        raise GnnrecError(f"data.side: the vectors in '{name}' of {path.name} must have one length, found {lengths}")
    else:
        width = int(widths[0])
    try:
        found = column.cast(pl.Array(pl.Float32, width))
    except pl.exceptions.PolarsError as error:
        shown = one_line(str(error))[:120]
        raise GnnrecError(f"data.side: the vectors in '{name}' of {path.name} are not all numbers ({shown})") from None
    flat = found.drop_nulls().to_numpy()
    if not np.isfinite(flat).all():
        raise GnnrecError(f"data.side: a vector in '{name}' of {path.name} is not finite; mend or leave it out")
    return found.alias(name)
