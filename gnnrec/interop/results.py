"""The tables of a run or a comparison, as polars frames; `gnnrec.interop.frames.to_pandas` makes them pandas'."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from gnnrec.core.errors import GnnrecError, nearest, one_line

TABLES = ("results", "per_user", "predictions", "summary")
_SHARED = "references-"
"""How folders begin that hold the reference rows of a comparison."""


def results(folder: str | Path, table: str = "results") -> pl.DataFrame:
    """Return a table of a finished run or comparison.

    Args:
        folder: of a run, or the output folder of a comparison.
        table: "results" (a row per measured value), "per_user" (recall@20 and NDCG@20 of next by user), "predictions" (values
            and what was expected, explicit feedback alone), or "summary" (a row per strategy and scorer; of a comparison).

    Raises:
        GnnrecError: there is no such table, or none there.
    """
    folder = Path(folder)
    if table not in TABLES:
        raise GnnrecError(f"there is no table '{one_line(table)}'{nearest(table, TABLES)}")
    suffix = "csv" if table == "summary" else "parquet"
    path = folder / f"{table}.{suffix}"
    if not path.is_file():
        raise GnnrecError(_missing(folder, path.name))
    try:
        return pl.read_csv(path, infer_schema_length=None) if suffix == "csv" else pl.read_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise GnnrecError(
            f"{path} is damaged ({one_line(str(error))[:120]}); `gnnrec report {folder}` writes it anew"
        ) from None


def _missing(folder: Path, name: str) -> str:
    """Return what is wrong with a folder without that table, and what to name or run instead."""
    if not folder.is_dir():
        return f"there is no folder {folder}; name one written by `gnnrec run` or `gnnrec compare`"
    if (folder / "status.json").is_file():
        what = "has not finished" if name != "summary.csv" else "is one run; `gnnrec report` writes a summary of runs"
        return f"{folder} {what}, so there is no {name}"
    inside = sorted(p.parent.name for p in folder.glob(f"*/{name}") if not p.parent.name.startswith(_SHARED))
    hint = (
        f"name one of them: {', '.join(inside[:5])}; or"
        if inside
        else "name one written by `gnnrec run` or `gnnrec compare`;"
    )
    return f"{folder} has no {name}: {hint} `gnnrec report {folder}` writes it from finished runs"
