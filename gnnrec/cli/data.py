"""`gnnrec data ingest|log|show|diff|checkout|verify|gc|forget|prove`: what needs no Hydra is here."""

from __future__ import annotations

import argparse
import copy
import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gnnrec.cli import printing
from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.core.pseudonyms import key_at, pseudonyms
from gnnrec.quality.rules import RULES, rules_of
from gnnrec.store import erase, export, proof
from gnnrec.store.delta_commits import Group, commits
from gnnrec.store.ingest import Policy, ingest
from gnnrec.store.source import groups, is_table
from gnnrec.store.table import BusyError, Store
from gnnrec.store.verify import verify

ABOUT = {
    "summary": "what a log or a store holds: counts, growth per increment, dirt (data=file data.path=FILE)",
    "ingest": "clean files into a new version of a store, which is made where there is none",
    "log": "a line per version",
    "show": "everything about one version: files, counts, first rows set aside, how it was cleaned",
    "diff": "what came between two versions",
    "checkout": "write the events up to a version to a file",
    "export": "write events: a store's to a file, or a log's as recbole, lenskit, rectools, delta or pyg have them (--as)",
    "verify": "hash every version's rows again; exit code 1 where something is wrong",
    "gc": "delete files that no version refers to",
    "forget": "take a user out of every version, after a dry run",
    "prove": "show that no file of store, runs and exports holds an id; exit code 1 where one does",
}
HELP = "\n".join(
    [
        "gnnrec data ACTION …  the upkeep of data: collected, cleaned, versioned, watched",
        "",
        "actions:",
        *(f"  {name:<10} {what}" for name, what in ABOUT.items()),
        "",
        "`gnnrec data ACTION --help` says what it takes.",
    ]
)
Compose = Callable[[list[str]], Mapping[str, Any]]
"""From overrides to the configuration of the group `data`."""
_OVERRIDE = re.compile(r"[+~]{0,2}data(\.[\w.]+)?=")
_KEY = re.compile(r"[+~]{0,2}[a-z][\w.]*=")
FILE = "gnnrec.data.datasets.File"
_PARTIAL = (".tmp", ".part", ".crdownload", ".swp")
_KNOWN = {"_target_", "_convert_"}
_MAKING = {"_target_", "_args_", "_partial_", "_recursive_", "_convert_"}
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
    parser.add_argument(
        "--verbose", action="store_true", help="with --follow: name the files that the store has already"
    )
    given = parser.parse_intermixed_args(rest)
    overrides = [g for g in given.given if _OVERRIDE.match(g)]
    files = [g for g in given.given if not _OVERRIDE.match(g)]
    _check_given(overrides, files)
    store, policy = Store(given.store), Policy(given.late, given.out_of_order, given.blocked)
    cleaning, rules = _cleaning(store, overrides, compose), rules_of(given.rules or RULES)
    if not files and given.follow is None:
        raise GnnrecError("data ingest needs a FILE, a glob, the folder of a Delta table, or --follow FOLDER")
    for group in groups(files, given.each):
        print(_one(store, group, cleaning, policy, rules)[1], flush=True)
    if given.follow is not None:
        follow(given, lambda group: _one(store, group, cleaning, policy, rules))
    return 0


def taking(
    store: Store, overrides: list[str], compose: Compose, later: list[Callable[[], None]] | None = None
) -> Callable[[Group], tuple[bool, str]]:
    """Return what takes files into a store as `data ingest` without flags does; what draws pages is left to the caller."""
    cleaning, policy, rules = _cleaning(store, overrides, compose), Policy(), rules_of(RULES)
    return lambda group: _one(store, group, cleaning, policy, rules, later)


def _check_given(overrides: list[str], files: list[str]) -> None:
    """Refuse keys that say nothing here: they would be passed over, or taken for files."""
    for override in overrides:
        if override.lstrip("+~").startswith("data.path="):
            raise GnnrecError("data.path= does nothing in `gnnrec data ingest`: name the files behind the store")
    for name in files:
        if _KEY.match(name) and not Path(name).exists():
            raise GnnrecError(
                f"'{one_line(name)}' is neither a file nor a key of data; "
                "`gnnrec data ingest` takes data=NAME and data.KEY=VALUE"
            )


def _cleaning(store: Store, overrides: list[str], compose: Compose) -> dict[str, Any]:
    """Return how to read the files: as said, the rest as the newest version was read, else by inference.

    With ``data=NAME`` among the overrides, nothing of the newest version counts.
    """
    if any(o.startswith("data=") for o in overrides):
        return _plain({**compose(overrides), "path": None})
    found = compose(["data=file", *overrides])
    if not store.exists or not store.versions:
        return _plain({**found, "path": None})
    before = store.versions[-1].cleaning
    merged = copy.deepcopy({**compose(["data=file"]), **before, "path": None})
    for override in overrides:
        _lay(merged, found, override.split("=", 1)[0].lstrip("+~").removeprefix("data.").split("."))
    for line in printing.changed(before, {**merged, "path": before.get("path")}):
        print(line, flush=True)
    return _plain(merged)


def _lay(onto: dict[str, Any], found: Mapping[str, Any], keys: Sequence[str]) -> None:
    """Take one value, at nested keys, from `found`; gone there, it goes here too."""
    key, *rest = keys
    if rest and isinstance(onto.get(key), dict) and isinstance(found.get(key), Mapping):
        _lay(onto[key], found[key], rest)
    elif key in found:
        onto[key] = copy.deepcopy(found[key])
    else:
        onto.pop(key, None)


def _plain(cleaning: dict[str, Any]) -> dict[str, Any]:
    """Return a cleaning that makes a `File` of plain values; a record of a store may come from anywhere.

    Raises:
        GnnrecError: it makes something else.
    """
    if cleaning.get("_target_") != FILE or _targets({k: v for k, v in cleaning.items() if k not in _KNOWN}):
        shown = one_line(str(cleaning.get("_target_")))
        raise GnnrecError(
            f"a store is read by {FILE} alone, not by {shown} or an object inside; choose one by data=NAME"
        )
    return cleaning


def _targets(value: object) -> bool:
    """Return whether an object to be made hides somewhere inside a value."""
    if isinstance(value, Mapping):
        return any(k in _MAKING or _targets(v) for k, v in value.items())
    return isinstance(value, list | tuple) and any(map(_targets, value))


def _one(
    store: Store,
    group: Group,
    cleaning: Mapping[str, Any],
    policy: Policy,
    rules: Mapping[str, Any],
    later: list[Callable[[], None]] | None = None,
) -> tuple[bool, str]:
    """Take files into the store; return whether a version came of it, and what is to be said."""
    from gnnrec.config.instantiate import instantiate

    held = store.from_origin(group.origin) if group.origin else None
    if held is not None:
        return False, f"{one_line(str(group.origin))}: already in version {held.number}"
    with group.readable() as files:
        log = instantiate({**cleaning, "path": [str(f) for f in files]}, (), at="data")
        done = ingest(store, log, cleaning, policy, rules, origin=group.origin, later=later)
    return done.version is not None, printing.ingested(store, done)


def follow(given: argparse.Namespace, take: Callable[[Group], tuple[bool, str]]) -> None:
    """Take what is completed in a folder until nothing comes for `idle` seconds or the user interrupts.

    What the store has already is counted once, and named where that is asked for.
    """
    if not given.follow.is_dir():
        raise GnnrecError(f"--follow {given.follow} is not a folder")
    done: set[object] = set()
    last, said = time.monotonic(), ""
    while given.idle is None or time.monotonic() - last < given.idle:
        try:
            found = _complete(given.follow, given.settle)
        except GnnrecError as error:  # it may be in order again soon
            found, said = [], _once(str(error), said)
        known = 0
        for stamp, group in found:
            if stamp in done:
                continue
            try:
                made, text = take(group)
                known += not made
                if made or given.verbose:
                    print(text, flush=True)
            except BusyError as error:  # the file waits for the other writer
                said, last = _once(str(error), said), time.monotonic()
                break
            except GnnrecError as error:  # one bad file must not stop those that follow
                print(f"gnnrec: {one_line(group.files[0].name)} was left out: {error}", flush=True)
            done.add(stamp)
            last = time.monotonic()  # what was completed while this was taken is looked at, however long it took
        if known and not given.verbose:
            print(f"{known:,} of {given.follow} already in the store (--verbose names them)", flush=True)
        time.sleep(max(min(given.settle, 1.0) / 2, 0.02))


def _once(text: str, said: str) -> str:
    """Print what was not just said, and return it."""
    if text != said:
        print(f"gnnrec: {text}", flush=True)
    return text


def _complete(folder: Path, settle: float) -> list[tuple[object, Group]]:
    """Return what can be taken: the commits of a Delta table, else files by name that nobody has written to lately.

    A link out of the folder is not followed.
    """
    if is_table(folder):
        return [(group.origin, group) for group in commits(folder)]
    found: list[tuple[object, Group]] = []
    for file in sorted(folder.iterdir()):
        try:
            status = file.stat()
        except FileNotFoundError:  # moved away meanwhile
            continue
        waiting = file.name.startswith(".") or file.suffix in _PARTIAL or not file.is_file() or not status.st_size
        inside = file.resolve().is_relative_to(folder.resolve())
        if inside and not waiting and time.time() - status.st_mtime >= settle:
            found.append(((file.name, status.st_size, status.st_mtime_ns), Group((file,))))
    return found


def run_log(parser: argparse.ArgumentParser, rest: Sequence[str]) -> int:
    """Print a line per version."""
    print(printing.log(_store(parser, rest)))
    return 0


def run_show(parser: argparse.ArgumentParser, rest: Sequence[str]) -> int:
    """Print everything about one version."""
    parser.add_argument("store", type=Path, help="folder of the store")
    parser.add_argument("version", type=int, nargs="?", help="the newest by default")
    given = parser.parse_args(rest)
    store = Store(given.store)
    print(printing.show(store, store.versions[-1] if given.version is None else store.version(given.version)))
    return 0


def run_diff(parser: argparse.ArgumentParser, rest: Sequence[str]) -> int:
    """Print what came between two versions."""
    parser.add_argument("store", type=Path, help="folder of the store")
    parser.add_argument("old", type=int)
    parser.add_argument("new", type=int)
    given = parser.parse_args(rest)
    store = Store(given.store)
    print(printing.diff(store, store.version(given.old), store.version(given.new)))
    return 0


def run_verify(parser: argparse.ArgumentParser, rest: Sequence[str]) -> int:
    """Hash every version's rows again; 1 where something is wrong."""
    wrong = 0
    store = _store(parser, rest)
    for number, problem in verify(store):
        wrong += problem is not None
        print(f"version {number}: {problem or 'ok'}")
    if store.foreign_change is not None:
        wrong += 1
        print(store.foreign_change)
    return int(wrong > 0)


def run_gc(parser: argparse.ArgumentParser, rest: Sequence[str]) -> int:
    """Delete what no version refers to."""
    parser.add_argument("--dry-run", action="store_true", help="say what would go")
    parser.add_argument("store", type=Path, help="folder of the store")
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
    parser.add_argument("store", type=Path, help="folder of the store")
    parser.add_argument("version", type=int)
    parser.add_argument("file", type=Path, help="to write: .parquet or .csv")
    given = parser.parse_args(rest)
    rows = export.write(Store(given.store), given.version, given.file)
    print(f"{rows:,} events up to version {given.version} in {given.file}")
    return 0


def run_forget(parser: argparse.ArgumentParser, rest: Sequence[str]) -> int:
    """Take a user out of the store, after a dry run."""
    parser.add_argument("store", type=Path, help="folder of the store")
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
    print(f"models keep what they learnt: gnnrec update {store.path} RUN --forget {shlex.quote(given.user)}")
    return 0


def run_prove(parser: argparse.ArgumentParser, rest: Sequence[str]) -> int:
    """Show that no file of a store, of runs and of exports holds an id; 1 where one does."""
    parser.add_argument("store", type=Path, help="folder of the store")
    parser.add_argument("--forgotten", required=True, metavar="ID", help="external id, exact")
    parser.add_argument(
        "--also",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="runs, bundles, exports; may be given again",
    )
    parser.add_argument("--key", type=Path, metavar="FILE", help="look for the id's pseudonym by privacy.key too")
    given = parser.parse_args(rest)
    for path in (given.store, *given.also, *([given.key] if given.key else [])):
        if not path.exists():
            raise GnnrecError(f"there is no {path}; name a store, what --also should look through, or a --key")
    names = {"id": given.forgotten}
    if given.key:
        names["pseudonym"] = pseudonyms([given.forgotten], key_at(given.key))[0]
    wrong = 0
    for path in (Store(given.store).path, *given.also):
        for what, name in names.items():
            found = proof.look(path, name)
            wrong += len(found.holding)
            print("\n".join([f"{path}: {found.said(what)}", *(f"  {p}" for p in found.holding)]))
    return int(wrong > 0)


def _store(parser: argparse.ArgumentParser, rest: Sequence[str]) -> Store:
    parser.add_argument("store", type=Path, help="folder of the store")
    return Store(parser.parse_args(rest).store)


ACTIONS = {
    "log": run_log,
    "show": run_show,
    "diff": run_diff,
    "checkout": run_checkout,
    "verify": run_verify,
    "gc": run_gc,
    "forget": run_forget,
    "prove": run_prove,
}
