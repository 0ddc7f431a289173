"""JSON lines: one object per line, numbers kept as the text they were written in, so that long ids stay exact."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from gnnrec.data.formats import Blob, decode_lines
from gnnrec.data.rows import ROW, Example, Rows, Tally
from gnnrec.errors import GnnrecError, one_line

Record = dict[str, object]


class _DuplicateKeyError(ValueError):
    pass


@dataclass(frozen=True, slots=True)
class JsonLines:
    """A parsed file: records with their line numbers, and the lines that are none."""

    blob: Blob
    names: tuple[str, ...]
    records: list[Record]
    numbers: list[int]
    aside: Tally
    headerless: bool = False
    notes: tuple[str, ...] = ()

    def first(self) -> dict[str, str]:
        """Return the first record as text."""
        return {k: _text(v) or "" for k, v in self.records[0].items()} if self.records else {}

    def rows(self, names: Sequence[str]) -> Rows:
        """Return the columns `names`; a record without a key has an empty cell there."""
        aside = Tally()
        aside.merge(self.aside)
        keep = []
        for i, record in enumerate(self.records):
            nested = next((n for n in names if isinstance(record.get(n), dict | list)), None)
            if nested is None:
                keep.append(i)
            else:
                shown = Example(self.blob.path.name, self.numbers[i], json.dumps(record[nested]))
                aside.add("nested_value", 1, [shown])
        columns: dict[str, list[object]] = {n: [_text(self.records[i].get(n)) for i in keep] for n in names}
        columns[ROW] = [self.numbers[i] for i in keep]
        frame = pl.DataFrame(columns, schema={**dict.fromkeys(names, pl.String), ROW: pl.Int64})
        return Rows(frame, len(self.records) + self.aside.total(), aside)


def open_jsonlines(blob: Blob, encoding: str) -> JsonLines:
    """Parse every line.

    Raises:
        GnnrecError: the file is one array, or no line is an object.
    """
    if blob.data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"[":
        raise GnnrecError(f"{blob.path} is one JSON array; write one object per line (JSON lines): jq -c '.[]'")
    lines, undecodable = decode_lines(blob, encoding)
    file, aside, records, numbers = blob.path.name, Tally(), [], []
    shown = (Example(file, n, b.decode("utf-8", "backslashreplace")) for n, b in undecodable)
    aside.add("invalid_utf8", len(undecodable), shown)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        record = _parse(line)
        if isinstance(record, str):
            aside.add(record, 1, [Example(file, number, line)])
        else:
            records.append(record)
            numbers.append(number)
    if not records:
        found = next((f" ({r}: '{e[0].value}')" for r, e in aside.examples.items()), "")
        raise GnnrecError(f"{blob.path}: no line is a JSON object{found}; JSON lines have one object per line")
    names = tuple(dict.fromkeys(key for record in records for key in record))
    return JsonLines(blob, names, records, numbers, aside)


def _parse(line: str) -> Record | str:
    """Return the object of a line, or the reason why there is none."""
    try:
        record = _DECODER.decode(line)
    except _DuplicateKeyError:
        return "duplicate_key"
    except (ValueError, RecursionError):
        return "bad_json"
    if not isinstance(record, dict):
        return "not_an_object"
    return record


def _unique(pairs: list[tuple[str, object]]) -> Record:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise _DuplicateKeyError(one_line(str(pairs[0][0])))
    return record


# Built once: json.loads would build a decoder for every line.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=_unique)


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        # A lone surrogate is legal JSON and no legal text; written out as \\ud800 it stays a distinct id.
        return value if value is None or value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    return ("true" if value else "false") if isinstance(value, bool) else json.dumps(value)
