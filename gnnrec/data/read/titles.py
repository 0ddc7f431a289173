"""Titles of items from a file of ids and titles (CSV, Parquet, JSON lines, ``::``); ids are exact."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.data.clean.ids import are_whole, id_texts
from gnnrec.data.clean.rows import RowTable
from gnnrec.data.read.reader import How, open_table

_ID = ("item", "item_id", "itemid", "movieid", "movie_id", "productid", "product_id", "stockcode", "asin",
       "parent_asin", "article_id", "id")  # fmt: skip
_TITLE = ("title", "movie_title", "name", "description", "label")


def read_titles(path: Path, how: How | None = None) -> dict[str, str]:
    """Return item id -> title; the first title of an id counts, empty ones do not."""
    if not path.is_file():
        raise GnnrecError(
            f"data.items={path}: there is no such file; give one with item ids and titles, or leave it null"
        )
    table, _ = open_table(path, how)
    key, title = _columns(path, table)
    frame = pl.concat([rows.frame.select(key, title) for rows in table.batches([key, title])])
    ids, titles = id_texts(frame[key], bool(are_whole(frame[key]))), frame[title].cast(pl.String)
    found: dict[str, str] = {}
    for identifier, text in zip(ids, titles, strict=True):
        if identifier and text and text.strip():
            found.setdefault(identifier, text.strip())
    return found


def _columns(path: Path, table: RowTable) -> tuple[str, str]:
    if table.headerless:
        if len(table.names) < 2:
            raise GnnrecError(f"data.items={path} has one column; it needs an id and a title")
        return table.names[0], table.names[1]
    lower = {name.lower(): name for name in reversed(table.names)}
    key = next((lower[n] for n in _ID if n in lower), None)
    title = next((lower[n] for n in _TITLE if n in lower), None)
    if key is None or title is None:
        what, names = ("id", _ID) if key is None else ("title", _TITLE)
        found = one_line(", ".join(table.names))
        raise GnnrecError(f"data.items={path} has no {what} column (one of {', '.join(names)}); found: {found}")
    return key, title
