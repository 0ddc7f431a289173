"""Side information of items, joined by id: categories and text as they are or hashed to numbers, precomputed vectors."""

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
from gnnrec.data.types import Features, Singles
from gnnrec.data.words import hashed

ITEM = "item"
HASHED = "hashed"
"""The column of numbers that text becomes."""
_SPLIT = r"[\s,;|]+"


@dataclass(frozen=True, slots=True)
class SideFile:
    """A file about items.

    Attributes:
        file: CSV, Parquet, JSON lines.
        id: its column of item ids.
        columns: categories and text to keep; empty: all but id and vector.
        vector: a column of vectors: lists in Parquet, numbers with blanks, commas or semicolons between them in text.
        hashed: columns of categories or text whose words become numbers; see `gnnrec.data.words`.
        width: how many numbers.
    """

    file: str
    id: str
    columns: tuple[str, ...] = ()
    vector: str | None = None
    hashed: tuple[str, ...] = ()
    width: int = 64


def make_side(given: Mapping[str, object] | None) -> SideFile | None:
    """Check the user's settings and return them as `SideFile`."""
    if given is None:
        return None
    keys = {"file", "id", "columns", "vector", "hashed", "width"}
    for key in given:
        if key not in keys:
            raise GnnrecError(f"data.side.{key} is not known{nearest(str(key), sorted(keys))}")
    if any(given.get(key) in (None, "") for key in ("file", "id")):
        raise GnnrecError(
            "data.side needs file and id, the column of item ids: data.side={file: items.csv, id: item_id}"
        )
    vector, width = given.get("vector"), given.get("width", 64)
    if not isinstance(width, int) or width < 1:
        raise GnnrecError(
            f"data.side.width={width} must be a whole number above 0: of numbers that words are hashed to"
        )
    columns, words = (_names(given.get(key)) for key in ("columns", "hashed"))
    name = None if vector is None else str(vector)
    return SideFile(str(given["file"]), str(given["id"]), columns, name, words, width)


def _names(given: object) -> tuple[str, ...]:
    """Return names of columns, one or a list; numbers are those of a file without a header."""
    if given is None or given == "":
        return ()
    return tuple(str(c) for c in given) if isinstance(given, Sequence) and not isinstance(given, str) else (str(given),)


def read_side(side: SideFile, path: Path, how: How) -> tuple[pl.DataFrame, Source]:
    """Return a row per item, its first one in the file: item, text columns, vectors and hashed words as Array(Float32, width).

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
    if side.hashed:
        frame = frame.with_columns(_words(frame, side, path))
    blob.check_same()
    return frame, blob.source


def _words(frame: pl.DataFrame, side: SideFile, path: Path) -> pl.Series:
    """Return the numbers that the words of the columns make; null where there is no word."""
    if HASHED in frame.columns:
        raise GnnrecError(
            f"data.side: {path.name} has a column '{HASHED}', which data.side.hashed would make; leave it out by "
            "data.side.columns"
        )
    numbers = hashed(frame, [ITEM if n == side.id else n for n in side.hashed], side.width)
    table = pl.DataFrame({HASHED: numbers, "known": ~np.isnan(numbers[:, 0])})
    return table.select(pl.when("known").then(HASHED)).to_series()


def joined(side: pl.DataFrame, item_ids: Sequence[str]) -> pl.DataFrame:
    """Return a row per id, in their order; null where the side information does not know it."""
    return pl.DataFrame({ITEM: pl.Series(item_ids, dtype=pl.String)}).join(
        side, on=ITEM, how="left", maintain_order="left"
    )


def vectors(side: pl.DataFrame, item_ids: Sequence[str] | NDArray[np.object_]) -> Features | None:
    """Return the numbers known of these items, [i, g], those of a vector before hashed words; NaN where there are none.

    None where the side information has no column of numbers.
    """
    named = [name for name, kind in side.schema.items() if isinstance(kind, pl.Array)]
    if not named:
        return None
    table = joined(side.select(ITEM, *named), list(item_ids))
    return Features(item=np.concatenate([_numbers(table[name]) for name in named], axis=1))


def _numbers(column: pl.Series) -> Singles:
    width = int(column.dtype.shape[0])  # type: ignore[attr-defined]
    found = np.full((len(column), width), np.nan, np.float32)
    found[column.is_not_null().to_numpy()] = column.drop_nulls().to_numpy()
    return found


def _wanted(side: SideFile, names: Sequence[str], path: Path) -> list[str]:
    own = [side.id, *([side.vector] if side.vector else []), *side.hashed]
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
