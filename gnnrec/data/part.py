"""One file of a log on its way to the events: its columns by role, and how its cells are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import polars as pl

from gnnrec.data.clean.builder import Collector
from gnnrec.data.clean.clean import TIME_TEXT, Cleaned, Rules, clean
from gnnrec.data.clean.habits import Habits, Looks, Observer
from gnnrec.data.clean.ids import id_texts
from gnnrec.data.clean.rows import ROW, RowBatch, RowTable, raw
from gnnrec.data.clean.timestamps import TimeRule
from gnnrec.data.read import columns as column_names
from gnnrec.data.read.formats import Blob
from gnnrec.data.read.reader import How, table_of

FILE = "@file"
"""Column that every row has, unless the file has one of this name: the name of its file."""


class Reads(Protocol):
    """How the files of a log are read: what `File` was given, checked."""

    how: How
    declared: Mapping[str, object]
    rules: Rules
    decimal: str | None
    time_rule: TimeRule | None
    time_unit: str
    time_zone: str | None
    upper_items: bool

    def item_ids(self, item: pl.Series) -> pl.Series:
        """Return item ids as the settings write them."""


class Part:
    """One file of a log: its columns under the names user, item, rating, time, title, and the raw ones asked for.

    Attributes:
        timeless: whether its time column, which nobody named, holds nothing but numbers that are no times; None: no rows.
    """

    def __init__(self, how: Reads, blob: Blob, keep: Sequence[str]) -> None:
        self.how, self.blob, self.keep = how, blob, keep
        self.table = table_of(blob, how.how)
        names, first = self.table.names, self.table.first()
        roles, inferred = column_names.resolve(blob.path.name, names, self.table.headerless, first, how.declared)
        self.roles = {role: name for role, name in roles.items() if name is not None}
        self._opened = [*blob.notes, *self.table.notes, *inferred]
        self._found: list[str] = []
        self.named = FILE in keep and FILE not in names
        self.raw = self._raw(self.table, how.rules)
        self.titles: dict[str, str] = {}
        self.timeless: bool | None = False

    @property
    def notes(self) -> list[str]:
        """What was inferred."""
        return [*self._opened, *self._found]

    def _raw(self, table: RowTable, rules: Rules) -> list[str]:
        file = self.blob.path.name
        wanted = [(f.column, "data.filters") for f in rules.filters]
        wanted += [(k, "stream.column") for k in self.keep if not (k == FILE and self.named)]
        return list(dict.fromkeys(column_names.find(file, table.names, name, key) for name, key in wanted))

    def leave_times_out(self) -> None:
        """Take the file as one without times."""
        name = self.roles.pop("time")
        self._opened.append(
            f"{self.blob.path.name}: column '{name}' holds no times but small numbers or nothing, and was left out; if "
            "they are times, set data.time_range=[EARLIEST,LATEST] or data.time_unit; else data.columns.time=false"
        )

    def feed(self, collector: Collector) -> None:
        """Hand the cleaned rows of the file on.

        How times, ids and numbers are written is decided by all of them. It is guessed from the first piece and checked in
        the end; the file is read once more where the guess was wrong.
        """
        mark, timed, found = collector.mark(), "time" in self.roles, Looks()
        guess: Habits | None = None
        for rows in self._rows():
            look = self._observer.look(self._cells(rows), found)
            found += look
            guess = guess or self._observer.guess(look, timed)
            collector.add(self._cleaned(rows, guess), rows.rows_read, rows.aside)
        settled, self._found = self._observer.settle(found, timed, self.blob.path.name)
        # Who names the column, or says how its times are written, means it.
        meant = not timed or self.how.declared.get("time") is not None or self.how.time_rule is not None
        self.timeless = False if meant else found.times.timeless
        if settled != guess:
            collector.rewind(mark)
            for rows in self._rows():
                collector.add(self._cleaned(rows, settled), rows.rows_read, rows.aside)

    @property
    def _observer(self) -> Observer:
        return Observer(self.how.time_rule, self.how.time_unit, *self.how.rules.time_range, self.how.decimal)

    def _rows(self) -> Iterator[RowBatch]:
        return self.table.batches(list(dict.fromkeys([*self.roles.values(), *self.raw])))

    def _cells(self, rows: RowBatch) -> dict[str, pl.Series]:
        # Under the role's name: a column may be called like a pattern, which polars would expand.
        return {role: rows.frame[name].alias(role) for role, name in self.roles.items()}

    def _cleaned(self, rows: RowBatch, habits: Habits) -> Cleaned:
        cells = self._cells(rows)
        for role in cells:
            if role in ("user", "item"):
                cells[role] = id_texts(cells[role], role in habits.whole)
            elif role != "time":
                cells[role] = _text(cells[role])
        if self.how.upper_items:
            cells["item"] = cells["item"].str.to_uppercase()
        if "time" in cells:
            assert habits.time is not None
            cells[TIME_TEXT] = cells["time"]
            cells["time"] = habits.time.seconds(cells["time"], self.how.time_zone)
        if "title" in cells:
            self._remember(self.how.item_ids(cells["item"]), cells.pop("title"))
        cells |= {raw(name): _text(rows.frame[name]) for name in self.raw} | {ROW: rows.frame[ROW]}
        frame = pl.DataFrame([column.alias(name) for name, column in cells.items()])
        if self.named:
            frame = frame.with_columns(pl.lit(self.blob.path.name).alias(raw(FILE)))
        return clean(frame, replace(self.how.rules, decimal=habits.decimal), self.keep, self.blob.path.name)

    def _remember(self, item: pl.Series, title: pl.Series) -> None:
        """Keep the first title of each item."""
        named = pl.DataFrame([item.alias("item"), title.alias("title")]).filter(pl.col("title").str.strip_chars() != "")
        for i, t in named.unique("item", keep="first", maintain_order=True).iter_rows():
            if i:
                self.titles.setdefault(i, t.strip())


def _text(column: pl.Series) -> pl.Series:
    return column.cast(pl.String) if column.dtype != pl.String else column
