"""Delimited text: CSV, TSV, MovieLens ``::``, RecBole ``.inter``, with or without header. One line is one row.

Lines are split by polars on the literal delimiter; only lines that contain a quote go through the csv module, one at a
time, so that an open quote can spoil its own line and never swallow the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.data.clean.rows import EXAMPLES, ROW, SHAPELESS, Example, RowBatch, Tally
from gnnrec.data.read.dialect import Dialect, declared_mark, declared_quote, numbered_lines, raw_lines, usual_width
from gnnrec.data.read.formats import Blob
from gnnrec.data.read.guess import check_adjacency, choose, weigh
from gnnrec.data.read.header import column_count, find_header, header_names
from gnnrec.data.read.lines import check_decodes, lines
from gnnrec.data.read.quoting import find_quote
from gnnrec.data.types import Ints

_BAD = pl.DataFrame(schema={"row": pl.Int64, "reason": pl.String, "line": pl.String})
"""Lines without the shape of a row."""
_HEADERLESS = {".dat", ".rating", ".data"}
_SAMPLE = 60


@dataclass(frozen=True, slots=True)
class Delimited:
    """A delimited file whose shape is known.

    Attributes:
        blob: the file.
        names: of its columns.
        head: fields of its header; empty: it has none.
        dialect: how a line is cut.
        encoding: of the text.
        multiline: whether a quoted field may hold line ends.
        above: lines before the header or the first row.
        sample: the first rows.
        notes: what was inferred.
    """

    blob: Blob
    names: tuple[str, ...]
    head: tuple[str, ...]
    dialect: Dialect
    encoding: str
    multiline: bool
    above: int
    sample: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def headerless(self) -> bool:
        """Whether names are positions."""
        return not self.head

    def first(self) -> dict[str, str]:
        """Return the first row, or nothing."""
        if not self.sample:
            return {}
        return dict(zip(self.names, self.dialect.split(self.sample[0]) or [], strict=False))

    def batches(self, names: Sequence[str]) -> Iterator[RowBatch]:
        """Yield the columns `names`; rows of another width, with broken quotes or bytes are counted apart."""
        passed, kept, found = 0, 0, Tally()
        for piece in lines(self.blob, self.encoding, whole=self.multiline):
            numbered = numbered_lines(piece, self.multiline)
            above = numbered.slice(0, max(self.above - passed, 0))
            left = max(self.above + (not self.headerless) - passed, 0)
            passed += min(left, numbered.height)
            rows = self._rows(numbered.slice(left), piece.undecodable, names)
            if above.height:
                rows = RowBatch(rows.frame, rows.rows_read + above.height, rows.aside)
                self._count(rows.aside, "above_the_header", above)
            kept += rows.frame.height
            found.merge(rows.aside)
            yield rows
        if not kept and set(found.counts) - {"above_the_header"}:
            self._refuse_shape(found)

    def raw(self, rows: Ints) -> Iterator[tuple[int, str]]:
        """Yield number and text of these lines."""
        return raw_lines(self.blob, self.encoding, self.multiline, rows)

    def _rows(self, numbered: pl.DataFrame, undecodable: Sequence[tuple[int, bytes]], names: Sequence[str]) -> RowBatch:
        file, aside = self.blob.path.name, Tally()
        shown = (Example(file, n, b.decode("utf-8", "backslashreplace")) for n, b in undecodable)
        aside.add("invalid_utf8", [n for n, _ in undecodable], shown)
        read_as = {"plain": self._plain, "quoted": self._all_quoted, "mixed": self._mixed}
        even = numbered.with_columns(self.dialect.even(pl.col("line"))) if self.dialect.blanks else numbered
        parts = even.with_columns(self._kind().alias("kind")).partition_by("kind", as_dict=True)
        read = [read_as[str(kind)](part, names) for (kind,), part in parts.items()]
        bad = pl.concat([_BAD, *(b for _, b in read)]).sort("row")
        for reason in bad["reason"].unique():
            self._count(aside, reason, bad.filter(pl.col("reason") == reason))
        frames = [frame for frame, _ in read]
        frame = frames[0] if len(frames) == 1 else pl.concat([_empty(names), *frames]).sort(ROW)
        again = self._headers_again(frame, names)
        if again.height:
            frame = frame.filter(~pl.col(ROW).is_in(again["row"].implode()))
            self._count(aside, "header_again", again)
        return RowBatch(frame, numbered.height + len(undecodable), aside)

    def _count(self, aside: Tally, reason: str, lost: pl.DataFrame) -> None:
        rows = lost.head(EXAMPLES).select("row", "line").iter_rows()
        aside.add(reason, lost["row"].to_numpy(), (Example(self.blob.path.name, row, line) for row, line in rows))

    def _headers_again(self, frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
        """Return row and line of headers among the rows, as in files that were joined.

        Raises:
            GnnrecError: one has the columns in another order, so that rows below it would be read wrongly.
        """
        heads = [*(h.strip().strip("\ufeff") for h in self.head), *self.names]
        # A log of one column's cells says nothing; and of most pieces the first column alone tells that there is none.
        if not self.head or len(names) < 2 or not (maybe := frame[names[0]].is_in(heads)).any():
            return pl.DataFrame(schema={"row": pl.Int64, "line": pl.String})
        own = {n: {n, heads[k]} for k, n in enumerate(self.names)}
        rows: list[tuple[int, str]] = []
        for cells in frame.filter(maybe).iter_rows(named=True):
            found = [str(cells[n]).strip() for n in names]
            if all(cell in own[n] for n, cell in zip(names, found, strict=True)):
                rows.append((cells[ROW], self.dialect.cut.join(found)))
            elif len(set(found)) == len(found) and set(found) <= set(heads):
                raise GnnrecError(
                    f"{self.blob.path}: line {cells[ROW]} is a header with the columns in another order; "
                    "give the files that were joined one by one, data.path=[FILE,FILE]"
                )
        return pl.DataFrame(rows, schema={"row": pl.Int64, "line": pl.String}, orient="row")

    def _plain(self, lines: pl.DataFrame, names: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
        width, mark = len(self.names), self.dialect.cut
        fields = (pl.col("line").str.count_matches(mark, literal=True) + 1).alias("fields")
        lines = lines.with_columns(fields)
        if lines.height and lines["fields"].max() > width:  # type: ignore[operator]
            lines = self._trimmed(lines).with_columns(fields)
        many = pl.when(pl.col("fields") > width).then(pl.lit("too_many_fields")).otherwise(pl.lit("too_few_fields"))
        bad = lines.filter(pl.col("fields") != width).select("row", many.alias("reason"), "line")
        good = lines.filter(pl.col("fields") == width) if bad.height else lines
        return self._cut(good, pl.col("line"), mark, names), bad

    def _trimmed(self, lines: pl.DataFrame) -> pl.DataFrame:
        """Take empty fields beyond the header's from the ends of lines, as spreadsheets leave them."""
        width, mark = len(self.names), self.dialect.cut
        for excess in lines.filter(pl.col("fields") > width)["fields"].unique() - width:
            tail = mark * excess
            cut = (pl.col("fields") == width + excess) & pl.col("line").str.ends_with(tail)
            lines = lines.with_columns(pl.when(cut).then(pl.col("line").str.strip_suffix(tail)).otherwise("line"))
        return lines

    def _all_quoted(self, lines: pl.DataFrame, names: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
        inner, quote = pl.col("line").str.slice(1).str.head(-1), self.dialect.quote
        return self._cut(lines, inner, f"{quote}{self.dialect.mark}{quote}", names), _BAD

    def _cut(self, lines: pl.DataFrame, line: pl.Expr, mark: str, names: Sequence[str]) -> pl.DataFrame:
        cells = line.str.split_exact(mark, len(self.names) - 1).struct
        chosen = [cells.field(f"field_{self.names.index(n)}").alias(n) for n in names]
        return lines.select(*chosen, pl.col("row").alias(ROW))

    def _kind(self) -> pl.Expr:
        """Tell lines without quotes, lines of nothing but sound quoted fields, and all others apart."""
        mark, quote = self.dialect.mark, self.dialect.quote
        if len(mark) > 1 or quote is None:
            return pl.lit("plain")
        line, width = pl.col("line"), len(self.names)
        quotes, borders = line.str.count_matches(quote, literal=True), f"{quote}{mark}{quote}"
        # All quotes are accounted for by the ends and the borders, so no field holds one.
        sound = (quotes == 2 * width) & (line.str.count_matches(borders, literal=True) == width - 1)
        sound &= line.str.starts_with(quote) & line.str.ends_with(quote)
        return pl.when(quotes == 0).then(pl.lit("plain")).when(sound).then(pl.lit("quoted")).otherwise(pl.lit("mixed"))

    def _mixed(self, lines: pl.DataFrame, names: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
        width = len(self.names)
        where = [self.names.index(n) for n in names]
        cells: list[list[str]] = []
        rows: list[int] = []
        bad: list[tuple[int, str, str]] = []
        texts: list[str] = lines["line"].to_list()
        records = self.dialect.split_all(texts)
        for row, line, record in zip(lines["row"], texts, records, strict=True):
            if record is not None and len(record) >= width and not any(record[width:]):
                cells.append([record[i] for i in where])
                rows.append(row)
                continue
            many = record is not None and len(record) > width
            bad.append((row, "open_quote" if record is None else "too_many_fields" if many else "too_few_fields", line))
        columns = {n: [c[k] for c in cells] for k, n in enumerate(names)}
        good = pl.DataFrame({**columns, ROW: rows}, schema=_schema(names))
        return good, pl.DataFrame(bad, schema=_BAD.schema, orient="row")

    def _refuse_shape(self, aside: Tally) -> None:
        reasons = aside.ordered([r for r in SHAPELESS if r != "above_the_header"])
        reason, examples = next(iter(reasons.examples.items()))
        if reason == "header_again":  # a file of headers alone has no rows, which is no fault of their shape
            return
        advice = "data.quote, data.multiline" if reason == "open_quote" else "data.delimiter, data.header"
        raise GnnrecError(
            f"{self.blob.path}: no row has the {len(self.names)} fields of the "
            f"{'first line' if self.headerless else 'header'} ({reason.replace('_', ' ')} in all "
            f"{reasons.total():,} rows, first '{examples[0].value}' in line {examples[0].row}); "
            f"check {advice} and data.encoding"
        )


def open_delimited(
    blob: Blob,
    delimiter: str | None,
    header: bool | None,
    encoding: str,
    known: set[str],
    multiline: bool = False,
    quote: str | None = "auto",
) -> Delimited:
    """Find delimiter, quotes and header of a text file.

    Args:
        blob: the file.
        delimiter: as declared, or None to infer it.
        header: whether the first line names the columns; None to infer it.
        encoding: of the text.
        known: column names the user declared: a first line that holds one is a header.
        multiline: whether a quoted field may hold line ends; if not, an open quote spoils its line only.
        quote: what encloses fields; None: nothing; auto: double quotes, unless they are text.
    """
    notes = list(check_decodes(blob, encoding))
    sample = _sample(blob, encoding, multiline)
    if not sample:
        raise GnnrecError(f"{blob.path} holds no readable line; give a file with rows")
    dialect, said = _dialect(blob, sample, delimiter, quote, encoding, known, multiline)
    notes += said
    rows = [dialect.split(line) or line.split(dialect.cut) for line in sample]
    above, head = find_header(rows, header, known, blob.suffix in _HEADERLESS)
    if len(rows[above]) == 1:
        raise _wrong_delimiter(blob, dialect.mark, sample, known)
    if above:
        notes.append(
            f"{blob.path.name}: {above} lines above the header, such as '{one_line(sample[0])[:60]}', set aside"
        )
    if head:
        names = header_names(blob, head, column_count(head, rows[above + 1 :]))
    else:
        names = tuple(str(i) for i in range(usual_width(rows[above:])))
    sample = sample[above + bool(head) :]
    return Delimited(blob, names, tuple(head), dialect, encoding, multiline, above, tuple(sample), tuple(notes))


def _dialect(
    blob: Blob,
    sample: Sequence[str],
    delimiter: str | None,
    quote: str | None,
    encoding: str,
    known: set[str],
    multiline: bool,
) -> tuple[Dialect, list[str]]:
    """Return how lines are cut, as declared or inferred, and what was inferred."""
    notes: list[str] = []
    if delimiter is None:
        check_adjacency(blob, sample)
        mark, notes = choose(blob, sample, known)
    else:
        mark = declared_mark(delimiter)
    if quote != "auto":
        return Dialect(mark, declared_quote(quote)), notes
    if multiline:
        return Dialect(mark), notes
    found, said = find_quote(blob, mark, encoding, sample)
    return Dialect(mark, found), [*notes, *said]


def _wrong_delimiter(blob: Blob, declared: str, sample: Sequence[str], known: set[str]) -> GnnrecError:
    best = weigh(sample, known)[0]
    hint = f"; the likely one is {best.mark!r}: set data.delimiter={best.mark!r}" if best.score else ""
    shown = one_line(sample[0])[:80]
    return GnnrecError(
        f"{blob.path}: the declared delimiter {declared!r} does not occur in the first line '{shown}'{hint}"
    )


def _sample(blob: Blob, encoding: str, multiline: bool) -> list[str]:
    """Return the first lines that are not empty."""
    found: list[str] = []
    for piece in lines(blob, encoding, whole=multiline):
        found += numbered_lines(piece, multiline)["line"].head(_SAMPLE).to_list()
        if len(found) >= _SAMPLE:
            break
    return found[:_SAMPLE]


def _schema(names: Sequence[str]) -> dict[str, type[pl.DataType]]:
    return {**dict.fromkeys(names, pl.String), ROW: pl.Int64}


def _empty(names: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame(schema=_schema(names))
