"""A store's versions as the commits of a Delta table without gnnrec's own columns, which becomes an equal store again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.store import delta_log
from gnnrec.store.delta_commits import commits
from gnnrec.store.table import Store
from gnnrec.store.version import Version, content_hash

KEY = "gnnrec_version"
"""Under which a commit says which version it is: number, and what its rows hash to."""
COLUMNS = ("user", "item", "value", "time")
_SETTINGS: dict[str, str | None] = {
    "delta.logRetentionDuration": "interval 36500 days",  # the log is the history
    "delta.enableExpiredLogCleanup": "false",
    "delta.dataSkippingStatsColumns": "time",  # no ids in the log
}


@dataclass(frozen=True, slots=True)
class Mirror:
    """A Delta table that has a store's versions.

    Attributes:
        path: of the table.
        written: versions that this call has written.
        held: versions that it had already.
        empty: versions without rows, which have no commit.
        options: what `gnnrec data ingest STORE PATH` needs beside, so that versions come out equal.
    """

    path: Path
    written: tuple[int, ...]
    held: tuple[int, ...]
    empty: tuple[int, ...]
    options: tuple[str, ...]


def write_delta(store: Store, path: Path) -> Mirror:
    """Write every version that the table does not have yet as a commit of it, oldest first, and check its rows by their hash.

    Columns: user, item (texts), value, and time where the store has times. Titles, side information, rows set aside and
    reports stay in the store.

    Args:
        store: whose versions.
        path: of the table; made where there is none.

    Raises:
        GnnrecError: the table is another one's, its versions are not the store's, or what was written reads otherwise.
    """
    if (found := delta_log.unfit(path)) is not None:
        raise GnnrecError(f"a Delta table cannot lie at {path}: {found!r} in the path; choose another folder")
    if path.resolve() == store.path.resolve():
        raise GnnrecError(f"{path} is the store itself, a Delta table already; choose another folder")
    if not (versions := store.versions):
        raise GnnrecError(f"{store.path} has no version of gnnrec's; it is a Delta table as it is")
    held = _held(path) if (path / "_delta_log").is_dir() else {}
    _check_same(path, held, store)
    timed = any(v.last is not None for v in versions)
    written: list[int] = []
    empty: list[int] = []
    for version in (v for v in versions if v.number not in held):
        (written if _write(store, version, path, timed) else empty).append(version.number)
    _check_written(path, store, written)
    return Mirror(path, tuple(written), tuple(held), tuple(empty), _options(store, versions))


def _held(path: Path) -> dict[int, str]:
    """Return the versions that a table has, and what their rows hash to.

    Raises:
        GnnrecError: somebody else wrote to it.
    """
    found: dict[int, str] = {}
    for number in delta_log.numbers(path):
        said = delta_log.about(path, number).get(KEY)
        if said is None:
            raise GnnrecError(f"{path}: commit {number} is not of `gnnrec data export`; choose another folder")
        known = json.loads(said)
        found[int(known["version"])] = str(known["content"])
    return found


def _check_same(path: Path, held: dict[int, str], store: Store) -> None:
    """Refuse a table that has other versions, or one that was erased from since."""
    for number, content in held.items():
        if store.contents.get(number) != content:
            raise GnnrecError(
                f"{path} has a version {number} that the store has not, or no more (erased from, or another store); choose "
                "another folder, or delete this one"
            )
    behind = [
        v.number for v in store.versions if v.number not in held and held and v.number < max(held) and v.counts.kept
    ]
    if behind:
        raise GnnrecError(f"{path} lacks version {behind[0]} and has later ones; choose another folder")


def _write(store: Store, version: Version, path: Path, timed: bool) -> bool:
    """Append the rows of a version as one commit; return whether there are any."""
    columns = COLUMNS if timed else COLUMNS[:-1]
    rows = store.rows().filter(pl.col("version") == version.number).sort("place").select(columns)
    frame = rows.collect(engine="streaming")
    if not frame.height:
        return False
    said = json.dumps({"version": version.number, "content": store.contents[version.number]})
    try:
        write_deltalake(
            path.resolve().as_uri(),
            frame,
            mode="append",
            configuration=None if (path / "_delta_log").is_dir() else _SETTINGS,
            commit_properties=CommitProperties({KEY: said}),
            target_file_size=1 << 40,  # one file a commit: its rows keep their order
        )
    except (DeltaError, OSError) as error:
        raise GnnrecError(
            f"{path}: version {version.number} was not written ({one_line(str(error))[:160]}); the same command goes on"
        ) from None
    return True


def _check_written(path: Path, store: Store, numbers: Sequence[int]) -> None:
    """Read what was written as an ingest would, and compare its hashes with the store's.

    Raises:
        GnnrecError: they differ.
    """
    if not numbers:
        return
    table = DeltaTable(path.resolve().as_uri())
    said = {f"{table.metadata().id}:{n}": json.loads(delta_log.about(path, n)[KEY]) for n in delta_log.numbers(path)}
    for group in commits(path):
        known = said[str(group.origin)]
        if known["version"] not in numbers:
            continue
        rows = pl.read_parquet(list(group.files), glob=False, hive_partitioning=False)
        if "time" not in rows.columns:
            rows = rows.with_columns(time=pl.lit(None, pl.Datetime("us", "UTC")))
        if content_hash(rows) != store.contents[known["version"]]:
            raise GnnrecError(
                f"{path}: version {known['version']} does not read as it was written; delete the folder, and look at the disk"
            )


def _options(store: Store, versions: Sequence[Version]) -> tuple[str, ...]:
    """Return what an ingest of the table must be told, beyond what it takes by itself."""
    newest = versions[-1]
    found = []
    if any(v.cleaning.get("repeats") == "all" for v in versions):
        found.append("data.repeats=all")
    found.append(f"data.feedback={newest.feedback}")
    if newest.cleaning.get("positive_from") is not None:
        found.append(f"data.positive_from={newest.cleaning['positive_from']:g}")
    first = min((v.first for v in versions if v.first is not None), default=None)
    if first is not None and newest.cleaning.get("time_range") is not None:
        low, high = (str(x) if x is not None else "null" for x in newest.cleaning["time_range"])
        found.append(f"data.time_range=[{low},{high}]")
    if any(v.counts.kept and v.counts.late == v.counts.kept for v in versions):
        found.append("--out-of-order accept")
    if any((store.quality(v) or {}).get("verdict") == "BLOCK" for v in versions):
        found.append("--blocked accept")
    return tuple(found)
