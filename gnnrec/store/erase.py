"""The right to be forgotten: a user's rows leave every version, the rows set aside, and the files that held them.

What a trained model remembers is not touched here; a run on an older version must be trained again.
"""

from __future__ import annotations

import html
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from gnnrec import __version__
from gnnrec.errors import GnnrecError
from gnnrec.files import sha256, write_atomic
from gnnrec.quality.statistics import Statistics
from gnnrec.store.review import keep
from gnnrec.store.table import Store
from gnnrec.store.version import content_hash

ERASED = "(erased)"


@dataclass(frozen=True, slots=True)
class Erasure:
    """What an erasure takes away, or would.

    Attributes:
        rows: events per version.
        aside: rows set aside that name the user, per file of them.
        files: data files that are written anew.
        bytes: of those.
    """

    rows: Mapping[int, int]
    aside: Mapping[str, int]
    files: int
    bytes: int

    @property
    def empty(self) -> bool:
        """Whether the store does not know the user."""
        return not self.rows and not self.aside


def plan(store: Store, user: str) -> Erasure:
    """Return what an erasure of this user would take away."""
    mine = store.rows().filter(pl.col("user") == user).group_by("version").len().sort("version").collect()
    rows = {int(version): int(n) for version, n in mine.iter_rows()}
    word, aside = _word(user), {}
    for path in sorted(store.aside.glob("*.jsonl")):
        found = sum(bool(word.search(json.loads(line)["raw"])) for line in path.read_text().splitlines())
        if found:
            aside[path.name] = found
    files = _holding(store, list(rows))
    return Erasure(rows, aside, len(files), sum(f.stat().st_size for f in files))


def known(store: Store, user: str) -> Erasure:
    """Return the plan, where there is something to do.

    Raises:
        GnnrecError: the store does not know the user.
    """
    planned = plan(store, user)
    if planned.empty:
        raise GnnrecError(f"{store.path} holds no row of this user; ids are exact, check its spelling")
    return planned


def erase(store: Store, user: str) -> Path:
    """Take the user's rows out of the store for good and return the certificate.

    Raises:
        GnnrecError: the store does not know the user, or the id is found in it afterwards.
    """
    with store.writing():
        planned = known(store, user)
        before = {v: store.contents[v] for v in planned.rows}
        asides = _erase_aside(store, user, planned)
        kept = store.rows().filter(pl.col("version").is_in(list(planned.rows)) & (pl.col("user") != user)).collect()
        after = {v: content_hash(kept.filter(pl.col("version") == v)) for v in planned.rows}
        record = {"contents": after, "rows": dict(planned.rows), "asides": asides}
        store.replace(kept, list(planned.rows), record)
        for version in (v for v in store.versions if v.number in planned.rows):
            keep(store, version, Statistics.of(kept.filter(pl.col("version") == version.number)))
        for name in asides:
            (store.aside / f"{name}.jsonl").unlink(missing_ok=True)
        _erase_examples(store, user)
        left = found_in(store, user)
        if left:
            raise GnnrecError(f"the id is still found in {', '.join(p.name for p in left[:5])}; run the erasure again")
        return _certificate(store, planned, before, after)


def found_in(store: Store, user: str) -> list[Path]:
    """Return the files below the store that still name the user: Parquet unpacked, everything else byte by byte."""
    word, found = _word(user), []
    for path in sorted(p for p in store.path.rglob("*") if p.is_file()):
        if path.suffix == ".parquet":
            hit = _in_parquet(path, user)
        else:
            hit = bool(word.search(path.read_bytes().decode("utf-8", "replace")))
        if hit and path.parent.name != "certificates":
            found.append(path)
    return found


def _in_parquet(path: Path, user: str) -> bool:
    frame = pl.read_parquet(path)
    texts = [c for c in frame.columns if frame[c].dtype == pl.String]
    return any(bool((frame[c] == user).any()) for c in texts if c == "user")


def _word(user: str) -> re.Pattern[str]:
    """Match the id where it stands by itself; JSON and HTML may have escaped what is in it."""
    spellings = {user, json.dumps(user)[1:-1], json.dumps(user, ensure_ascii=False)[1:-1], html.escape(user)}
    return re.compile("|".join(rf"(?<![\w.-]){re.escape(s)}(?![\w-]|\.\d)" for s in sorted(spellings)))


def _holding(store: Store, versions: list[int]) -> list[Path]:
    return [
        f
        for f in store.files()
        if pl.scan_parquet(f).filter(pl.col("version").is_in(versions)).head(1).collect().height
    ]


def _erase_aside(store: Store, user: str, planned: Erasure) -> dict[str, str]:
    """Write the rows set aside anew without the text of those that name the user; return old and new name."""
    renamed, word = {}, _word(user)
    for name in planned.aside:
        lines = [json.loads(line) for line in (store.aside / name).read_text().splitlines()]
        text = "".join(
            json.dumps({**row, "raw": ERASED} if word.search(row["raw"]) else row, ensure_ascii=False) + "\n"
            for row in lines
        )
        write_atomic(store.aside / f"{sha256(text.encode())}.jsonl", text)
        renamed[name.removesuffix(".jsonl")] = sha256(text.encode())
    return renamed


def _erase_examples(store: Store, user: str) -> None:
    """Blank the id in quality reports, which show a few of the rows set aside."""
    word = _word(user)
    for path in sorted(p for p in store.reports.glob("*") if p.suffix in {".json", ".html"}):
        text = path.read_text()
        if word.search(text):
            write_atomic(path, word.sub(ERASED, text))


def _certificate(store: Store, planned: Erasure, before: dict[int, str], after: dict[int, str]) -> Path:
    """Write what was done; it names no user."""
    content = {
        "erasure": asdict(planned),
        "content before": before,
        "content after": after,
        "method": "rows of the user left out, files written anew, old files deleted, every file below the store scanned",
        "commit": store.head,
        "code": __version__,
        "not covered": "models trained before, copies of the raw files, exports",
    }
    path = store.path / "_gnnrec" / "certificates" / f"{store.head}-{secrets.token_hex(4)}.json"
    write_atomic(path, json.dumps(content, indent=1) + "\n")
    return path
