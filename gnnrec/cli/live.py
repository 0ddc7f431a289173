"""`gnnrec update`, `rollback` and `status`: keep a run's model up to date with its store."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnnrec.cli.parse import Parser
from gnnrec.config.typed import key_of
from gnnrec.core.errors import GnnrecError, one_line

if TYPE_CHECKING:
    from gnnrec.live.journal import Entry

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
    parser.add_argument("--allow", action="append", default=[], metavar="PREFIX", help="plug-ins the run may import")
    given = parser.parse_intermixed_args(rest)
    return _update(given)


def _update(given: argparse.Namespace) -> int:
    own = _own(given.overrides)
    from gnnrec.cli.train import prepare
    from gnnrec.live import run as live
    from gnnrec.runs.folder import locked
    from gnnrec.store.table import Store

    run = live.one_run(given.run)
    own = {k: own.get(k) or run.config.get(k) or default for k, default in _own([*_all()]).items()}
    prepare(run.config)
    with locked(run.folder):
        folder, store = live.open_live(run, given.store, own, given.allow), Store(given.store)
        rows = live.rows_behind(store, run)
        champion = folder.load(rows)
        entry, champion = live.updater(folder, given.blocked == "accept").round(
            champion, live.waiting(store, rows, champion.version), given.again
        )
    print(said(entry) if entry else f"nothing new: champion {champion.number} has version {champion.version}")
    return 0


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

    if not (given.run / "live" / journal.NAME).is_file():
        raise GnnrecError(f"{given.run} has no champions: `gnnrec update STORE {given.run}` makes them")
    with locked(given.run):
        print(said(turn_back(given.run / "live", given.to)))
    return 0


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


def _own(overrides: Sequence[str]) -> dict[str, Any]:
    """Return the groups that overrides change, as they make them."""
    if odd := [o for o in overrides if key_of(o).split(".")[0] not in OWN]:
        raise GnnrecError(
            f"'{one_line(odd[0])}' is not for `gnnrec update` to change; it takes policy=…, policy.KEY=… and live.KEY=…, "
            "everything else is the run's"
        )
    from gnnrec.config.compose import compose

    named = {key_of(o).split(".")[0] for o in overrides}
    return {k: v for k, v in compose(list(overrides)).items() if k in named} if overrides else {}


def _all() -> list[str]:
    return [f"{group}={option}" for group, option in (("policy", "every"), ("live", "default"))]
