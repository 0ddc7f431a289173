"""Does a store still hold what its log says? Every version's rows are hashed again, every file's bytes read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import polars as pl

from gnnrec.core.errors import one_line
from gnnrec.core.files import sha256
from gnnrec.store.table import Store
from gnnrec.store.version import ContentHash, Version

_FAILURES = (Exception, pl.exceptions.PanicException)
_ROWS = 1 << 20
"""Rows looked at together."""


def verify(store: Store) -> Iterator[tuple[int, str | None]]:
    """Yield each version's number and what is wrong with it, None where all is well; `Store.foreign_change` says the rest."""
    for version in store.records:
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
    """Return how many rows a version has and what they hash to, some of them in memory at a time, however files divide them."""
    mine = store.scan().filter(pl.col("version") == version.number)
    place = pl.col("place")
    height, last = mine.select(pl.len(), place.max()).collect(engine="streaming").row(0)
    found, rest = ContentHash(height), pl.DataFrame()
    for start in range(0, (last or 0) + 1, _ROWS):
        part = mine.filter(place.is_between(start, start + _ROWS - 1)).sort("place").collect(engine="streaming")
        rows = pl.concat([rest, part], how="diagonal")
        if rows.height:
            later = rows["time"].ne_missing(rows["time"][-1])
            found.update(rows.filter(later))
            rest = rows.filter(~later)  # there may be more events of this instant
    if rest.height:
        found.update(rest)
    return height, found.hexdigest()


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
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        return f"the rows it set aside were changed ({path.name})"
    return None
