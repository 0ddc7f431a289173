"""What an index of vectors must take in to go from one bundle to another: rows that moved, rows that are gone.

RUN/bundles/delta-000002-000003/{users,items}.parquet  {users,items}_gone.parquet  manifest.json
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl

from gnnrec.core.errors import GnnrecError
from gnnrec.core.files import read_folder, sha256, write_folder
from gnnrec.serving import bundle
from gnnrec.serving.bundle import Bundle, parquet

FORMAT = 1
MOVED = 1e-3
"""A row has moved where vector and bias together are away from where they were by more than this share of their norm."""
KINDS = ("user", "item")
NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class Delta:
    """The way from one bundle to another.

    Attributes:
        since, to: numbers of the two.
        rows: by kind, "user" or "item": the rows that moved or are new, with the columns of the bundle's tables.
        gone: by kind, ids that are in the first alone.
        total: by kind, rows of the second.
    """

    since: int
    to: int
    rows: Mapping[str, pl.DataFrame]
    gone: Mapping[str, list[str]]
    total: Mapping[str, int]

    def text(self) -> str:
        """Return it in a line."""
        parts = [
            f"{self.rows[k].height:,} of {self.total[k]:,} {k}s moved or are new, {len(self.gone[k]):,} gone"
            for k in KINDS
        ]
        return f"bundle {self.since} to {self.to}: " + "; ".join(parts)


def between(old: Bundle, new: Bundle) -> Delta:
    """Return the way from one bundle to another."""
    pairs = {k: (a, b) for k, a, b in zip(KINDS, old.vectors(), new.vectors(), strict=True)}
    rows = {k: b.filter(_moved(k, a, b)) for k, (a, b) in pairs.items()}
    gone = {k: a.join(b, on=k, how="anti")[k].to_list() for k, (a, b) in pairs.items()}
    return Delta(old.number, new.number, rows, gone, {k: b.height for k, (_, b) in pairs.items()})


def _moved(kind: str, old: pl.DataFrame, new: pl.DataFrame) -> pl.Series:
    """Return which rows of `new` are new or have moved."""
    if old["vector"].dtype != new["vector"].dtype:  # of another width
        return pl.Series(np.ones(new.height, bool))
    at = new.select(kind).join(old.select(kind, before="row"), on=kind, how="left", maintain_order="left")["before"]
    known = at.is_not_null().to_numpy()
    moved = ~known
    then, now = _rows(old)[at.drop_nulls().to_numpy()], _rows(new)[known]
    moved[known] = np.linalg.norm(now - then, axis=1) > MOVED * np.linalg.norm(then, axis=1)
    return pl.Series(moved)


def _rows(frame: pl.DataFrame) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.concatenate([frame["vector"].to_numpy(), frame["bias"].to_numpy()[:, None]], axis=1)


def applied(frames: Mapping[str, pl.DataFrame], delta: Delta) -> dict[str, pl.DataFrame]:
    """Return the tables of the first bundle, by kind, as the delta makes them: ids, vectors and biases of the second.

    Rows that moved less than the bound stay where they were. New ids follow the others.
    """
    made = {}
    for kind, frame in frames.items():
        fresh = delta.rows[kind]
        out = pl.Series([*delta.gone[kind], *fresh[kind]], dtype=pl.String)
        kept = frame.filter(~pl.col(kind).is_in(out.implode()))
        made[kind] = pl.concat([kept, fresh], how="vertical_relaxed") if kept.height else fresh
    return made


def write(folder: Path, delta: Delta) -> Path:
    """Write a delta below a folder of bundles, whose lock is held, and return where."""
    files = {f"{k}s.parquet": parquet(delta.rows[k]) for k in KINDS}
    files |= {f"{k}s_gone.parquet": parquet(pl.DataFrame({k: delta.gone[k]}, schema={k: pl.String()})) for k in KINDS}
    digests = {name: sha256(content) for name, content in files.items()}
    said = {
        "format": FORMAT,
        "since": delta.since,
        "to": delta.to,
        "moved": MOVED,
        "rows": {k: delta.rows[k].height for k in KINDS},
        "gone": {k: len(delta.gone[k]) for k in KINDS},
        "total": dict(delta.total),
        "files": digests,
    }
    place = folder / f"delta-{delta.since:06d}-{delta.to:06d}"
    write_folder(place, {**files, NAME: json.dumps(said, indent=1, sort_keys=True).encode()}, digests)
    return place


def read(path: Path) -> Delta:
    """Return a delta that `write` wrote.

    Raises:
        GnnrecError: it is damaged, or of another version of gnnrec.
    """
    try:
        contents = read_folder(path)
        said = json.loads(contents[NAME])
        if said["format"] != FORMAT:
            raise GnnrecError(
                f"{path} was written by another version of gnnrec; `gnnrec export RUN --since V` makes it"
            )
        frames = {k: pl.read_parquet(BytesIO(contents[f"{k}s.parquet"])) for k in KINDS}
        gone = {k: pl.read_parquet(BytesIO(contents[f"{k}s_gone.parquet"]))[k].to_list() for k in KINDS}
    except (OSError, ValueError, KeyError, pl.exceptions.PolarsError) as error:
        raise GnnrecError(f"{path} is damaged ({error}); `gnnrec export RUN --since V` makes it anew") from None
    return Delta(said["since"], said["to"], frames, gone, said["total"])


def since(folder: Path, number: int, new: Bundle) -> Delta:
    """Return the way to a bundle from an older one below a folder.

    Raises:
        GnnrecError: that is gone.
    """
    place = bundle.place(folder, number)
    if not place.is_dir():
        there = ", ".join(p.name for p in bundle.bundles(folder))
        raise GnnrecError(f"--since {number}: that bundle is gone or never was; there are {there}")
    return between(bundle.read(place), new)
