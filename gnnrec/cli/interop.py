"""`gnnrec data export` in the forms of other tools, and `gnnrec results`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from gnnrec.cli.parse import Parser
from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.core.files import write_atomic
from gnnrec.serving.lists import KINDS, check_target
from gnnrec.store import export as spreadsheet
from gnnrec.store.source import is_table
from gnnrec.store.table import Store

FORMATS = ("recbole", "lenskit", "rectools", "delta", "pyg")
_OVERRIDE = re.compile(r"[+~]{0,2}(data|stream|evaluation)(\.[\w.]+)?=")
Compose = Callable[[list[str]], Mapping[str, Any]]
"""From overrides to the whole configuration."""


def run_export(parser: argparse.ArgumentParser, rest: Sequence[str], compose: Compose) -> int:
    """Write events as one file, or as another tool has them."""
    parser.add_argument(
        "given",
        nargs="+",
        metavar="SOURCE OUT|KEY=VALUE",
        help="a store, a file, a folder of RecBole files (or data=NAME …), and what to write; stream=… and data=… say how",
    )
    parser.add_argument(
        "--as", dest="form", choices=FORMATS, help="without: one .parquet (exact) or .csv of a store's events"
    )
    parser.add_argument("--up-to", type=int, metavar="T", help="what is absorbed once increment T has been taken up")
    parser.add_argument(
        "--split", type=int, metavar="T", help="train, valid and test as increment T has them (test: T + 1)"
    )
    given = parser.parse_intermixed_args(rest)
    overrides = [g for g in given.given if _OVERRIDE.match(g)]
    names = [g for g in given.given if not _OVERRIDE.match(g)]
    source, out = _places(names, overrides)
    _check_asked(given, source, overrides)
    _check_out(given, out)
    if given.form is None:
        print(f"{spreadsheet.write(Store(str(source)), None, out):,} events in {out}")
        return 0
    if given.form == "delta":
        return _delta(Store(str(source)), out)
    config = compose([*_source(source), *overrides])
    print("\n".join(_written(given.form, config, out, given.up_to, given.split)))
    return 0


def _places(names: Sequence[str], overrides: Sequence[str]) -> tuple[str | None, Path]:
    """Return source, where it is no override, and target."""
    named = any(o.lstrip("+~").startswith(("data=", "data.path=")) for o in overrides)
    wanted = 1 if named else 2
    if len(names) != wanted:
        what = "OUT alone, as data= says what to read" if named else "SOURCE and OUT"
        raise GnnrecError(f"data export takes {what}; got {len(names)}: {one_line(' '.join(names)) or 'nothing'}")
    return None if named else names[0], Path(names[-1])


def _check_asked(given: argparse.Namespace, source: str | None, overrides: Sequence[str]) -> None:
    """Refuse flags and keys that would say nothing."""
    cut = [f for f, value in (("--up-to", given.up_to), ("--split", given.split)) if value is not None]
    if len(cut) > 1:
        raise GnnrecError("--up-to and --split exclude each other: all that is absorbed, or it in three parts")
    if given.form in (None, "delta"):
        if source is None:
            what = "a file without --as" if given.form is None else "a Delta table"
            raise GnnrecError(
                f"data export writes a store as {what}: name its folder instead of data=, or choose another --as"
            )
        if cut or overrides:
            raise GnnrecError(f"{(cut or overrides)[0]} does nothing here: all versions are written")
    if given.form == "pyg" and given.split is not None:
        raise GnnrecError("--as pyg takes --up-to T: a graph holds what is absorbed, and edges say which were valid")


def _check_out(given: argparse.Namespace, out: Path) -> None:
    """Refuse a target that could not be written, before anything is read for it."""
    if given.form == "pyg" and out.suffix != ".pt":
        raise GnnrecError(f"OUT {out} must end in .pt")
    if given.form in ("lenskit", "rectools"):
        if given.split is None:
            check_target(out, "OUT")
        elif out.suffix in KINDS:
            raise GnnrecError(f"--split writes three files: name a folder instead of {out}")


def _source(source: str | None) -> list[str]:
    """Return the overrides that read a path: a store by its versions, a folder of RecBole files, else a file."""
    if source is None:
        return []
    path = Path(source)
    if is_table(path):
        return ["data=store", f"data.path={_quoted(source)}", "stream=by_version"]
    if path.is_dir() or path.suffix == ".inter":
        return ["data=recbole", f"data.path={_quoted(source)}"]
    return ["data=file", f"data.path={_quoted(source)}"]


def _quoted(path: str) -> str:
    escaped = path.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _written(form: str, config: Mapping[str, Any], out: Path, upto: int | None, cut: int | None) -> list[str]:
    """Write what is asked for and return what to say."""
    from gnnrec.config.instantiate import instantiate
    from gnnrec.interop import extract

    whole = upto is None and cut is None and form != "pyg"
    splitter = None if whole else instantiate(config["stream"], (), at="stream")
    log = instantiate(config["data"], (), at="data").load(keep=() if splitter is None else splitter.columns)
    if splitter is None:
        _say(log, log.notes)
        return _tables(form, extract.whole(log), out)
    stream = splitter.build(log)
    _say(log, stream.notes)
    if form == "pyg":
        return _graph(stream, len(stream.increments) - 1 if upto is None else upto, out)
    if cut is None:
        assert upto is not None
        return _tables(form, extract.upto(log, stream, upto), out)
    return _tables(form, extract.split(log, stream, cut, str(config["evaluation"]["mask"])), out)


def _say(log: Any, notes: Sequence[str]) -> None:
    """Say on stderr how the log was read, and how much of it was set aside."""
    aside = sum(log.counts.set_aside.values())
    more = (
        [f"{aside:,} of {log.counts.rows_read:,} rows were set aside; `gnnrec data summary` says why"] if aside else []
    )
    for note in dict.fromkeys([*notes, *more]):
        print(f"note: {one_line(note)}", file=sys.stderr, flush=True)


def _tables(form: str, found: Any, out: Path) -> list[str]:
    from gnnrec.interop import frames, recbole

    counts = ", ".join(f"{p.height:,} {name or 'events'}" for name, p in found.parts.items())
    if form == "recbole":
        files = recbole.write_recbole(found, out)
        return [*(f"note: {note}" for note in found.notes), f"{counts}: {', '.join(f.name for f in files)} in {out}"]
    columns = {"lenskit": frames.lenskit_columns, "rectools": frames.rectools_columns}[form]
    if "" in found.parts:
        write_table(columns(found.whole), out, "OUT")
        return [f"{counts} in {out}"]
    kind = ".csv"
    out.mkdir(parents=True, exist_ok=True)
    for name, part in found.parts.items():
        write_table(columns(part), out / f"{name}{kind}", "OUT")
    return [
        *(f"note: {note}" for note in found.notes),
        f"{counts}: {', '.join(f'{n}{kind}' for n in found.parts)} in {out}",
    ]


def _graph(stream: Any, t: int, out: Path) -> list[str]:
    from gnnrec.interop.hetero import RATES, hetero, save

    data = hetero(stream, t)
    save(data, out)
    counts = (
        f"{data['user'].num_nodes:,} users, {data['item'].num_nodes:,} items, {data[RATES].num_edges:,} events each way"
    )
    return [f"{counts}, up to increment {t}: {out}", "torch.load and HeteroData.from_dict read it (docs/interop.md)"]


def _delta(store: Store, out: Path) -> int:
    from gnnrec.interop.delta import write_delta

    done = write_delta(store, out)
    numbers = ", ".join(map(str, done.written)) or "none"
    print(f"{out}: written versions {numbers}; had {len(done.held)} already")
    if done.empty:
        print(f"without rows, and so without a commit: {', '.join(map(str, done.empty))}")
    print(f"equal versions again: gnnrec data ingest STORE {out} {' '.join(done.options)}")
    return 0


def results(rest: Sequence[str]) -> int:
    """Print or write a table of a run or comparison."""
    from gnnrec.interop.results import TABLES
    from gnnrec.interop.results import results as table_of

    parser = Parser(prog="gnnrec results", description="A table of a finished run or comparison.", allow_abbrev=False)
    parser.add_argument("folder", type=Path, metavar="DIR", help="of a run, or the output folder of a comparison")
    parser.add_argument("--table", default="results", choices=TABLES)
    parser.add_argument("--output", type=Path, metavar="FILE", help=".csv, .tsv or .parquet; without, CSV is printed")
    given = parser.parse_args(rest)
    found = table_of(given.folder, given.table)
    if given.output is None:
        sys.stdout.write(found.write_csv())
        return 0
    write_table(found, given.output, "--output")
    print(f"{found.height:,} rows: {given.output}")
    return 0


def write_table(frame: pl.DataFrame, path: Path, option: str) -> None:
    """Write a frame by the ending of its file, whole or not at all; in text, times are ISO 8601."""
    check_target(path, option)
    buffer = BytesIO()
    if path.suffix == ".parquet":
        frame.write_parquet(buffer)
    else:
        frame.write_csv(
            buffer, separator="\t" if path.suffix == ".tsv" else ",", datetime_format="%Y-%m-%d %H:%M:%S%.f"
        )
    try:
        write_atomic(path, buffer.getvalue())
    except OSError as error:
        raise GnnrecError(f"{option} {path} cannot be written: {error.strerror}; choose another file") from error
