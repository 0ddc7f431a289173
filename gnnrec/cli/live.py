"""`gnnrec update`, `rollback` and `status`: keep a run's model up to date with its store."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnnrec.cli.parse import Parser
from gnnrec.config.typed import key_of
from gnnrec.core.errors import GnnrecError, one_line

if TYPE_CHECKING:
    from gnnrec.live.champion import LiveFolder
    from gnnrec.live.journal import Entry
    from gnnrec.live.run import Live
    from gnnrec.runs.saved import Saved
    from gnnrec.store.delta_commits import Group
    from gnnrec.store.table import Store

USUAL = ("policy=every", "live=default")
OWN = ("policy", "live")
"""Groups of the configuration that an update may change; the rest is the run's."""


def update(rest: Sequence[str]) -> int:
    """Bring a run's model up to the newest version of its store."""
    parser = Parser(
        prog="gnnrec update",
        description="Bring a run's model up to the newest version of its store: decide, update, judge, accept or adjust.",
        allow_abbrev=False,
    )
    parser.add_argument("store", type=Path, metavar="STORE", help="the store that the run was made from")
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a finished run (data=store)")
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="policy=…, live.KEY=… in the place of the run's"
    )
    parser.add_argument(
        "--blocked", default="refuse", choices=("accept", "refuse"), help="versions whose quality report says BLOCK"
    )
    parser.add_argument("--again", action="store_true", help="try again what did not pass")
    parser.add_argument("--follow", type=Path, metavar="FOLDER", help="ingest each new file there, and learn from it")
    parser.add_argument("--settle", type=float, default=1.0, help="seconds without a change that make a file complete")
    parser.add_argument("--idle", type=float, help="with --follow: stop after so many seconds without a new file")
    parser.add_argument(
        "--verbose", action="store_true", help="with --follow: name the files that the store has already"
    )
    parser.add_argument(
        "--forget",
        action="append",
        default=[],
        metavar="ID",
        help="make anew what has learnt from a user whom `gnnrec data forget` has taken out of the store",
    )
    parser.add_argument("--allow", action="append", default=[], metavar="PREFIX", help="plug-ins the run may import")
    given = parser.parse_intermixed_args(rest)
    return _update(given)


def _update(given: argparse.Namespace) -> int:
    chosen = own(given.overrides)
    from gnnrec.cli.train import prepare
    from gnnrec.live import run as live
    from gnnrec.runs.folder import locked
    from gnnrec.store.table import Store

    with locked(live.one_run(given.run).folder):
        run = live.one_run(given.run)  # as it is now that nobody else can make it anew
        chosen = {k: chosen.get(k) or run.config.get(k) or usual for k, usual in own(USUAL).items()}
        prepare(run.config)
        store = Store(given.store)
        run = _made_anew(given, run, store) if given.forget else run
        folder = live.open_live(run, given.store, chosen, given.allow)
        rounds = _relearnt(folder, store, bool(given.forget))
        kept = live.Live(folder, store, live.updater(folder, given.blocked == "accept"))
        kept.round(given.again, serve=lambda entry: _shown(kept, entry))
        left = _proven(run.folder, given.forget, rounds) if given.forget else []
        if given.follow is not None:
            _follow(given, kept, store)
    return 1 if left else 0


def _made_anew(given: argparse.Namespace, run: Saved, store: Store) -> Saved:
    """Return the run without those who are to be forgotten."""
    from gnnrec.live.forget import check_erased, remade
    from gnnrec.runs.progress import Progress

    check_erased(store, given.forget)
    return remade(run, given.store, given.allow, Progress())


def _relearnt(folder: LiveFolder, store: Store, forget: bool) -> int:
    """Make anew what the live run had learnt, or end what was cut off of that; return how many rounds were played again."""
    from gnnrec.live.forget import played, relearnt

    return (relearnt if forget else played)(folder, store, lambda entry: print(said(entry), flush=True))


def _proven(run: Path, users: Sequence[str], rounds: int) -> list[str]:
    """Remove bundles of before, say whether a file below the run still holds an id, and return those that do."""
    from gnnrec.live.publish import only_current
    from gnnrec.store.proof import look

    only_current(run)
    found = [look(run, user) for user in users]
    left = [str(path) for proof in found for path in proof.holding]
    what = f"{len(users)} user{'' if len(users) == 1 else 's'} forgotten: {rounds} rounds played again"
    print(f"{what}; {'an id is still in ' + ', '.join(left[:5]) if left else found[0].said()}")
    return left


def _shown(kept: Live, entry: Entry | None) -> None:
    """Print a decision, and let the bundle follow it."""
    print(said(entry) if entry else _nothing_new(kept), flush=True)
    print(_bundled(kept), end="", flush=True)


def _follow(given: argparse.Namespace, kept: Live, store: Store) -> None:
    """Take each new file of a folder into the store, and the store's new version up."""
    from gnnrec.cli import data
    from gnnrec.config.compose import compose

    pages: list[Callable[[], None]] = []
    ingest = data.taking(store, [], lambda overrides: dict(compose(overrides)["data"]), pages)

    def take(group: Group) -> tuple[bool, str]:
        made, text = ingest(group)
        lines = [text]

        def serve(entry: Entry | None) -> None:
            if entry:
                lines.append(said(entry))
                lines.append(_bundled(kept).rstrip("\n"))

        try:
            if made:
                kept.round(serve=serve)
        except GnnrecError as error:  # the version is in the store; it waits for the next update
            lines.append(f"gnnrec: {one_line(str(error))}; champion {kept.champion.number} stays")
        while pages:  # lists first: a page takes longer to draw than a small version to be read
            pages.pop()()
        return made, "\n".join(line for line in lines if line)

    data.follow(given, take)


def _bundled(kept: Live) -> str:
    """Keep the bundle that serves in step with the champion, and return a line where another one serves now."""
    from gnnrec.live.publish import in_step

    begin = time.perf_counter()
    made = in_step(kept)
    return f"  bundle {made.number} serves ({time.perf_counter() - begin:.2f} s)\n" if made else ""


def _nothing_new(kept: Live) -> str:
    from gnnrec.live.run import rows_behind

    rows = rows_behind(kept.store, kept.folder.saved, kept.champion.version).height
    waits = f"; {rows:,} events wait that were decided on already (--again tries them again)" if rows else ""
    return f"nothing new: champion {kept.champion.number} has version {kept.champion.version}{waits}"


def status(rest: Sequence[str]) -> int:
    """Print how a live run stands and write its page, or how the runs and sweeps of an output folder stand."""
    parser = Parser(
        prog="gnnrec status",
        description="How a run that is kept up to date stands, or the runs of a comparison or the trials of a sweep: done, "
        "running, waiting, failed.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "run", type=Path, metavar="RUN", help="folder of the run, or output folder of a comparison or a sweep"
    )
    parser.add_argument("--store", type=Path, help="where its store lies now, if it has moved")
    parser.add_argument(
        "--last", type=int, default=10, metavar="N", help="decisions to print (default 10); the page has all"
    )
    parser.add_argument(
        "--price",
        type=float,
        metavar="P",
        help="how often to update, where a second of an update must bring back P events with a recall of 1 (as policy.price)",
    )
    given = parser.parse_args(rest)
    if given.price is not None and not 0 < given.price < float("inf"):
        raise GnnrecError(
            f"--price {given.price:g} must be above 0: events with a recall of 1 that a second must bring back"
        )
    if told := _of_output(given.run):
        print(told)
        return 0
    from gnnrec.live import run as live
    from gnnrec.live.status import status_of
    from gnnrec.reporting import status as page
    from gnnrec.reporting import terminal
    from gnnrec.store.table import Store

    run = live.one_run(given.run)
    found = status_of(run, Store(given.store or Path(str(run.config["data"]["path"]))), given.price)
    print(found.answer)
    if found.decisions.height:
        shown = found.decisions.tail(given.last).drop("why")
        print(terminal.plain(shown))
    path = run.folder / "live" / "status.html"
    page.write(path, f"{run.folder.name}, kept up to date", found.answer, found.decisions)
    print(f"page: {path}")
    return 1 if found.problems else 0


def _of_output(folder: Path) -> str:
    """Return how the sweeps and the runs of an output folder stand; "" where it is none."""
    from gnnrec.launching import standing

    parts = []
    if next(folder.glob("sweep-*"), None) is not None:
        from gnnrec.sweeping import standing as sweeps

        parts += [sweeps.text(path) for path in sweeps.sweeps_of(folder)]
    if standing.is_output(folder):
        parts.append(standing.text(folder))
    return "\n".join(parts)


def rollback(rest: Sequence[str]) -> int:
    """Let an older champion serve again."""
    parser = Parser(prog="gnnrec rollback", description="Let an older champion serve again.", allow_abbrev=False)
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of the run")
    parser.add_argument(
        "--to", type=int, required=True, metavar="N", help="number of the champion; 0: the run's own model"
    )
    given = parser.parse_args(rest)
    from gnnrec.live import journal
    from gnnrec.live.champion import turn_back
    from gnnrec.runs.folder import locked
    from gnnrec.runs.saved import one

    # Where the folder is that of the run nothing else of it is read: its configuration may be damaged.
    folder = given.run if (given.run / "live").is_dir() else one(given.run).folder
    if not (folder / "live" / journal.NAME).is_file():
        raise GnnrecError(f"{folder} has no champions: `gnnrec update STORE {folder}` makes them")
    with locked(folder):
        print(said(turn_back(folder / "live", given.to)))
        _turn_bundle_back(folder, given.to)
    return 0


def _turn_bundle_back(folder: Path, number: int) -> None:
    """Let the bundle of an older champion serve again, where the run has bundles."""
    if not (folder / "bundles" / "current").is_file():
        return
    from gnnrec.live import publish
    from gnnrec.runs.saved import one

    run = one(folder)
    publish.back_to(run, number, settings(run))
    print(f"  bundle {number} serves")


def said(entry: Entry) -> str:
    """Return a decision in lines for a terminal."""
    numbers = entry.numbers
    what = (
        f"version {numbers[0]}" if len(numbers) == 1 else f"versions {numbers[0]} to {numbers[-1]}" if numbers else ""
    )
    head = f"{entry.outcome}: champion {entry.champion}" + (f", {what}, {entry.rows:,} events" if what else "")
    tries = [
        f"  {'passed' if t['passed'] else 'failed'}: {t['try']} ({t['seconds']:.1f} s): {t['reason']}"
        for t in entry.tries
    ]
    return "\n".join(
        [head, *([f"  policy: {entry.policy}"] if entry.policy else []), *tries]
        + ([] if tries else [f"  {entry.reason}"])
    )


def own(overrides: Sequence[str]) -> dict[str, Any]:
    """Return the groups that overrides change, as they make them."""
    if odd := [o for o in overrides if key_of(o).split(".")[0] not in OWN]:
        raise GnnrecError(
            f"'{one_line(odd[0])}' is not for `gnnrec update` to change; it takes policy=…, policy.KEY=… and live.KEY=…, "
            "everything else is the run's"
        )
    from gnnrec.config.compose import compose

    named = {key_of(o).split(".")[0] for o in overrides}
    return {k: v for k, v in compose(list(overrides)).items() if k in named} if overrides else {}


def settings(run: Saved) -> dict[str, Any]:
    """Return the groups that say how a run is kept up to date; the usual ones for a run from before there were any."""
    known = {key: run.config.get(key) for key in OWN}
    return known if all(known.values()) else {**own(USUAL), **{k: v for k, v in known.items() if v}}
