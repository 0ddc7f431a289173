"""The bundle that serves is kept in step with the champion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gnnrec.core.errors import GnnrecError
from gnnrec.live.run import Live
from gnnrec.live.served import number_of, of_champion, served, state_of
from gnnrec.runs import saved
from gnnrec.runs.build import Config
from gnnrec.runs.folder import locked
from gnnrec.runs.progress import Progress
from gnnrec.runs.saved import Saved
from gnnrec.serving import bundle
from gnnrec.serving.bundle import Bundle
from gnnrec.serving.index import with_index
from gnnrec.serving.make import Served, made_of

KEPT = 3


def bundles_of(run: Path) -> Path:
    """Return the folder of a run's bundles."""
    return run / "bundles"


def publish(run: Path, made: Served, live: Config | None = None, index: str | None = None) -> Bundle:
    """Write what serves as a bundle, whole on disk before the pointer names it, and return it.

    Args:
        run: its folder.
        made: what serves.
        live: the configuration's `live`: how many bundles stay.
        index: "faiss" for an index in the bundle.

    Raises:
        GnnrecError: the run serves something else by now: an update has ended since what is published was read.
    """
    folder, keep, whole = bundles_of(run), _kept(live or {}), with_index(made_of(made), index)
    with locked(folder, wait=Progress()):  # an export beside an update
        _check_serves(run, made)
        written = bundle.write(folder, whole)
        bundle.point(folder, written.number)
        bundle.prune(folder, keep)
    return written


def _check_serves(run: Path, made: Served) -> None:
    if not (run / "status.json").is_file():
        return  # bundles without a run beside them
    (found, *_), was = saved.find(run), made.origin
    number = number_of(found)
    if (number, state_of(found, number)) != (was.number, was.state):
        raise GnnrecError(
            f"{run} was updated, rolled back or made anew while the bundle of champion {was.number} was made, and champion "
            f"{number} serves; `gnnrec export {run}` makes its bundle"
        )


def only_current(run: Path) -> None:
    """Remove all bundles and deltas but the bundle that serves: they hold whoever has been forgotten since."""
    if (folder := bundles_of(run)).is_dir():
        with locked(folder, wait=Progress()):
            bundle.remove_all_but_current(folder)


def in_step(kept: Live) -> Bundle | None:
    """Let the champion's bundle serve, where the run has bundles; None: it has none, or the right one serves already.

    What a champion's number and its state on disk say decides; call it again after a kill.
    """
    run, champion = kept.folder.saved, kept.champion
    current = bundle.pointed(bundles_of(run.folder))
    if current is None or bundle.made_from(current) == (champion.number, state_of(run, champion.number)):
        return None
    made = of_champion(kept.folder, champion, kept.store.side())
    return publish(run.folder, made, kept.folder.config["live"])


def back_to(run: Saved, number: int, given: Config, allow: Sequence[str] = ()) -> bool:
    """Let the bundle of an older champion serve again, made anew where it is gone; return whether the run has bundles.

    Args:
        run: that has been rolled back.
        number: of the champion.
        given: the configuration's `policy` and `live`, where the run's own do not hold.
        allow: prefixes of plug-ins that the run may import.
    """
    folder = bundles_of(run.folder)
    if bundle.pointed(folder) is None:
        return False
    place = bundle.place(folder, number)
    if bundle.made_from(place) == (number, state_of(run, number)):
        bundle.point(folder, number)
        return True
    try:
        publish(run.folder, served(run, given, allow), given["live"])
    except GnnrecError as error:
        raise GnnrecError(
            f"champion {number} serves again, but its bundle is gone and could not be made: {error}; "
            f"`gnnrec export {run.folder}` makes it"
        ) from None
    return True


def _kept(live: Config) -> int:
    """Return how many bundles stay."""
    found = int(live.get("bundles", KEPT))
    if found < 1:
        raise GnnrecError(f"live.bundles={found} must be 1 or more")
    return found
