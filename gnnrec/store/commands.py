"""`gnnrec data ingest|log|show|diff|checkout|verify|gc|export|forget`: what needs no Hydra is here."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gnnrec.errors import GnnrecError, one_line
from gnnrec.quality.verdict import RULES, rules_of
from gnnrec.store import erase, export, tell
from gnnrec.store.ingest import Policy, ingest
from gnnrec.store.source import commits, groups, is_table
from gnnrec.store.table import Store
from gnnrec.store.verify import verify

Compose = Callable[[list[str]], Mapping[str, Any]]
"""From overrides to the configuration of the group `data`."""
_OVERRIDE = re.compile(r"[+~]{0,2}data(\.[\w.]+)?=")
_PARTIAL = (".tmp", ".part", ".crdownload", ".swp")
_CHOICES = ("accept", "refuse")


def run_ingest(parser: argparse.ArgumentParser, rest: Sequence[str], compose: Compose) -> int:
    """Make versions from files."""
    parser.add_argument("store", type=Path, help="folder of the store; made where there is none")
    parser.add_argument(
        "given", nargs="*", metavar="FILE|data.KEY=VALUE", help="files, globs or Delta tables; how to read"
    )
    parser.add_argument("--late", default="accept", choices=_CHOICES, help="rows earlier than the store's newest event")
    parser.add_argument("--out-of-order", default="refuse", choices=_CHOICES, help="files all of whose rows are late")
    parser.add_argument(
        "--blocked", default="refuse", choices=_CHOICES, help="a version whose quality report says BLOCK"
    )
    parser.add_argument(
        "--rules", type=Path, metavar="FILE", help="rules of the quality report, instead of the shipped ones"
    )
    parser.add_argument("--each", action="store_true", help="a version per file, in the given order (globs: by name)")
    parser.add_argument("--follow", type=Path, metavar="FOLDER", help="take each new file there once it is complete")
    parser.add_argument("--settle", type=float, default=2.0, help="seconds without a change that make a file complete")
    parser.add_argument("--idle", type=float, help="with --follow: stop after so many seconds without a new file")
    given = parser.parse_intermixed_args(rest)
    overrides = [g for g in given.given if _OVERRIDE.match(g)]
    files = [g for g in given.given if not _OVERRIDE.match(g)]
    store, policy = Store(given.store), Policy(given.late, given.out_of_order, given.blocked)
    cleaning, rules = _cleaning(store, overrides, compose), rules_of(given.rules or RULES)
    if not files and given.follow is None:
        raise GnnrecError("data ingest needs a FILE, a glob, the folder of a Delta table, or --follow FOLDER")
    for group in groups(files, given.each):
        _one(store, group, cleaning, policy, rules)
    if given.follow is not None:
        _follow(given, lambda group: _one(store, group, cleaning, policy, rules))
    return 0


def _cleaning(store: Store, overrides: list[str], compose: Compose) -> dict[str, Any]:
    """Return how to read the files: as said, else as the newest version was read, else by inference."""
    if not overrides and store.exists and store.versions:
        return {**compose(["data=file"]), **store.versions[-1].cleaning, "path": None}
    found = dict(compose(overrides if any(o.startswith("data=") for o in overrides) else ["data=file", *overrides]))
    return {**found, "path": None}


def _one(
    store: Store, files: Sequence[Path], cleaning: Mapping[str, Any], policy: Policy, rules: Mapping[str, Any]
) -> None:
    from gnnrec.instantiate import instantiate

    log = instantiate({**cleaning, "path": [str(f) for f in files]}, (), at="data")
    print(tell.ingested(store, ingest(store, log, cleaning, policy, rules)), flush=True)


def _follow(given: argparse.Namespace, take: Callable[[Sequence[Path]], None]) -> None:
    """Take what is completed in a folder until nothing comes for `idle` seconds or the user interrupts."""
    if not given.follow.is_dir():
        raise GnnrecError(f"--follow {given.follow} is not a folder")
    done: set[object] = set()
    last = time.monotonic()
    while given.idle is None or time.monotonic() - last < given.idle:
        for stamp, group in _complete(given.follow, given.settle):
            if stamp in done:
                continue
            done.add(stamp)
            last = time.monotonic()
            try:
                take(group)
            except GnnrecError as error:  # one bad file must not stop those that follow
                print(f"gnnrec: {one_line(group[0].name)} was left out: {error}", flush=True)
        time.sleep(min(given.settle, 1.0) / 2)


def _complete(folder: Path, settle: float) -> list[tuple[object, Sequence[Path]]]:
    """Return what can be taken: the commits of a Delta table, else files by name that nobody has written to lately."""
    if is_table(folder):
        return [(tuple(files), files) for files in commits(folder)]
    found: list[tuple[object, Sequence[Path]]] = []
    for file in sorted(folder.iterdir()):
        try:
            status = file.stat()
        except FileNotFoundError:  # moved away meanwhile
            continue
        waiting = file.name.startswith(".") or file.suffix in _PARTIAL or not file.is_file() or not status.st_size
        if not waiting and time.time() - status.st_mtime >= settle:
            found.append(((file.name, status.st_size, status.st_mtime_ns), [file]))
    return found


def run_log(parser: argparse.ArgumentParser, rest: Sequence[str]) -> int:
    """Print a line per version."""
    print(tell.log(_store(parser, rest)))
    return 0


def run_show(parser: argparse.ArgumentParser, rest: Sequence[str]) -> int:
    """Print everything about one version."""
    parser.add_argument("store", type=Path)
    parser.add_argument("version", type=int, nargs="?", help="the newest by default")
    given = parser.parse_args(rest)
    store = Store(given.store)
    print(tell.show(store, store.versions[-1] if given.version is None else store.version(given.version)))
    return 0


def run_diff(parser: argparse.ArgumentParser, rest: Sequence[str]) -> int:
    """Print what came between two versions."""
    parser.add_argument("store", type=Path)
    parser.add_argument("old", type=int)
    parser.add_argument("new", type=int)
    given = parser.parse_args(rest)
    store = Store(given.store)
    print(tell.diff(store, store.version(given.old), store.version(given.new)))
    return 0


def run_verify(parser: argparse.ArgumentParser, rest: Sequence[str]) -> int:
    """Hash every version's rows again; 1 where something is wrong."""
    wrong = 0
    for number, problem in verify(_store(parser, rest)):
        wrong += problem is not None
        print(f"version {number}: {problem or 'ok'}")
    return int(wrong > 0)


def run_gc(parser: argparse.ArgumentParser, rest: Sequence[str]) -> int:
    """Delete what no version refers to."""
    parser.add_argument("--dry-run", action="store_true", help="say what would go")
    parser.add_argument("store", type=Path)
    given = parser.parse_args(rest)
    store = Store(given.store)
    with store.writing():
        gone = export.leftovers(store)
        for path in [] if given.dry_run else gone:
            path.unlink()
        named = [*store.vacuum(given.dry_run), *(p.name for p in gone)]
    print(
        "\n".join(
            [*(f"  {name}" for name in named), f"{len(named)} files {'would go' if given.dry_run else 'deleted'}"]
        )
    )
    return 0


def run_checkout(parser: argparse.ArgumentParser, rest: Sequence[str]) -> int:
    """Write the events up to a version."""
    parser.add_argument("store", type=Path)
    parser.add_argument("version", type=int)
    parser.add_argument("file", type=Path, help="to write: .parquet or .csv")
    given = parser.parse_args(rest)
    rows = export.write(Store(given.store), given.version, given.file)
    print(f"{rows:,} events up to version {given.version} in {given.file}")
    return 0


def run_export(parser: argparse.ArgumentParser, rest: Sequence[str]) -> int:
    """Write all events."""
    parser.add_argument("store", type=Path)
    parser.add_argument("file", type=Path, help="to write: .parquet (exact), or .csv (made harmless for spreadsheets)")
    given = parser.parse_args(rest)
    print(f"{export.write(Store(given.store), None, given.file):,} events in {given.file}")
    return 0


def run_forget(parser: argparse.ArgumentParser, rest: Sequence[str]) -> int:
    """Take a user out of the store, after a dry run."""
    parser.add_argument("store", type=Path)
    parser.add_argument("--user", required=True, help="external id, exact")
    parser.add_argument("--yes", action="store_true", help="do it; without, only say what would be done")
    given = parser.parse_args(rest)
    store = Store(given.store)
    planned = erase.known(store, given.user)
    lines = [f"  version {version}: {n:,} events" for version, n in planned.rows.items()]
    lines += [f"  set aside, {name[:12]}…: {n:,} rows" for name, n in planned.aside.items()]
    lines.append(f"  {planned.files} data files of {planned.bytes:,} bytes are written anew")
    if planned.empty:
        lines = ["  no row of this user; an erasure that was cut off will be completed"]
    lines += [f"  the log keeps the name of the file {one_line(name)}, which holds the id" for name in planned.named]
    print("\n".join(lines))
    if not given.yes:
        print("dry run: nothing was changed; pass --yes to erase. Models trained before keep what they learnt.")
        return 0
    print(f"erased; certificate: {erase.erase(store, given.user)}")
    return 0


def _store(parser: argparse.ArgumentParser, rest: Sequence[str]) -> Store:
    parser.add_argument("store", type=Path)
    return Store(parser.parse_args(rest).store)


ACTIONS = {
    "log": run_log,
    "show": run_show,
    "diff": run_diff,
    "checkout": run_checkout,
    "verify": run_verify,
    "gc": run_gc,
    "export": run_export,
    "forget": run_forget,
}
