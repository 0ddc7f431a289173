"""Lists of users, and how they leave: as text, or as a file by its ending."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import polars as pl

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.core.files import write_atomic

KINDS = (".csv", ".tsv", ".parquet")


@dataclass(frozen=True, slots=True)
class UserLists:
    """Lists of users, one under the other.

    Attributes:
        rows: user, rank, item, title ("" where there is none), `model_score` or `blend_score`, known.
        notes: which users the model does not know.
    """

    rows: pl.DataFrame
    notes: tuple[str, ...] = ()


def as_text(lists: UserLists) -> str:
    """Return the lists as lines of columns between tabs, under a line with their names."""
    *_, name, _ = lists.rows.columns
    lines = ["\t".join(("user", "rank", "item", "title", name))]
    for user, rank, item, title, score, _ in lists.rows.iter_rows():
        lines.append("\t".join((one_line(user), str(rank), one_line(item), one_line(title), f"{score:.4f}")))
    return "\n".join(lines)


def check_target(path: Path | None, option: str = "--output") -> None:
    """Refuse a file that could not be written, before a model is loaded for it."""
    if path is None:
        return
    if path.suffix.lower() not in KINDS:
        raise GnnrecError(f"{option} {path} must end in {', '.join(KINDS)}")
    if path.is_dir():
        raise GnnrecError(f"{option} {path} is a folder; name a file in it")
    if not path.absolute().parent.is_dir():
        raise GnnrecError(f"{option} {path}: there is no folder {path.absolute().parent}; make it, or choose another")


def written(lists: UserLists, path: Path, option: str = "--output") -> str:
    """Write the lists to a file by its ending, whole or not at all, and return what to say."""
    buffer, kind = BytesIO(), path.suffix.lower()
    if kind == ".parquet":
        lists.rows.write_parquet(buffer)
    else:
        lists.rows.write_csv(buffer, separator="\t" if kind == ".tsv" else ",")
    try:
        write_atomic(path, buffer.getvalue())
    except OSError as error:
        raise GnnrecError(f"{option} {path} cannot be written: {error.strerror}") from error
    return f"{lists.rows.height:,} rows for {lists.rows['user'].n_unique():,} users: {path}"
