"""`File`: a log in files, from where they lie to a clean `Dataset`. Every option is a key of ``conf/data``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gnnrec.data import columns as column_names
from gnnrec.data.clean import FILE, TIME_TEXT, Log, Rules, clean, make_rules
from gnnrec.data.dataset import Dataset
from gnnrec.data.filters import make_filters
from gnnrec.data.formats import DEFAULT_MAX_BYTES, Source
from gnnrec.data.locate import Places, data_root, find_files
from gnnrec.data.read import How, open_table
from gnnrec.data.rows import ROW, Table, Tally, raw
from gnnrec.data.times import parse_times
from gnnrec.data.titles import read_titles
from gnnrec.errors import GnnrecError, nearest, one_line

_UNTIMED = (
    "no time column: the order of the file is taken as the order of events; "
    "only stream=by_column makes increments that mean something"
)


class File:
    """A log in one or several files.

    Args:
        name: what to call the data set.
        path: file or list of files; None: look below `root`, in a wheel, at a URL.
        root: data folder; None: $GNNREC_DATA, else a cache folder.
        files: names below the root.
        wheel: where an installed package keeps the files; see `Places`.
        url: where to fetch the file, with checksum; see `Places`.
        download: whether `url` may be used.
        columns: column of user, item, rating, time, title. None: found among common names; false: there is none.
        delimiter: of text files; None: inferred.
        header: whether the first line names columns; None: inferred.
        encoding: of text files.
        multiline: whether quoted fields of text files may hold line ends.
        time_unit: s, ms, us, ns, iso, or auto.
        time_format: strptime format, for example ``%d/%m/%Y %H:%M``.
        time_range: earliest and latest possible time (the latter excluded); None: 1990 and tomorrow.
        scale: lowest and highest rating.
        feedback: explicit or implicit; None: implicit without ratings or with constant ones.
        positive_from: smallest rating that counts as relevant; None: every event does.
        repeats: which event of a (user, item) pair counts: first, all, last.
        on_bad: what to do with impossible rows: set_aside or refuse.
        filters: rows to set aside by their cells; see `Filter`.
        upper_items: write item ids in capitals, to join codes that differ in case only.
        normalise_ids: strip ids and bring them to Unicode NFC; by default ids are exact.
        items: file with item ids and titles.
        max_bytes: cap on the unpacked size of a file.
    """

    def __init__(
        self,
        name: str = "file",
        path: str | Sequence[str] | None = None,
        root: str | None = None,
        files: Sequence[str] = (),
        wheel: Mapping[str, object] | None = None,
        url: Mapping[str, str] | None = None,
        download: bool = False,
        columns: Mapping[str, object] | None = None,
        delimiter: str | None = None,
        header: bool | None = None,
        encoding: str = "utf-8",
        multiline: bool = False,
        time_unit: str = "auto",
        time_format: str | None = None,
        time_range: Sequence[object] | None = None,
        scale: Sequence[float] | None = None,
        feedback: str | None = None,
        positive_from: float | None = None,
        repeats: str = "first",
        on_bad: str = "set_aside",
        filters: Sequence[Mapping[str, object]] | None = None,
        upper_items: bool = False,
        normalise_ids: bool = False,
        items: str | None = None,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> None:
        if feedback not in (None, "explicit", "implicit"):
            raise GnnrecError(f"data.feedback={feedback} is not a choice{nearest(feedback, ['explicit', 'implicit'])}")
        self.name = name
        self.places = Places(path, root, tuple(files or ()), wheel, url, download)
        self.declared = column_names.check_declared(columns or {})
        known = frozenset(str(c) for c in self.declared.values() if isinstance(c, str))
        self.how = How(delimiter, header, encoding, int(max_bytes), known, multiline)
        self.rules = make_rules(make_filters(filters), scale, time_range, repeats, on_bad, normalise_ids)
        self.time_unit, self.time_format = time_unit, time_format
        self.feedback, self.positive_from = feedback, positive_from
        self.upper_items, self.items = upper_items, items

    def load(self, keep: Sequence[str] = ()) -> Dataset:
        """Read and clean the log.

        Args:
            keep: raw columns to keep beside the events (a stream's block column, for example).
        """
        parts = [_Part(self, path, keep) for path in find_files(self.name, self.places)]
        parts, notes = _distinct(parts)
        aside = Tally()
        for part in parts:
            aside.merge(part.aside)
        frame = _stack([part.frame.with_columns(pl.lit(k).alias(FILE)) for k, part in enumerate(parts)])
        files = [part.blob.path.name for part in parts]
        log = clean(frame, sum(part.rows_read for part in parts), aside, self.rules, keep, files)
        notes += [note for part in parts for note in part.notes]
        if "open_quote" in aside.counts and not self.how.multiline:
            notes.append("some rows have an open quote; if fields hold line ends, set data.multiline=true")
        return self._dataset(log, frame, tuple(part.blob.source for part in parts), notes)

    def _dataset(self, log: Log, frame: pl.DataFrame, sources: tuple[Source, ...], notes: list[str]) -> Dataset:
        constant = not len(log.value) or bool(np.all(log.value == log.value[0]))
        feedback = self.feedback or ("implicit" if constant else "explicit")
        notes += [_UNTIMED] if log.time is None else []
        if feedback == "explicit" and self.rules.scale is None and len(log.value):
            low, high = log.value.min(), log.value.max()
            notes.append(f"data.scale is not declared; ratings lie between {low:g} and {high:g}")
        return Dataset(
            self.name,
            log.user_code,
            log.item_code,
            log.user_ids,
            log.item_ids,
            log.value,
            log.time,
            log.counts,
            feedback,
            self.positive_from,
            self.rules.scale,
            log.extra,
            log.examples,
            self._titles(frame, notes),
            sources,
            tuple(dict.fromkeys(map(one_line, notes))),
        )

    def _titles(self, frame: pl.DataFrame, notes: list[str]) -> dict[str, str]:
        if self.items is not None:
            path = Path(self.items).expanduser()
            below = data_root(self.places.root) / self.items
            # The log of a shipped data set may be there without its titles: worth a note, no reason to stop.
            if not path.exists() and not below.exists() and self.places.files:
                notes.append(f"no titles: {below} does not exist (data.items)")
                return {}
            how = replace(self.how, delimiter=None, header=None, known=frozenset())
            return read_titles(path if path.exists() or not below.exists() else below, how)
        if "title" not in frame.columns:
            return {}
        named = frame.filter(pl.col("title").str.strip_chars() != "").unique("item", keep="first", maintain_order=True)
        return {i: t.strip() for i, t in named.select("item", "title").iter_rows() if i}


class _Part:
    """One file of a log: its columns under the names user, item, rating, time, title, and the raw ones asked for."""

    def __init__(self, how: File, path: Path, keep: Sequence[str]) -> None:
        table, self.blob = open_table(path, how.how)
        file = path.name
        roles, inferred = column_names.resolve(file, table.names, table.headerless, table.first(), how.declared)
        self.notes = [*self.blob.notes, *table.notes, *inferred]
        wanted = self._raw(table, how.rules, keep)
        used = list(dict.fromkeys([c for c in roles.values() if c is not None] + wanted))
        rows = table.rows(used)
        self.rows_read, self.aside = rows.rows_read, rows.aside
        cells = {role: rows.frame[name].alias(role) for role, name in roles.items() if name is not None}
        if how.upper_items:
            cells["item"] = cells["item"].str.to_uppercase()
        if "time" in cells:
            cells[TIME_TEXT] = cells["time"].alias(TIME_TEXT)
            cells["time"] = self._seconds(how, cells["time"])
        extra = [rows.frame[name].alias(raw(name)) for name in wanted]
        self.frame = pl.DataFrame([*(s.alias(n) for n, s in cells.items()), *extra, rows.frame[ROW]])

    def _raw(self, table: Table, rules: Rules, keep: Sequence[str]) -> list[str]:
        file = self.blob.path.name
        wanted = [(f.column, "data.filters") for f in rules.filters] + [(k, "stream.column") for k in keep]
        return list(dict.fromkeys(column_names.find(file, table.names, name, key) for name, key in wanted))

    def _seconds(self, how: File, cells: pl.Series) -> pl.Series:
        low, high = how.rules.time_range
        times = parse_times(cells, how.time_unit, how.time_format, low, high, self.blob.path.name)
        self.notes += [times.note] if times.note else []
        return times.seconds


def _distinct(parts: list[_Part]) -> tuple[list[_Part], list[str]]:
    """Drop a file given twice (the same bytes) and say so."""
    seen: dict[str, Any] = {}
    notes = []
    for part in parts:
        first = seen.setdefault(part.blob.source.sha256, part)
        if first is not part:
            notes.append(f"{part.blob.path.name} has the same content as {first.blob.path.name} and was read once")
    return list(seen.values()), notes


def _stack(frames: list[pl.DataFrame]) -> pl.DataFrame:
    if len({tuple(sorted(f.columns)) for f in frames}) > 1:
        raise GnnrecError("the files of data.path do not have the same columns; name those they share in data.columns")
    return pl.concat([f.select(frames[0].columns) for f in frames])
