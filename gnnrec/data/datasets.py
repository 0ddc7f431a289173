"""`File`: a log in files, from where they lie to a clean `Dataset`. Every option is a key of ``conf/data``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from gnnrec.core.errors import GnnrecError, nearest, one_line
from gnnrec.data.clean.builder import Collector
from gnnrec.data.clean.cells import check_decimal
from gnnrec.data.clean.clean import make_rules, normalised
from gnnrec.data.clean.event_buffer import Gathered
from gnnrec.data.clean.external_sort import Overflow
from gnnrec.data.clean.filters import make_filters
from gnnrec.data.clean.ratings import make_valuation
from gnnrec.data.clean.rows import RowTable
from gnnrec.data.clean.timestamps import check_zone, declared_rule
from gnnrec.data.dataset import Dataset
from gnnrec.data.part import Part
from gnnrec.data.read import columns as column_names
from gnnrec.data.read.formats import DEFAULT_MAX_BYTES, Blob, Source, load
from gnnrec.data.read.locate import Places, data_root, find_files
from gnnrec.data.read.reader import How
from gnnrec.data.read.titles import read_titles
from gnnrec.data.side import ITEM, make_side, read_side

_UNTIMED = (
    "no time column: the order of the file is taken as the order of events; "
    "only stream=by_column makes increments that mean something"
)


@dataclass(frozen=True, slots=True)
class Lost:
    """The rows of one file that were set aside, and the table that still has their text.

    Attributes:
        table: the file.
        source: its name and hash.
        rows: row (physical number, ascending), user (null where the line has no such cell), reason.
    """

    table: RowTable
    source: Source
    rows: pl.DataFrame

    def __iter__(self) -> Iterator[tuple[int, str, str | None, str]]:
        """Yield (row, reason, user, raw text) in the order of the file; the file is read again."""
        if not self.rows.height:
            return
        known = self.rows.select("row", "reason", "user").iter_rows()
        for (row, reason, user), (read, text) in zip(known, self.table.raw(self.rows["row"].to_numpy()), strict=True):
            assert row == read
            yield row, reason, user, text


@dataclass(frozen=True, slots=True)
class Reading:
    """Files that were read.

    Attributes:
        events: their good rows.
        lost: what each file lost.
        sources: the files.
        titles: item id -> title.
        notes: what was inferred.
    """

    events: Gathered
    lost: tuple[Lost, ...]
    sources: tuple[Source, ...]
    titles: dict[str, str]
    notes: tuple[str, ...]


class File:
    """A log in one or several files.

    Args:
        name: what to call the data set.
        path: file, list of files, or glob; None: look below `root`, in a wheel, at a URL.
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
        format: adjacency: a line is a user and their items; None: told by content.
        quote: what encloses fields of text files: double, single; None or none: nothing; auto: double, unless they are text.
        decimal: what stands before the fraction of numbers in text: "." or ","; None: inferred.
        time_unit: s, ms, us, ns, iso, mixed (each cell in its own way), or auto.
        time_format: strptime format, for example ``%d/%m/%Y %H:%M``; or day_first, month_first of dates such as 1/2/2010.
        time_range: earliest and latest possible time (the latter excluded); None: 1990 and tomorrow.
        time_zone: of times that are written without one, such as Europe/London; None: UTC.
        scale: lowest and highest rating.
        rescale: lowest and highest value that `scale` is stretched to.
        weights: value of each action that the rating column names, such as {view: 1, buy: 5}.
        quantity: log2: the rating column holds quantities q, which become log2(1 + q).
        feedback: explicit or implicit; None: implicit without ratings or with constant ones.
        positive_from: smallest rating that counts as relevant; None: every event does.
        repeats: which event of a (user, item) pair counts: first, all, last.
        on_bad: what to do with impossible rows: set_aside or refuse.
        filters: rows to set aside by their cells; see `Filter`.
        upper_items: write item ids in capitals, to join codes that differ in case only.
        normalise_ids: strip ids and bring them to Unicode NFC; by default ids are exact.
        items: file with item ids and titles.
        side: file with categories, text or vectors of items: {file, id, columns, vector}; see `gnnrec.data.side`.
        max_bytes: cap on the unpacked size of a file.
    """

    def __init__(
        self,
        name: str = "file",
        path: str | Path | Sequence[str | Path] | None = None,
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
        format: str | None = None,
        quote: str | None = "auto",
        decimal: str | None = None,
        time_unit: str = "auto",
        time_format: str | None = None,
        time_range: Sequence[object] | None = None,
        time_zone: str | None = None,
        scale: Sequence[float] | None = None,
        rescale: Sequence[float] | None = None,
        weights: Mapping[object, object] | None = None,
        quantity: str | None = None,
        feedback: str | None = None,
        positive_from: float | None = None,
        repeats: str = "first",
        on_bad: str = "set_aside",
        filters: Sequence[Mapping[str, object]] | None = None,
        upper_items: bool = False,
        normalise_ids: bool = False,
        items: str | None = None,
        side: Mapping[str, object] | None = None,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> None:
        if feedback not in (None, "explicit", "implicit"):
            raise GnnrecError(f"data.feedback={feedback} is not a choice{nearest(feedback, ['explicit', 'implicit'])}")
        self.name = name
        self.places = Places(path, root, tuple(files or ()), wheel, url, download)
        self.declared: Mapping[str, object] = column_names.check_declared(columns or {})
        known = frozenset(str(c) for c in self.declared.values() if isinstance(c, str))
        self.how = How(delimiter, header, encoding, int(max_bytes), known, multiline, quote, format)
        self.decimal = check_decimal(decimal)
        valuation = make_valuation(weights, quantity, scale, rescale)
        self.rules = make_rules(make_filters(filters), valuation, time_range, repeats, on_bad, normalise_ids)
        self.time_rule, self.time_unit, self.time_zone = (
            declared_rule(time_unit, time_format),
            time_unit,
            check_zone(time_zone),
        )
        self.feedback, self.positive_from = feedback, positive_from
        self.upper_items, self.items, self.side = upper_items, items, make_side(side)

    def load(self, keep: Sequence[str] = ()) -> Dataset:
        """Read and clean the log.

        Args:
            keep: raw columns to keep beside the events (a stream's block column, for example).
        """
        reading = self.gather(keep=keep)
        log = reading.events.dataset(self.name)
        return self.describe(reading, log, pl.Series(log.item_ids, dtype=pl.String))

    def blobs(self) -> list[Blob]:
        """Return the files, each checked and hashed."""
        paths = find_files(self.name, self.places)
        return [load(path, self.how.max_bytes, empty=len(paths) > 1) for path in paths]

    def gather(
        self, blobs: Sequence[Blob] | None = None, keep: Sequence[str] = (), overflow: Overflow | None = None
    ) -> Reading:
        """Read and clean the files.

        Args:
            blobs: the files to read; None: all.
            keep: as `load`.
            overflow: where rows go that memory is not to hold; None: memory holds all.
        """
        blobs, notes = _distinct(self.blobs() if blobs is None else blobs)
        blobs, empty = _filled(blobs)
        notes += empty
        files = [Part(self, blob, keep) for blob in blobs]
        _check_alike(files)
        collector = Collector(self.rules, keep, overflow)
        lost = self._fed(files, collector)
        if {file.timeless for file in files} in ({True}, {True, None}):
            collector.rewind((0, 0))
            for file in files:
                file.leave_times_out()
            lost = self._fed(files, collector)
        notes += [note for file in files for note in file.notes]
        titles = {i: t for file in reversed(files) for i, t in file.titles.items()}
        return Reading(collector.finish(), tuple(lost), tuple(b.source for b in blobs), titles, tuple(notes))

    def _fed(self, files: Sequence[Part], collector: Collector) -> list[Lost]:
        """Hand the rows of all files on and return what each lost."""
        lost = []
        for file in files:
            mark = collector.mark()
            file.feed(collector)
            lost.append(Lost(file.table, file.blob.source, collector.lost(mark)))
        return lost

    def describe(self, reading: Reading, log: Dataset, items: pl.Series) -> Dataset:
        """Return the log with what is known about it beside its events.

        Args:
            reading: whose parts have been taken.
            log: made of them.
            items: the ids that occur.
        """
        valuation = self.rules.valuation
        feedback = self.feedback or ("implicit" if valuation.weighs else log.feedback)
        log = replace(log, feedback=feedback, positive_from=self.positive_from, scale=valuation.bounds)
        notes = [*reading.notes, *self._remarks(reading.events, log)]
        titles = self._titles(reading.titles, notes)
        about = self._side(items, notes)
        notes = list(dict.fromkeys(map(one_line, notes)))
        return replace(log, titles=titles, side=about, sources=reading.sources, notes=tuple(notes))

    def _remarks(self, events: Gathered, log: Dataset) -> list[str]:
        """Return what is unusual about the log."""
        notes = [] if events.timed else [_UNTIMED]
        if "open_quote" in log.counts.set_aside and not self.how.multiline:
            notes.insert(
                0,
                "some rows have an open quote; if quotes are part of the text, set data.quote=none; if quoted fields hold line "
                "ends, set data.multiline=true",
            )
        if log.feedback == "explicit" and log.scale is None and events.kept:
            notes.append(f"data.scale is not declared; ratings lie between {events.low:g} and {events.high:g}")
        return notes

    def _titles(self, own: dict[str, str], notes: list[str]) -> dict[str, str]:
        if self.items is not None:
            path = Path(self.items).expanduser()
            below = data_root(self.places.root) / self.items
            # The log of a shipped data set may be there without its titles: worth a note, no reason to stop.
            if not path.exists() and not below.exists() and self.places.files:
                notes.append(f"no titles: {below} does not exist (data.items)")
                return {}
            return read_titles(self._near(self.items), self._other)
        return own

    def _side(self, items: pl.Series, notes: list[str]) -> pl.DataFrame | None:
        """Return the side information and note how many items it knows."""
        if self.side is None:
            return None
        found, source = read_side(self.side, self._near(self.side.file), self._other)
        # Written as the log's ids are, or nothing would join.
        found = found.with_columns(self._item(pl.col(ITEM))).unique(ITEM, keep="first", maintain_order=True)
        known = int(items.is_in(found[ITEM].implode()).sum())
        what = ", ".join(c for c in found.columns if c != ITEM)
        notes.append(f"{source.name}: {what} for {known:,} of {len(items):,} items")
        return found

    def _item(self, item: pl.Expr) -> pl.Expr:
        """Return item ids as the settings write them."""
        item = item.str.to_uppercase() if self.upper_items else item
        return normalised(item) if self.rules.normalise_ids else item

    def item_ids(self, item: pl.Series) -> pl.Series:
        """Return item ids as the settings write them."""
        return item.to_frame("item").select(self._item(pl.col("item"))).to_series()

    @property
    def _other(self) -> How:
        """How to read a file that is not the log."""
        return replace(self.how, delimiter=None, header=None, known=frozenset(), quote="auto", format=None)

    def _near(self, name: str) -> Path:
        """Return where a file beside the log lies: at its name, else below the data folder."""
        path, below = Path(name).expanduser(), data_root(self.places.root) / name
        return path if path.exists() or not below.exists() else below


def _distinct(blobs: Sequence[Blob]) -> tuple[list[Blob], list[str]]:
    """Drop a file given twice (the same bytes) and say so."""
    seen: dict[str, Blob] = {}
    notes = []
    for blob in blobs:
        first = seen.setdefault(blob.source.sha256, blob)
        if first is not blob:
            notes.append(f"{blob.path.name} has the same content as {first.path.name} and was read once")
    return list(seen.values()), notes


def _filled(blobs: Sequence[Blob]) -> tuple[list[Blob], list[str]]:
    """Leave files without rows out and say so; one at least must have some."""
    filled = [b for b in blobs if b.head.strip()]
    if len(blobs) == 1:
        return list(blobs), []
    if not filled:
        raise GnnrecError(f"{blobs[0].path} is empty, and so is every other file of data.path; give a file with rows")
    return filled, [f"{b.path.name} is empty and was passed over" for b in blobs if b not in filled]


def _check_alike(files: Sequence[Part]) -> None:
    """Refuse files that have not the same columns: their rows could not be told apart."""
    if len({(tuple(sorted(f.roles)), tuple(f.raw)) for f in files}) > 1:
        raise GnnrecError("the files of data.path do not have the same columns; name those they share in data.columns")
