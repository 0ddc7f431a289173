"""Delimited text: CSV, TSV, MovieLens ``::``, RecBole ``.inter``, with or without header. One line is one row.

Lines are split by polars on the literal delimiter; only lines that contain a quote go through the csv module, one at a
time, so that an open quote can spoil its own line and never swallow the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from gnnrec.core.errors import GnnrecError
from gnnrec.data.clean.rows import EXAMPLES, ROW, SHAPELESS, Example, Rows, Tally
from gnnrec.data.read.columns import looks_like_header
from gnnrec.data.read.dialect import find_delimiter, header_names, numbered_lines, raw_lines, split, split_all
from gnnrec.data.read.formats import Blob
from gnnrec.data.read.lines import check_decodes, lines
from gnnrec.data.types import Ints

_BAD = pl.DataFrame(schema={"row": pl.Int64, "reason": pl.String, "line": pl.String})
"""Lines without the shape of a row."""
_HEADERLESS = {".dat", ".rating", ".data"}
_SAMPLE = 50


@dataclass(frozen=True, slots=True)
class Delimited:
    """A delimited file whose shape is known: names, delimiter, and whether the first line is a header."""

    blob: Blob
    names: tuple[str, ...]
    headerless: bool
    delimiter: str
    encoding: str
    multiline: bool
    sample: tuple[str, ...]
    notes: tuple[str, ...]

    def first(self) -> dict[str, str]:
        """Return the first row, or nothing."""
        rows = self.sample[0 if self.headerless else 1 :]
        return dict(zip(self.names, split(rows[0], self.delimiter) or [], strict=False)) if rows else {}

    def batches(self, names: Sequence[str]) -> Iterator[Rows]:
        """Yield the columns `names`; rows of another width, with broken quotes or bytes are counted apart."""
        header, kept, found = not self.headerless, 0, Tally()
        for piece in lines(self.blob, self.encoding, whole=self.multiline):
            numbered = numbered_lines(piece, self.multiline)
            rows = self._rows(numbered.slice(1 if header else 0), piece.undecodable, names)
            header = header and not numbered.height
            kept += rows.frame.height
            found.merge(rows.aside)
            yield rows
        if found.total() and not kept:
            self._refuse_shape(found)

    def raw(self, rows: Ints) -> Iterator[tuple[int, str]]:
        """Yield number and text of these lines."""
        return raw_lines(self.blob, self.encoding, self.multiline, rows)

    def _rows(self, numbered: pl.DataFrame, undecodable: Sequence[tuple[int, bytes]], names: Sequence[str]) -> Rows:
        file, aside = self.blob.path.name, Tally()
        shown = (Example(file, n, b.decode("utf-8", "backslashreplace")) for n, b in undecodable)
        aside.add("invalid_utf8", [n for n, _ in undecodable], shown)
        read_as = {"plain": self._plain, "quoted": self._all_quoted, "mixed": self._mixed}
        parts = numbered.with_columns(self._kind().alias("kind")).partition_by("kind", as_dict=True)
        read = [read_as[str(kind)](part, names) for (kind,), part in parts.items()]
        bad = pl.concat([_BAD, *(b for _, b in read)]).sort("row")
        for reason in bad["reason"].unique():
            found = bad.filter(pl.col("reason") == reason)
            rows = found.head(EXAMPLES).select("row", "line").iter_rows()
            aside.add(reason, found["row"].to_numpy(), (Example(file, row, line) for row, line in rows))
        frames = [frame for frame, _ in read]
        frame = frames[0] if len(frames) == 1 else pl.concat([_empty(names), *frames]).sort(ROW)
        return Rows(frame, numbered.height + len(undecodable), aside)

    def _plain(self, lines: pl.DataFrame, names: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
        width, fields = len(self.names), pl.col("line").str.count_matches(self.delimiter, literal=True) + 1
        lines = lines.with_columns(fields.alias("fields"))
        many = pl.when(pl.col("fields") > width).then(pl.lit("too_many_fields")).otherwise(pl.lit("too_few_fields"))
        bad = lines.filter(pl.col("fields") != width).select("row", many.alias("reason"), "line")
        good = lines.filter(pl.col("fields") == width) if bad.height else lines
        return self._cut(good, pl.col("line"), self.delimiter, names), bad

    def _all_quoted(self, lines: pl.DataFrame, names: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
        inner = pl.col("line").str.slice(1).str.head(-1)
        return self._cut(lines, inner, f'"{self.delimiter}"', names), _BAD

    def _cut(self, lines: pl.DataFrame, line: pl.Expr, mark: str, names: Sequence[str]) -> pl.DataFrame:
        cells = line.str.split_exact(mark, len(self.names) - 1).struct
        chosen = [cells.field(f"field_{self.names.index(n)}").alias(n) for n in names]
        return lines.select(*chosen, pl.col("row").alias(ROW))

    def _kind(self) -> pl.Expr:
        """Tell lines without quotes, lines of nothing but sound quoted fields, and all others apart."""
        if len(self.delimiter) > 1:
            return pl.lit("plain")
        line, width = pl.col("line"), len(self.names)
        quotes, borders = line.str.count_matches('"', literal=True), f'"{self.delimiter}"'
        # All quotes are accounted for by the ends and the borders, so no field holds one.
        sound = (quotes == 2 * width) & (line.str.count_matches(borders, literal=True) == width - 1)
        sound &= line.str.starts_with('"') & line.str.ends_with('"')
        return pl.when(quotes == 0).then(pl.lit("plain")).when(sound).then(pl.lit("quoted")).otherwise(pl.lit("mixed"))

    def _mixed(self, lines: pl.DataFrame, names: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
        width = len(self.names)
        where = [self.names.index(n) for n in names]
        cells: list[list[str]] = []
        rows: list[int] = []
        bad: list[tuple[int, str, str]] = []
        texts: list[str] = lines["line"].to_list()
        records = split_all(texts, self.delimiter)
        for row, line, record in zip(lines["row"], texts, records, strict=True):
            if record is not None and len(record) == width:
                cells.append([record[i] for i in where])
                rows.append(row)
                continue
            many = record is not None and len(record) > width
            bad.append((row, "open_quote" if record is None else "too_many_fields" if many else "too_few_fields", line))
        columns = {n: [c[k] for c in cells] for k, n in enumerate(names)}
        good = pl.DataFrame({**columns, ROW: rows}, schema=_schema(names))
        return good, pl.DataFrame(bad, schema=_BAD.schema, orient="row")

    def _refuse_shape(self, aside: Tally) -> None:
        reason, examples = next(iter(aside.ordered(SHAPELESS).examples.items()))
        raise GnnrecError(
            f"{self.blob.path}: no row has the {len(self.names)} fields of the "
            f"{'first line' if self.headerless else 'header'} ({reason.replace('_', ' ')} in all "
            f"{aside.total():,} rows, first '{examples[0].value}' in line {examples[0].row}); "
            "check data.delimiter, data.header and data.encoding"
        )


def open_delimited(
    blob: Blob, delimiter: str | None, header: bool | None, encoding: str, known: set[str], multiline: bool = False
) -> Delimited:
    """Find delimiter and header of a text file.

    Args:
        blob: the file.
        delimiter: as declared, or None to infer it.
        header: whether the first line names the columns; None to infer it.
        encoding: of the text.
        known: column names the user declared: a first line that holds one is a header.
        multiline: whether a quoted field may hold line ends; if not, an open quote spoils its line only.
    """
    check_decodes(blob, encoding)
    sample = _sample(blob, encoding, multiline)
    if not sample:
        raise GnnrecError(f"{blob.path} holds no readable line; give a file with rows")
    mark, notes = find_delimiter(blob, delimiter, sample)
    head = split(sample[0], mark) or sample[0].split(mark)
    if header is None:
        header = looks_like_header(head, known, blob.suffix in _HEADERLESS)
    names = header_names(blob, head) if header else _positions(sample, mark)
    return Delimited(blob, names, not header, mark, encoding, multiline, tuple(sample), tuple(notes))


def _positions(sample: Sequence[str], mark: str) -> tuple[str, ...]:
    """Return the positions of the fields that most lines have."""
    width = Counter(len(split(line, mark) or ()) for line in sample).most_common(1)[0][0]
    return tuple(str(i) for i in range(width))


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
