"""The right to be forgotten: a user's rows leave every version, the rows set aside, and the files that held them.

The commit that takes the rows out holds a record of what else is to be done; a certificate says that it was. A process killed
between the two leaves an erasure without certificate, which the next one completes first. What a trained model remembers is not
touched here; a run on an older version must be trained again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from gnnrec import __version__
from gnnrec.core.errors import GnnrecError
from gnnrec.core.files import write_atomic, write_hashed
from gnnrec.quality.statistics import Statistics
from gnnrec.store import quality_report
from gnnrec.store.export import leftovers
from gnnrec.store.table import ASIDE, Store
from gnnrec.store.version import content_hash

ERASED = "(erased)"


@dataclass(frozen=True, slots=True)
class Erasure:
    """What an erasure takes away, or would.

    Attributes:
        rows: events per version.
        aside: rows set aside that are the user's, per file of them.
        files: data files that are written anew.
        bytes: of those.
        named: names of ingested files that hold the id; the log keeps them.
    """

    rows: Mapping[int, int]
    aside: Mapping[str, int]
    files: int
    bytes: int
    named: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether the store does not know the user."""
        return not self.rows and not self.aside


def plan(store: Store, user: str) -> Erasure:
    """Return what an erasure of this user would take away."""
    mine = store.rows().filter(pl.col("user") == user).group_by("version").len().sort("version").collect()
    rows = {int(version): int(n) for version, n in mine.iter_rows()}
    whose = _Whose(user)
    referred = {found[0] for v in store.versions if (found := store.aside_of(v)) is not None}
    asides = [path for path in _asides(store) if path in referred]  # others are deleted in any case
    aside = {path.name: n for path in asides if (n := sum(whose.is_theirs(row) for row in _lines(path)))}
    files = _holding(store, list(rows))
    named = sorted({f.name for v in store.versions for f in v.files if whose.word.search(f.name)})
    return Erasure(rows, aside, len(files), sum(f.stat().st_size for f in files), tuple(named))


def known(store: Store, user: str) -> Erasure:
    """Return the plan, where there is something to do.

    Raises:
        GnnrecError: the store does not know the user, and no erasure was cut off.
    """
    planned = plan(store, user)
    if planned.empty and not _pending(store):
        raise GnnrecError(f"{store.path} holds no row of this user; ids are exact, check its spelling")
    return planned


def erase(store: Store, user: str) -> Path:
    """Take the user's rows out of the store for good and return the certificate.

    An erasure that was cut off is completed first.

    Raises:
        GnnrecError: the store does not know the user, or the id is found in it afterwards.
    """
    with store.writing():
        planned = known(store, user)
        if not planned.empty:
            store.replace(*_replacement(store, user, planned))
        pending = _pending(store)
        for number in pending:
            _complete(store, store.erasures[number])
        left = found_in(store, user)
        if left:
            raise GnnrecError(f"the id is still found in {', '.join(p.name for p in left[:5])}; run the erasure again")
        return [_certificate(store, number) for number in pending][-1]


def found_in(store: Store, user: str) -> list[Path]:
    """Return the files below the store that still hold a row of the user, whether a version refers to them or not."""
    whose = _Whose(user)
    data = [p for p in sorted(store.path.glob("*.parquet*")) if _holds(p, user)]
    aside = [p for p in _asides(store) if any(map(whose.is_theirs, _lines(p)))]
    partial = [p for p in leftovers(store) if p not in aside and whose.word.search(p.read_text("utf-8", "replace"))]
    return [*data, *aside, *partial]


class _Whose:
    """Tells a user's rows among those set aside.

    Args:
        user: external id.
    """

    def __init__(self, user: str) -> None:
        self.user = user
        # In a line without a user cell the id counts where it stands by itself, as JSON or CSV may have written it.
        written = {user, json.dumps(user)[1:-1], json.dumps(user, ensure_ascii=False)[1:-1], user.replace('"', '""')}
        self.word = re.compile("|".join(rf"(?<![\w.-]){re.escape(s)}(?![\w-]|\.\d)" for s in sorted(written)))

    def is_theirs(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row set aside is the user's."""
        if row.get("user") is not None:
            return bool(row["user"] == self.user)
        return bool(self.word.search(row["raw"]))


def _asides(store: Store) -> list[Path]:
    return sorted(store.aside.glob(f"*{ASIDE}"))


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            yield json.loads(line)


def _holds(path: Path, user: str) -> bool:
    try:
        found = pl.scan_parquet(path, glob=False).filter(pl.col("user") == user).head(1).collect()
    except pl.exceptions.PolarsError:  # cut off while it was written: nobody can read it, and `vacuum` deletes it
        return user.encode() in path.read_bytes()
    return bool(found.height)


def _holding(store: Store, versions: list[int]) -> list[Path]:
    return [
        f
        for f in store.files()
        if pl.scan_parquet(f, glob=False).filter(pl.col("version").is_in(versions)).head(1).collect().height
    ]


def _replacement(store: Store, user: str, planned: Erasure) -> tuple[pl.DataFrame, list[int], dict[str, object]]:
    """Return the rows that stay of the versions concerned, these versions, and the record of the erasure."""
    versions = list(planned.rows)
    before = {v: store.contents[v] for v in versions}
    kept = store.rows().filter(pl.col("version").is_in(versions) & (pl.col("user") != user)).collect(engine="streaming")
    after = {v: content_hash(kept.filter(pl.col("version") == v)) for v in versions}
    asides = _without_theirs(store, user, planned)
    concerned = [v.number for v in store.versions if (a := store.aside_of(v)) is not None and a[1] in asides]
    done = asdict(planned) | {"named": len(planned.named)}  # how many: their names hold the id
    record = {"before": before, "after": after, "asides": asides, "reports": sorted({*versions, *concerned})}
    return kept, versions, record | {"erasure": done}


def _without_theirs(store: Store, user: str, planned: Erasure) -> dict[str, str]:
    """Write the rows set aside anew without user and text of those that are theirs; return old and new name."""
    whose, renamed = _Whose(user), {}
    for name in planned.aside:
        rows = ({**r, "user": None, "raw": ERASED} if whose.is_theirs(r) else r for r in _lines(store.aside / name))
        lines = ((json.dumps(row, ensure_ascii=False) + "\n").encode() for row in rows)
        renamed[name.removesuffix(ASIDE)] = str(write_hashed(store.aside, ASIDE, lines))
    return renamed


def _pending(store: Store) -> list[int]:
    """Return the commits of erasures that have no certificate."""
    return [number for number in store.erasures if not _certificate_of(store, number).exists()]


def _complete(store: Store, record: Mapping[str, Any]) -> None:
    """Do what a commit of an erasure leaves to be done; doing it twice does no harm."""
    for number in record["reports"]:
        version = store.version(number)
        if str(number) in record["after"]:
            rows = store.rows().filter(pl.col("version") == number).collect(engine="streaming")
            quality_report.keep(store, version, Statistics.of(rows))
        quality_report.drop_examples(store, version)
    for path in leftovers(store):
        path.unlink(missing_ok=True)
    store.vacuum()


def _certificate_of(store: Store, number: int) -> Path:
    return store.path / "_gnnrec" / "certificates" / f"{number:06}.json"


def _certificate(store: Store, number: int) -> Path:
    """Write what was done; it names no user."""
    record = store.erasures[number]
    content = {
        "erasure": record["erasure"],
        "content before": record["before"],
        "content after": record["after"],
        "method": "rows of the user left out, files written anew, old files deleted, every file below the store scanned",
        "commit": number,
        "code": __version__,
        "not covered": "models trained before, copies of the raw files, exports, names of ingested files",
    }
    path = _certificate_of(store, number)
    write_atomic(path, json.dumps(content, indent=1) + "\n")
    return path
