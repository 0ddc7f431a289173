"""A data set that RecBole has loaded, as a log: its own numbers become the tokens again, and the padding is no user."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from gnnrec.core.errors import GnnrecError
from gnnrec.data.dataset import Dataset
from gnnrec.interop.frames import from_frame
from gnnrec.interop.recbole import PADDING

_EXACT = 1 << 24
"""Whole numbers up to here are exact in single precision."""


def from_recbole(dataset: Any, time: bool = True, **options: Any) -> Dataset:
    """Return the interactions of a `recbole.data.dataset.Dataset` as a log.

    RecBole numbers users and items from 1 and has [PAD] at 0: who takes its numbers for those of a table without padding is off
    by one. Here they become tokens by the data set's own table; rows whose user or item is the padding have none, and are
    counted as such (missing_user, missing_item).

    Args:
        dataset: as `recbole.data.create_dataset` returns it; RecBole need not be installed where this runs.
        time: whether to take times.
        options: as of `gnnrec.interop.frames.from_frame`.

    Raises:
        GnnrecError: it is no such data set, or holds times in single precision, as RecBole does once it was split.
    """
    try:
        feat, tables = dataset.inter_feat, dataset.field2id_token
        fields = {"user": dataset.uid_field, "item": dataset.iid_field}
        found = {role: _tokens(np.asarray(feat[field]), tables[field]) for role, field in fields.items()}
        present = {str(name) for name in getattr(feat, "columns", feat)}
    except (AttributeError, KeyError, TypeError) as error:
        raise GnnrecError(f"{type(dataset).__name__} is no data set of RecBole's: {error}") from None
    for role, field, wanted in (("rating", "rating", True), ("time", dataset.time_field, time)):
        if wanted and field in present:
            found[role] = pl.Series(_exact(np.asarray(feat[field]), role))
    columns: dict[str, Any] = {role: role if role in found else False for role in ("rating", "time")}
    return from_frame(pl.DataFrame(found), "user", "item", **columns, **options)


def _tokens(numbers: Any, table: Any) -> pl.Series:
    """Return the token of each number; none for the padding."""
    names = pl.Series(
        [None if n == 0 or str(token) == PADDING else str(token) for n, token in enumerate(table)], dtype=pl.String
    )
    return names.gather(numbers.astype(np.int64))


def _exact(column: Any, role: str) -> Any:
    if role == "time" and column.dtype == np.float32 and len(column) and np.abs(column).max() > _EXACT:
        raise GnnrecError(
            "RecBole holds the times of this data set in single precision by now, which is minutes off: give the data set as "
            "create_dataset returns it, before it is split, or time=False"
        )
    return column.astype(np.float64)
