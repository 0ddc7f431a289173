"""Does a store still hold what its log says? Every version's rows are hashed again, every file's bytes read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from gnnrec.errors import one_line
from gnnrec.files import sha256
from gnnrec.store.table import Store
from gnnrec.store.version import ContentHash, Version

_FAILURES = (Exception, pl.exceptions.PanicException)


def verify(store: Store) -> Iterator[tuple[int, str | None]]:
    """Yield each version's number and what is wrong with it, None where all is well."""
    for version in store.versions:
        yield version.number, _wrong(store, version)


def _wrong(store: Store, version: Version) -> str | None:
    try:
        version.counts.check()
        height, content = _hashed(store, version)
    except AssertionError as error:
        return str(error)
    except _FAILURES as error:
        return f"its rows cannot be read ({one_line(str(error))[:160]}); restore the file from a copy"
    if content != store.contents[version.number]:
        kept = f"{version.counts.kept:,}"
        return f"its {height:,} rows are not the {kept} that were ingested; restore the folder from a copy"
    return _wrong_aside(store, version) or _wrong_side(store, version)


def _hashed(store: Store, version: Version) -> tuple[int, str]:
    """Return how many rows a version has and what they hash to, a data file in memory at a time."""
    held = [(path, *_extent(path, version.number)) for path in store.files()]
    found = ContentHash(height := sum(rows for _, rows, _ in held))
    rest = pl.DataFrame()
    for path, _, _ in sorted((h for h in held if h[1]), key=lambda h: h[2]):
        rows = pl.concat([rest, _scan(path, version.number).sort("place").collect()], how="diagonal")
        later = rows["time"].ne_missing(rows["time"][-1])
        found.update(rows.filter(later))
        rest = rows.filter(~later)  # the next file may have more events of this instant
    if rest.height:
        found.update(rest)
    return height, found.hexdigest()


def _scan(path: Path, number: int) -> pl.LazyFrame:
    return pl.scan_parquet(path, glob=False, hive_partitioning=False).filter(pl.col("version") == number)


def _extent(path: Path, number: int) -> tuple[int, int]:
    """Return how many rows of a version a file has, and the place of the first."""
    rows, first = _scan(path, number).select(pl.len(), pl.col("place").min()).collect().row(0)
    return int(rows), int(first or 0)


def _wrong_side(store: Store, version: Version) -> str | None:
    if version.side is None:
        return None
    path = store.sides / f"{version.side}.parquet"
    if not path.exists():
        return f"what it knows of items is missing ({path.name})"
    return None if sha256(path.read_bytes()) == version.side else f"what it knows of items was changed ({path.name})"


def _wrong_aside(store: Store, version: Version) -> str | None:
    aside = store.aside_of(version)
    if aside is None:
        return None
    path, expected = aside
    if not path.exists():
        return f"the rows it set aside are missing ({path.name})"
    if sha256(path.read_bytes()) != expected:
        return f"the rows it set aside were changed ({path.name})"
    return None
