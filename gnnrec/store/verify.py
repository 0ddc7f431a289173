"""Does a store still hold what its log says? Every version's rows are hashed again, every file's bytes read."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from gnnrec.errors import one_line
from gnnrec.files import sha256
from gnnrec.store.table import Store
from gnnrec.store.version import Version, content_hash

_FAILURES = (Exception, pl.exceptions.PanicException)


def verify(store: Store) -> Iterator[tuple[int, str | None]]:
    """Yield each version's number and what is wrong with it, None where all is well."""
    for version in store.versions:
        yield version.number, _wrong(store, version)


def _wrong(store: Store, version: Version) -> str | None:
    try:
        version.counts.check()
        rows = store.rows().filter(pl.col("version") == version.number).collect(engine="streaming")
    except AssertionError as error:
        return str(error)
    except _FAILURES as error:
        return f"its rows cannot be read ({one_line(str(error))[:160]}); restore the file from a copy"
    if content_hash(rows) != store.contents[version.number]:
        kept = f"{version.counts.kept:,}"
        return f"its {rows.height:,} rows are not the {kept} that were ingested; restore the folder from a copy"
    return _wrong_aside(store, version) or _wrong_side(store, version)


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
