"""JSON lines: one object per line, numbers kept as the text they were written in, so that long ids stay exact."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.data.clean.rows import ROW, Example, RowBatch, Tally
from gnnrec.data.read.dialect import raw_lines
from gnnrec.data.read.formats import BOM, Blob
from gnnrec.data.read.lines import lines, said, spoilt
from gnnrec.data.types import Ints

JsonRecord = dict[str, object]
_PATHS, _DEPTH = 1000, 8
"""Paths into objects that are told, and how deep they go."""


class _DuplicateKeyError(ValueError):
    pass


@dataclass(frozen=True, slots=True)
class JsonLines:
    """A file whose keys were collected; it is parsed again for its rows, so that it need not fit in memory.

    Attributes:
        blob: the file.
        names: keys; a key inside an object by its path, ``user.id``.
        encoding: of the text.
        record: the first one.
        paths: names that are paths.
        notes: what is unusual.
    """

    blob: Blob
    names: tuple[str, ...]
    encoding: str
    record: JsonRecord
    paths: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    headerless: bool = False

    def first(self) -> dict[str, str]:
        """Return the first record as text."""
        return {n: _text(_at(self.record, n)) or "" for n in self.names}

    def batches(self, names: Sequence[str]) -> Iterator[RowBatch]:
        """Yield the columns `names`; a record without a key has an empty cell there."""
        for records, aside in _parsed(self.blob, self.encoding):
            yield self._rows(records, aside, names)

    def raw(self, rows: Ints) -> Iterator[tuple[int, str]]:
        """Yield number and text of these lines."""
        return raw_lines(self.blob, self.encoding, False, rows)

    def _rows(self, records: list[tuple[int, JsonRecord]], aside: Tally, names: Sequence[str]) -> RowBatch:
        read, keep = len(records) + aside.total(), []
        for number, record in records:
            found = {n: record.get(n) if n not in self.paths else _at(record, n) for n in names}
            nested = next((v for v in found.values() if isinstance(v, dict | list)), None)
            if nested is None:
                keep.append((number, found))
            else:
                aside.add("nested_value", [number], [Example(self.blob.path.name, number, json.dumps(nested))])
        columns: dict[str, list[object]] = {n: [_text(found[n]) for _, found in keep] for n in names}
        columns[ROW] = [number for number, _ in keep]
        frame = pl.DataFrame(columns, schema={**dict.fromkeys(names, pl.String), ROW: pl.Int64})
        return RowBatch(frame, read, aside)


def open_jsonlines(blob: Blob, encoding: str) -> JsonLines:
    """Collect the keys of every record.

    Raises:
        GnnrecError: the file is one array, or no line is an object.
    """
    if blob.head.removeprefix(BOM).lstrip()[:1] == b"[":
        raise GnnrecError(f"{blob.path} is one JSON array; write one object per line (JSON lines): jq -c '.[]'")
    names: dict[str, None] = {}
    paths: dict[str, None] = {}
    first: JsonRecord | None = None
    found = Tally()
    for records, aside in _parsed(blob, encoding):
        for _, record in records:
            for key, value in record.items():
                if type(value) is dict:
                    # Objects that map ids to things have no end of keys, which name no column.
                    paths.update(dict.fromkeys(_paths(key, value)) if len(paths) < _PATHS else ())
                else:
                    names[key] = None
        first = first if first is not None or not records else records[0][1]
        found.merge(aside)
    if first is None:
        why = next((f" ({r}: '{e[0].value}')" for r, e in found.examples.items()), "")
        raise GnnrecError(f"{blob.path}: no line is a JSON object{why}; JSON lines have one object per line")
    new = [p for p in paths if p not in names]
    bad = spoilt(blob, encoding)
    notes = () if bad is None else (said(blob, encoding, bad),)
    return JsonLines(blob, (*names, *new), encoding, first, frozenset(new), notes)


def _paths(key: str, value: dict[str, object], depth: int = 0) -> Iterator[str]:
    """Yield the paths of what lies inside an object."""
    for inner, below in value.items():
        path = f"{key}.{inner}"
        yield from _paths(path, below, depth + 1) if isinstance(below, dict) and depth < _DEPTH else (path,)


def _at(record: JsonRecord, path: str) -> object:
    """Return what a record has under a key or, where there is no such key, at a path of keys; None: nothing."""
    if path in record:
        return record[path]
    for cut in (k for k, sign in enumerate(path) if sign == "."):
        below = record.get(path[:cut])
        if isinstance(below, dict) and (found := _at(below, path[cut + 1 :])) is not None:
            return found
    return None


def _parsed(blob: Blob, encoding: str) -> Iterator[tuple[list[tuple[int, JsonRecord]], Tally]]:
    """Yield, piece by piece, the records with their line numbers, and the lines that are none."""
    file = blob.path.name
    for piece in lines(blob, encoding):
        aside, records = Tally(), []
        shown = (Example(file, n, b.decode("utf-8", "backslashreplace")) for n, b in piece.undecodable)
        aside.add("invalid_utf8", [n for n, _ in piece.undecodable], shown)
        for number, line in enumerate(piece.text.to_list(), piece.first):
            if not line.strip():
                continue
            record = _parse(line)
            if isinstance(record, str):
                aside.add(record, [number], [Example(file, number, line)])
            else:
                records.append((number, record))
        yield records, aside


def _parse(line: str) -> JsonRecord | str:
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


def _unique(pairs: list[tuple[str, object]]) -> JsonRecord:
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
