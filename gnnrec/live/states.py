"""States of champions: where they lie, whether they are whole, and whether they are those that the journal says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gnnrec.core import resources
from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.core.files import sums_of
from gnnrec.live.journal import Entry, lineage
from gnnrec.runs import state
from gnnrec.runs.state import State


def place(folder: Path, number: int) -> Path:
    """Return where the state of a champion lies below the folder of a live run."""
    return folder / "states" / f"{number:06d}"


def read(folder: Path, entry: Entry) -> State | str:
    """Return the state that a decision made a champion of, or what is wrong with it."""
    path, name = place(folder, entry.champion), f"the state of champion {entry.champion}"
    if not path.is_dir():
        return f"{name} is gone"
    try:
        found, model = state.read_state(path), sums_of(path)[state.WEIGHTS]
    except GnnrecError as error:  # of another version
        return str(error)
    except state.DAMAGED as error:
        if resources.of_files(error) or resources.of_memory(error):
            raise
        return f"{name} is damaged ({one_line(str(error))})"
    if entry.model and model != entry.model:
        return f"{name} is not the one that was judged (weights {model[:12]}, {entry.model[:12]} in the journal)"
    return found


def way_back(folder: Path, entries: Sequence[Entry], number: int) -> str:
    """Return the command that has the newest whole champion before this one serve."""
    older = lineage(entries, number)[:-1]
    whole = next((e.champion for e in reversed(older) if isinstance(read(folder, e), State)), 0)
    return f"`gnnrec rollback {folder.parent} --to {whole}` goes back to the newest before it that is whole"
