"""Data frames of LensKit and RecTools, and of pandas and polars at large: a log as one, and one as a log."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.data.dataset import Dataset
from gnnrec.data.datasets import File
from gnnrec.interop.extract import Extract, whole

LENSKIT = {"user": "user_id", "item": "item_id", "value": "rating", "time": "timestamp"}
RECTOOLS = {"user": "user_id", "item": "item_id", "value": "weight", "time": "datetime"}


def lenskit_columns(events: pl.DataFrame) -> pl.DataFrame:
    """Return events of an `Extract` as LensKit calls them: user_id, item_id, rating, timestamp (without a zone, UTC).

    Where a log has no times there is no timestamp.
    """
    return _renamed(events, LENSKIT)


def rectools_columns(events: pl.DataFrame) -> pl.DataFrame:
    """Return events of an `Extract` as RecTools calls them: user_id, item_id, weight, datetime (without a zone, UTC).

    Raises:
        GnnrecError: the log has no times.
    """
    if "time" not in events.columns:
        raise GnnrecError(
            "RecTools needs a datetime of every interaction, and this log has no times; export it as lenskit"
        )
    return _renamed(events, RECTOOLS)


def _renamed(events: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
    found = events.rename({k: v for k, v in names.items() if k in events.columns})
    return found.with_columns(pl.col(n).dt.replace_time_zone(None) for n in found.columns if n == names["time"])


def to_lenskit(log: Dataset | Extract | pl.DataFrame) -> Any:
    """Return a log, or one part of a split, as the pandas frame that `lenskit.data.from_interactions_df` takes.

    Args:
        log: a data set, an extract of one part, or one of its frames.
    """
    return to_pandas(lenskit_columns(_events(log)))


def to_rectools(log: Dataset | Extract | pl.DataFrame) -> Any:
    """Return a log, or one part of a split, as the pandas frame that `rectools.dataset.Dataset.construct` takes.

    Args:
        log: a data set, an extract of one part, or one of its frames.
    """
    return to_pandas(rectools_columns(_events(log)))


def _events(log: Dataset | Extract | pl.DataFrame) -> pl.DataFrame:
    if isinstance(log, Dataset):
        return whole(log).whole
    return log.whole if isinstance(log, Extract) else log


def from_lenskit(frame: Any, **options: Any) -> Dataset:
    """Return a frame of user_id, item_id and, where there are such, rating and timestamp as a log.

    Args:
        frame: of pandas or polars.
        options: as of `from_frame`.
    """
    return from_frame(frame, **_present(frame, LENSKIT), **options)


def from_rectools(frame: Any, **options: Any) -> Dataset:
    """Return a frame of user_id, item_id, weight and datetime as a log; weights become values.

    Args:
        frame: of pandas or polars.
        options: as of `from_frame`.
    """
    return from_frame(frame, **_present(frame, RECTOOLS), **options)


def _present(frame: Any, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the columns by role: rating and time may lack."""
    roles = {"rating" if role == "value" else role: name for role, name in names.items()}
    return {r: n if n in frame.columns or r in ("user", "item") else False for r, n in roles.items()}


def from_frame(
    frame: Any,
    user: str | None = None,
    item: str | None = None,
    rating: str | bool | None = None,
    time: str | bool | None = None,
    name: str = "frame",
    **options: Any,
) -> Dataset:
    """Return a data frame as a log, cleaned as a file of its rows would be: every row is kept or counted under a reason.

    Times without a zone are taken as UTC, whole numbers that pandas holds as floats as whole numbers.

    Args:
        frame: of pandas or polars.
        user, item, rating, time: columns; None: found among common names; false: there is none.
        name: of the data set.
        options: further options of `gnnrec.data.datasets.File`: repeats, scale, filters, …

    Raises:
        GnnrecError: a column is missing, or no frame was given.
    """
    return FrameLog(frame, user, item, rating, time, name, **options).load()


class FrameLog:
    """A data frame where a data set is asked for; arguments as of `from_frame`."""

    def __init__(
        self,
        frame: Any,
        user: str | None = None,
        item: str | None = None,
        rating: str | bool | None = None,
        time: str | bool | None = None,
        name: str = "frame",
        **options: Any,
    ) -> None:
        self.name, self._options = name, options
        self._columns = {"user": user, "item": item, "rating": rating, "time": time, "title": False}
        self._frame = to_polars(frame)

    def load(self, keep: Sequence[str] = ()) -> Dataset:
        """Clean the rows.

        Args:
            keep: columns to keep beside the events.
        """
        # By way of a file, so that there is one way to clean; it is gone when this returns.
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "frame.parquet"
            self._frame.write_parquet(path)
            log = File(self.name, path, columns=self._columns, **self._options).load(keep)
        return replace(log, sources=())


def to_pandas(frame: pl.DataFrame) -> Any:
    """Return a polars frame of plain columns as one of pandas; needs pandas alone, where polars' own way needs pyarrow too.

    Raises:
        GnnrecError: pandas is not here.
    """
    columns = {name: frame[name].to_numpy() for name in frame.columns}
    return _pandas().DataFrame(columns)


def to_polars(frame: Any) -> pl.DataFrame:
    """Return a frame of pandas, polars or anything that polars makes one of (a mapping of columns) as one of polars.

    Raises:
        GnnrecError: it cannot be made one.
    """
    if isinstance(frame, pl.DataFrame):
        return frame
    try:
        if not (hasattr(frame, "columns") and hasattr(frame, "to_numpy")):
            return pl.DataFrame(frame)
        return pl.DataFrame({str(name): _column(frame[name]) for name in frame.columns})
    except Exception as error:  # somebody else's object
        kind = type(frame).__name__
        raise GnnrecError(f"{kind} cannot be read as a data frame ({one_line(str(error))[:120]})") from None


def _column(column: Any) -> pl.Series:
    """Return a column of pandas; what it marks as missing is null."""
    if getattr(column.dtype, "tz", None) is not None:
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iufbM":
        return pl.Series(column.to_numpy(), nan_to_null=True)
    cells = [None if gone else v for v, gone in zip(column.tolist(), column.isna().tolist(), strict=True)]
    if any(isinstance(c, str) for c in cells) or all(c is None for c in cells):
        return pl.Series(
            [None if c is None else str(c) for c in cells], dtype=pl.String
        )  # 1 and "a" may stand together
    return pl.Series(cells)


def _pandas() -> Any:
    try:
        return importlib.import_module("pandas")
    except ImportError as error:
        raise GnnrecError(
            f"pandas cannot be imported ({one_line(str(error))}): pip install 'gnnrec[pandas]'"
        ) from error
