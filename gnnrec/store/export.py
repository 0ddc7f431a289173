"""Events of a store as one file for other tools, and what is left over below its folder."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from gnnrec.core.errors import GnnrecError
from gnnrec.store.table import Store

_FORMULA = r"^[=+\-@\t\r\x00]"
_COLUMNS = ("user", "item", "value", "time", "version")


def write(store: Store, version: int | None, path: Path) -> int:
    """Write the events, those up to `version` where it is given, in order of time; return how many.

    Parquet is exact. In CSV an id that a spreadsheet would take for a formula gets an apostrophe in front.

    Raises:
        GnnrecError: there is no such version, or the file's suffix is neither .parquet nor .csv.
    """
    if path.suffix not in (".parquet", ".csv"):
        raise GnnrecError(f"{path} must end in .parquet or .csv")
    if not path.absolute().parent.is_dir():
        raise GnnrecError(f"{path}: there is no folder {path.absolute().parent}; make it, or choose another")
    if version is not None:
        store.version(version)
    rows = store.rows(version).sort("time", "version", "place").select(_COLUMNS).collect(engine="streaming")
    temporary = path.with_name(f".{path.name}.tmp")
    if path.suffix == ".parquet":
        rows.write_parquet(temporary)
    else:
        _harmless(rows).write_csv(temporary)
    temporary.replace(path)
    return rows.height


def _harmless(rows: pl.DataFrame) -> pl.DataFrame:
    ids = pl.col("user", "item")
    return rows.with_columns(pl.when(ids.str.contains(_FORMULA)).then("'" + ids).otherwise(ids).name.keep())


def leftovers(store: Store) -> list[Path]:
    """Return rows set aside, side information, reports and temporary files that no version refers to."""
    used = {aside[0].name for v in store.versions if (aside := store.aside_of(v)) is not None}
    used |= {f"{v.side}.parquet" for v in store.versions if v.side is not None}
    used |= {store.report(v, suffix).name for v in store.versions for suffix in ("json", "html", "parquet")}
    kept = [*store.aside.glob("*.jsonl"), *store.sides.glob("*.parquet"), *store.reports.glob("0*")]
    found = [p for p in kept if p.name not in used]
    partial = [p for pattern in (".*.tmp", "*.part") for p in (store.path / "_gnnrec").rglob(pattern)]
    return sorted({*found, *partial})
