"""Numbers for external ids, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gnnrec.data.types import Ints, Texts

Codes = NDArray[np.uint32]
_PIECE = 1 << 20
"""Cells looked up at once: numpy widens the numbers on the way."""


_WHOLE = r"^-?\d+\.0+$"
_EXACT = float(1 << 53)
"""Whole floats up to here are exact."""


def id_texts(column: pl.Series, whole: bool = False) -> pl.Series:
    """Return ids as text.

    A number that a format types as a float is written as the integer that it is, and no number is no id: a column of ids
    becomes one of floats where one id is missing.

    Args:
        column: as read: text or numbers.
        whole: whether texts like 17840.0 are such numbers too.
    """
    if column.dtype.is_float():
        is_whole = (column == column.round()) & (column.abs() <= _EXACT)
        integer = column.cast(pl.Int64, strict=False).cast(pl.String)
        return integer.zip_with(is_whole.fill_null(False), column.fill_nan(None).cast(pl.String))
    text = column if column.dtype == pl.String else column.cast(pl.String)
    return text.str.replace(r"\.0+\s*$", "") if whole else text


def are_whole(column: pl.Series) -> bool | None:
    """Return whether every id of a column of text is a whole number written with a fraction of 0; None: it has no ids."""
    if column.dtype != pl.String:
        return False
    head = column.head(100).drop_nulls().str.strip_chars()
    if not head.filter(head != "").str.contains(_WHOLE).all():  # most columns: no need to look at the rest
        return False
    text = column.drop_nulls().str.strip_chars()
    text = text.filter(text != "")
    return bool(text.str.contains(_WHOLE).all()) if len(text) else None


class Ids:
    """Numbers for ids, in the order in which they are met: polars' categories."""

    def __init__(self) -> None:
        self._categories = pl.Categories.random()
        # Polars forgets the ids once no column that has them is alive.
        self._alive = pl.Series([], dtype=pl.Categorical(self._categories))
        self._known = 0

    def codes(self, column: pl.Series) -> Codes:
        """Return the number of each cell, [n]."""
        self._alive = column.cast(pl.Categorical(self._categories))
        found: Codes = self._alive.to_physical().to_numpy()
        self._known = max(self._known, int(found.max()) + 1 if len(found) else 0)
        return found

    def all(self) -> pl.Series:
        """Return the texts, that of number k at place k."""
        return self._texts(np.arange(self._known))

    def _texts(self, codes: NDArray[Any]) -> pl.Series:
        return pl.Series(codes, dtype=pl.UInt32).cat.to(pl.Categorical(self._categories)).cast(pl.String)

    def renumbered(self, codes: Codes) -> tuple[Texts, Ints]:
        """Return the ids that occur, in order of first appearance, and the place of each cell among them."""
        known = int(codes.max(initial=0)) + 1
        first = np.full(known, len(codes))
        for start in range(0, len(codes), _PIECE)[::-1]:
            part = codes[start : start + _PIECE]
            # Of repeated places the last one written stays.
            first[part[::-1]] = np.arange(start, start + len(part))[::-1]
        order = np.argsort(first, kind="stable")[: int((first < len(codes)).sum())]
        place = np.empty(known, np.int64)
        place[order] = np.arange(len(order))
        found = np.empty(len(codes), np.int64)
        for start in range(0, len(codes), _PIECE):
            found[start : start + _PIECE] = place[codes[start : start + _PIECE]]
        return texts(self._texts(order)), found


def spelled(rows: pl.DataFrame, ids: Mapping[str, pl.Series]) -> pl.DataFrame:
    """Return rows with texts where they had numbers of ids; `ids` has the texts by column."""
    return rows.with_columns(texts.gather(rows[name]).alias(name) for name, texts in ids.items())


def coded(column: pl.Series) -> tuple[Texts, Ints]:
    """Return the distinct texts in order of first appearance, and the position of each cell among them."""
    ids = Ids()
    return ids.renumbered(ids.codes(column))


def texts(column: pl.Series) -> Texts:
    """Return a column of text as a numpy array of Python strings."""
    out = np.empty(len(column), object)
    out[:] = column.to_list()
    return out
