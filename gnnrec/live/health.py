"""What is wrong with a live run, without loading it: each a line with what to do, as `gnnrec update` would say it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from gnnrec.core import resources
from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.live import pointer, states
from gnnrec.live.journal import Entry, Journal, lineage
from gnnrec.runs import saved, state
from gnnrec.runs.folder import differing
from gnnrec.runs.saved import Saved


def champion_of(run: Saved) -> tuple[int, list[Entry], list[str]]:
    """Return the number of what serves, the decisions that can be read, and what is wrong with either."""
    folder = run.folder / "live"
    entries, wrong = Journal(folder).readable()
    number, found = entries[-1].champion if entries else 0, [wrong] if wrong else []
    try:
        found += [odd] if (odd := pointer.served(folder, entries)[1]) else []
    except GnnrecError as error:
        found.append(str(error))
    return number, entries, found


def problems(run: Saved, contents: Mapping[int, str]) -> list[str]:
    """Return what keeps a live run from being brought up to date, a line each.

    Args:
        run: finished.
        contents: what the rows of each version of its store hash to now.
    """
    number, entries, found = champion_of(run)
    found += _said(lambda: saved.check_settings(run))
    now = {v: contents.get(int(v), "") for v in run.versions}
    if now != run.versions:
        found.append(f"the data have changed since {run.folder} ran ({differing(run.versions, now)})")
    chain: list[Entry] = []
    found += _said(lambda: chain.extend(lineage(entries, number)))
    found += _said(lambda: check_data(chain, contents, run))
    if chain:
        found += _state(run, entries, chain[-1])
    return found if number else [*found, *_own_state(run)]


def check_data(chain: Sequence[Entry], contents: Mapping[int, str], run: Saved) -> None:
    """Refuse data that are not those a champion was made of.

    Args:
        chain: the decisions that made it.
        contents: what the rows of each version hash to now.
        run: that it goes on from.

    Raises:
        GnnrecError: with what to go back to.
    """
    for entry in chain:
        if (wrong := changed(entry, contents, run)) is not None:
            raise GnnrecError(
                f"champion {entry.champion} {wrong}; after `gnnrec data forget`, `gnnrec update STORE RUN --forget ID` makes "
                f"it anew; `gnnrec rollback {run.folder} --to {entry.parent}` goes back to before it"
            )


def changed(entry: Entry, contents: Mapping[int, str], run: Saved) -> str | None:
    """Return how the data of a decision, or the run that it goes on from, are not what they were; None: they are.

    Args:
        entry: the decision.
        contents: what the rows of each version hash to now.
        run: as it is now.
    """
    if entry.run != run.fingerprint:
        return "goes on from a run on other data, which was made anew since"
    for number, then in entry.versions.items():
        if (found := contents.get(int(number))) != then:
            how = "is gone" if found is None else f"was {then[:12]} and is {found[:12]} (erased from, or made anew)"
            return f"has learnt version {number} of the store, which {how}"
    return None


def _state(run: Saved, entries: Sequence[Entry], made: Entry) -> Iterator[str]:
    folder = run.folder / "live"
    if isinstance(wrong := states.read(folder, made), str):
        yield f"{wrong}; {states.way_back(folder, entries, made.champion)}"


def _own_state(run: Saved) -> Iterator[str]:
    """Yield what is wrong with the run's own newest state, which serves as long as there is no champion."""
    places = sorted(p for p in (run.folder / "state").glob("[0-9]*"))
    if not places:
        yield f"{run.folder} holds no state; run it again"
        return
    try:
        state.read_state(places[-1])
    except GnnrecError as error:
        yield str(error)
    except state.DAMAGED as error:
        if resources.of_files(error) or resources.of_memory(error):
            raise
        yield f"state {places[-1]} is damaged ({one_line(str(error))}); the one before it serves"


def _said(check: Callable[[], object]) -> list[str]:
    try:
        check()
    except GnnrecError as error:
        return [str(error)]
    return []
