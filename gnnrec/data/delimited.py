"""Delimited text: CSV, TSV, MovieLens ``::``, RecBole ``.inter``, with or without header. One line is one row.

Lines are split by polars on the literal delimiter; only lines that contain a quote go through the csv module, one at a
time, so that an open quote can spoil its own line and never swallow the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from gnnrec.data.columns import looks_like_header
from gnnrec.data.dialect import find_delimiter, header_names, join_lines, split, split_all
from gnnrec.data.formats import Blob, decode_lines
from gnnrec.data.rows import ROW, Example, Rows, Tally
from gnnrec.errors import GnnrecError

_HEADERLESS = {".dat", ".rating", ".data"}
_SAMPLE = 50


@dataclass(frozen=True, slots=True)
class Delimited:
    """A delimited file whose shape is known: names, delimiter and lines (header removed)."""

    blob: Blob
    names: tuple[str, ...]
    headerless: bool
    delimiter: str
    lines: pl.DataFrame
    undecodable: tuple[tuple[int, bytes], ...]
    notes: tuple[str, ...]

    def first(self) -> dict[str, str]:
        """Return the first row, or nothing."""
        if not self.lines.height:
            return {}
        return dict(zip(self.names, split(self.lines["line"][0], self.delimiter) or [], strict=False))

    def rows(self, names: Sequence[str]) -> Rows:
        """Return the columns `names`; rows of another width, with broken quotes or bytes are counted apart."""
        aside = Tally()
        file = self.blob.path.name
        shown = (Example(file, n, b.decode("utf-8", "backslashreplace")) for n, b in self.undecodable)
        aside.add("invalid_utf8", len(self.undecodable), shown)
        read_as = {"plain": self._plain, "quoted": self._all_quoted, "mixed": self._mixed}
        parts = self.lines.with_columns(self._kind().alias("kind")).partition_by("kind", as_dict=True)
        frames = [read_as[str(kind)](part, names, aside) for (kind,), part in parts.items()]
        frame = pl.concat(frames).sort(ROW) if frames else _empty(names)
        read = self.lines.height + len(self.undecodable)
        if read and not frame.height:
            self._refuse_shape(aside)
        return Rows(frame, read, aside)

    def _plain(self, lines: pl.DataFrame, names: Sequence[str], aside: Tally) -> pl.DataFrame:
        width = len(self.names)
        fields = pl.col("line").str.count_matches(self.delimiter, literal=True) + 1
        lines = lines.with_columns(fields.alias("fields"))
        wrongs = {"too_many_fields": pl.col("fields") > width, "too_few_fields": pl.col("fields") < width}
        for reason, wrong in wrongs.items():
            bad = lines.filter(wrong)
            aside.add(reason, bad.height, self._shown(bad))
        return self._cut(lines.filter(pl.col("fields") == width), pl.col("line"), self.delimiter, names)

    def _all_quoted(self, lines: pl.DataFrame, names: Sequence[str], aside: Tally) -> pl.DataFrame:
        inner = pl.col("line").str.slice(1).str.head(-1)
        return self._cut(lines, inner, f'"{self.delimiter}"', names)

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

    def _mixed(self, lines: pl.DataFrame, names: Sequence[str], aside: Tally) -> pl.DataFrame:
        width = len(self.names)
        where = [self.names.index(n) for n in names]
        cells: list[list[str]] = []
        rows: list[int] = []
        texts: list[str] = lines["line"].to_list()
        records = split_all(texts, self.delimiter)
        for row, line, record in zip(lines["row"], texts, records, strict=True):
            if record is not None and len(record) == width:
                cells.append([record[i] for i in where])
                rows.append(row)
                continue
            many = record is not None and len(record) > width
            reason = "open_quote" if record is None else "too_many_fields" if many else "too_few_fields"
            aside.add(reason, 1, [Example(self.blob.path.name, row, line)])
        columns = {n: [c[k] for c in cells] for k, n in enumerate(names)}
        return pl.DataFrame({**columns, ROW: rows}, schema=_schema(names))

    def _shown(self, lines: pl.DataFrame) -> list[Example]:
        return [Example(self.blob.path.name, r, v) for r, v in lines.head(5).select("row", "line").iter_rows()]

    def _refuse_shape(self, aside: Tally) -> None:
        reason, examples = next(iter(aside.examples.items()))
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
    texts, undecodable = decode_lines(blob, encoding)
    filled = sum(text != "" for text in texts) if undecodable else 0
    if undecodable and (undecodable[0][0] == 1 or len(undecodable) > filled // 2):
        raise GnnrecError(
            f"{blob.path} is not {encoding} text ({len(undecodable):,} lines do not decode, "
            f"first line {undecodable[0][0]}); save it as UTF-8 or set data.encoding=latin-1"
        )
    lines = pl.DataFrame({"line": texts}, schema={"line": pl.String}).with_row_index("row", offset=1)
    lines = lines.with_columns(pl.col("row").cast(pl.Int64))
    lines = (join_lines(texts) if multiline else lines).filter(pl.col("line") != "")
    sample: list[str] = lines["line"].head(_SAMPLE).to_list()
    if not sample:
        raise GnnrecError(f"{blob.path} holds no readable line; give a file with rows")
    mark, notes = find_delimiter(blob, delimiter, sample)
    head = split(sample[0], mark) or sample[0].split(mark)
    if header is None:
        header = looks_like_header(head, known, blob.suffix in _HEADERLESS)
    if not header:
        width = Counter(len(split(line, mark) or ()) for line in sample).most_common(1)[0][0]
        names = tuple(str(i) for i in range(width))
        return Delimited(blob, names, True, mark, lines, tuple(undecodable), tuple(notes))
    names = header_names(blob, head)
    return Delimited(blob, names, False, mark, lines.slice(1), tuple(undecodable), tuple(notes))


def _schema(names: Sequence[str]) -> dict[str, type[pl.DataType]]:
    return {**dict.fromkeys(names, pl.String), ROW: pl.Int64}


def _empty(names: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame(schema=_schema(names))
