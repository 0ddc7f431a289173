"""`RecBoleFiles`: a data set in RecBole's atomic files, as they are or pre-split; the option `data=recbole`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gnnrec.core.errors import GnnrecError, nearest, one_line
from gnnrec.data.clean.ids import are_whole, id_texts
from gnnrec.data.dataset import Dataset
from gnnrec.data.datasets import File
from gnnrec.data.part import FILE
from gnnrec.data.read.columns import resolve
from gnnrec.data.side import HASHED
from gnnrec.data.words import hashed as words
from gnnrec.interop.extract import PARTS
from gnnrec.interop.recbole import PADDING

KINDS = ("token", "token_seq", "float", "float_seq")
PART, INCREMENT = "part", "increment"
"""Columns that pre-split files give a stream: which of train, valid, test; 0, and 1 for test, which comes behind."""
_TITLES = ("title", "movie_title", "name", "item_name")


class RecBoleFiles:
    """A data set in RecBole's atomic files: NAME.inter or NAME.train.inter, NAME.valid.inter, NAME.test.inter, with NAME.user
    and NAME.item where they are there.

    Ids are the tokens of the files, exact. RecBole's own numbers of them, in which 0 is the padding, are in no such file; a
    row whose user or item is the token [PAD] is set aside.

    Args:
        path: their folder, or the .inter file.
        dataset: NAME; None: the only one in the folder.
        parts: what the pre-split files are called, in the order train, valid, test; None: so, where there is no NAME.inter.
        columns: fields of user, item, rating, time, where they have no common names; false: there is none.
        delimiter: between fields.
        time_unit, time_range, scale, feedback, positive_from, repeats, on_bad, filters: as of `gnnrec.data.datasets.File`.
        hashed: fields of NAME.item whose words become numbers, for encoder=features.
        width: how many numbers.
        name: what to call the data set; None: NAME.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        dataset: str | None = None,
        parts: Sequence[str] | None = None,
        columns: Mapping[str, object] | None = None,
        delimiter: str = "tab",
        time_unit: str = "auto",
        time_range: Sequence[object] | None = None,
        scale: Sequence[float] | None = None,
        feedback: str | None = None,
        positive_from: float | None = None,
        repeats: str = "first",
        on_bad: str = "set_aside",
        filters: Sequence[Mapping[str, object]] | None = None,
        hashed: Sequence[str] = (),
        width: int = 64,
        name: str | None = None,
    ) -> None:
        if parts is not None and len(parts) != len(PARTS):
            raise GnnrecError(
                f"data.parts={list(parts)} must name three parts: those of train, valid and test, in this order"
            )
        self.path, self.dataset, self.name = path, dataset, name
        self.parts, self.columns = None if parts is None else tuple(parts), dict(columns or {})
        self.delimiter, self.hashed, self.width, self.filters = delimiter, tuple(hashed), width, list(filters or ())
        self._options = {
            "time_unit": time_unit,
            "time_range": time_range,
            "scale": scale,
            "feedback": feedback,
            "positive_from": positive_from,
            "repeats": repeats,
            "on_bad": on_bad,
            "delimiter": delimiter,
        }

    def load(self, keep: Sequence[str] = ()) -> Dataset:
        """Read and clean the events and what is known of their users and items.

        Args:
            keep: fields to keep beside them; of pre-split files `part` and `increment` too.
        """
        folder, name, files = self._files()
        split = {file.name: part for file, part in zip(files, PARTS, strict=False)} if len(files) > 1 else {}
        own = [k for k in keep if split and k in (PART, INCREMENT)]
        asked = [k for k in keep if k not in own] + ([FILE] if own else [])
        fields = _fields(files[0], self._mark)
        chosen, _ = resolve(files[0].name, list(fields), False, {}, self.columns)
        log = self._log(self.name or name, files, chosen).load(keep=asked)
        if own:
            part = np.array([split[f] for f in log.extra[FILE]], object)
            made = {PART: part, INCREMENT: np.where(part == "test", "1", "0").astype(object)}
            log = replace(log, extra={k: made[k] if k in own else log.extra[k] for k in keep})
        side, users = (self._side(folder / f"{name}.{s}", chosen[s], s) for s in ("item", "user"))
        titles = {} if side is None else _titles(side)
        notes = (*(n for n in log.notes if not n.endswith("(inferred)")), *_lists(files[0].name, fields))
        return replace(log, side=self._numbers(side), user_side=users, titles=titles, notes=notes)

    @property
    def _mark(self) -> str:
        return {"tab": "\t", "space": " "}.get(self.delimiter, self.delimiter)

    def _files(self) -> tuple[Path, str, list[Path]]:
        """Return folder, NAME and the files of the events."""
        if not self.path:
            raise GnnrecError("data=recbole needs the folder of NAME.inter: data.path=FOLDER")
        path = Path(self.path).expanduser()
        if path.is_file():
            return path.parent, path.name.removesuffix(".inter"), [path]
        if not path.is_dir():
            raise GnnrecError(f"{path} does not exist; data.path names the folder of NAME.inter")
        parts = self.parts or PARTS
        endings = [f".{part}.inter" for part in parts]
        # A name may have dots itself: what ends as a part does is a part.
        plain = [p.name.removesuffix(".inter") for p in path.glob("*.inter") if not p.name.endswith(tuple(endings))]
        cut = [p.name.removesuffix(endings[0]) for p in path.glob(f"*{endings[0]}")]
        found = sorted(set(cut if self.parts else plain or cut))
        if self.dataset is None and len(found) > 1:
            raise GnnrecError(f"{path} holds several data sets: {', '.join(found[:10])}; name one by data.dataset")
        if not found or self.dataset not in (None, *found):
            wanted = f"{self.dataset or 'NAME'}{endings[0] if self.parts else '.inter'}"
            raise GnnrecError(f"{path} holds no {wanted}{nearest(str(self.dataset), found) if found else ''}")
        name = self.dataset or found[0]
        files = [path / f"{name}.inter"] if name in plain and not self.parts else [path / f"{name}{e}" for e in endings]
        if missing := [f.name for f in files if not f.is_file()]:
            raise GnnrecError(
                f"{path} lacks {', '.join(missing)}; data.parts names train, valid and test as they are called"
            )
        return path, name, files

    def _log(self, name: str, files: Sequence[Path], chosen: Mapping[str, str | None]) -> File:
        pattern = f"^{re.escape(PADDING)}$"
        padding = [{"column": chosen[role], "not_matches": pattern, "reason": "padding"} for role in ("user", "item")]
        columns = {"title": False, **self.columns}
        options: dict[str, Any] = {**self._options, "filters": [*padding, *self.filters]}
        return File(name, [str(f) for f in files], columns=columns, header=True, **options)

    def _side(self, path: Path, key: str | None, role: str) -> pl.DataFrame | None:
        """Return what is known of items or users, a row each; None: there is no such file."""
        if not path.is_file():
            return None
        fields = _fields(path, self._mark)
        if key not in fields:
            raise GnnrecError(
                f"{path.name} has no field '{key}' (found: {one_line(', '.join(fields))}), which its ids are in"
            )
        frame = _texts(path, self._mark, list(fields))
        ids = id_texts(frame[key], bool(are_whole(frame[key]))).alias(role)
        own = [n for n in fields if n != key]
        if role in own:
            raise GnnrecError(f"{path.name}: the field '{role}' is not its id; rename it, gnnrec calls the id so")
        typed = pl.DataFrame([ids, *(_typed(frame[n], fields[n], path.name) for n in own)])
        typed = typed.filter(~pl.col(role).is_in(["", PADDING]))
        return typed.unique(role, keep="first", maintain_order=True)

    def _numbers(self, side: pl.DataFrame | None) -> pl.DataFrame | None:
        """Return the side information with the words of some fields as numbers."""
        if not self.hashed:
            return side
        if side is None or (odd := [n for n in self.hashed if n not in side.columns]):
            shown = self.hashed[0] if side is None else odd[0]
            raise GnnrecError(f"data.hashed: NAME.item has no field '{one_line(shown)}'")
        numbers = words(
            side.select(_flat(n, k) for n, k in side.schema.items() if n in self.hashed), self.hashed, self.width
        )
        table = pl.DataFrame({HASHED: numbers, "known": ~np.isnan(numbers[:, 0])})
        return side.with_columns(table.select(pl.when("known").then(HASHED)).to_series())


def _flat(name: str, kind: pl.DataType) -> pl.Expr:
    return pl.col(name).list.join(" ") if isinstance(kind, pl.List) else pl.col(name).cast(pl.String)


def _fields(path: Path, mark: str) -> dict[str, str]:
    """Return the fields of an atomic file and their types, in its order.

    Raises:
        GnnrecError: it has no header of NAME:TYPE.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            head = file.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise GnnrecError(f"{path} cannot be read ({one_line(str(error))[:120]})") from None
    pairs = [field.rpartition(":") for field in head.split(mark)]
    odd = next((f"{name}{colon}{kind}" for name, colon, kind in pairs if not name or kind not in KINDS), None)
    if odd is not None:
        raise GnnrecError(
            f"{path.name} is no atomic file of RecBole: its first line has '{one_line(odd)[:60]}' where NAME:TYPE belongs, "
            f"with TYPE one of {', '.join(KINDS)}; other files are read by data=file"
        )
    return {name: kind for name, _, kind in pairs}


def _texts(path: Path, mark: str, names: list[str]) -> pl.DataFrame:
    try:
        return pl.read_csv(path, separator=mark, skip_rows=1, has_header=False, new_columns=names, infer_schema=False)
    except pl.exceptions.NoDataError:
        return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise GnnrecError(f"{path} cannot be read ({one_line(str(error))[:120]})") from None


def _typed(column: pl.Series, kind: str, file: str) -> pl.Series:
    """Return the cells of a field as what its type says; an empty cell is null, or no word."""
    if kind == "token":
        return column
    parts = column.str.strip_chars().str.split(" ").list.eval(pl.element().filter(pl.element() != ""))
    if kind == "token_seq":
        return parts.fill_null([])
    try:
        if kind == "float":
            return column.cast(pl.Float64)
        numbers = parts.cast(pl.List(pl.Float32))
    except pl.exceptions.PolarsError as error:
        shown = one_line(str(error))[:100]
        raise GnnrecError(f"{file}: the field '{column.name}' is {kind} and holds no numbers ({shown})") from None
    widths = numbers.list.len().drop_nulls().unique().to_list()
    # Vectors of one length are numbers that a model can use; others are kept as they are.
    return numbers.cast(pl.Array(pl.Float32, widths[0])) if len(widths) == 1 and widths[0] else numbers


def _titles(side: pl.DataFrame) -> dict[str, str]:
    name = next((n for n in _TITLES if n in side.columns), None)
    if name is None:
        return {}
    table = side.select("item", _flat(name, side.schema[name]).alias("title")).drop_nulls()
    return dict(table.filter(pl.col("title") != "").iter_rows())


def _lists(file: str, fields: Mapping[str, str]) -> tuple[str, ...]:
    """Return a note where events have lists: of sequences cut in advance, whose first items are in no row of their own."""
    names = [n for n, kind in fields.items() if kind.endswith("_seq")]
    return (
        (f"{file}: the lists in {', '.join(names)} are not read; events are users and single items",) if names else ()
    )
