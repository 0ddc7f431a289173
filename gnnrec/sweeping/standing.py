"""How the sweeps of an output folder stand: trials by state, the best so far, and what goes on with them. No study is opened.

output/sweep-ROW/sweep.json   what was asked for, by which command, and whether it came to an end
output/sweep-ROW.csv          every trial and its state
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gnnrec.core.errors import GnnrecError
from gnnrec.core.files import write_atomic
from gnnrec.core.locks import LOCK, held
from gnnrec.sweeping.plan import Plan
from gnnrec.sweeping.study import Tried, best_of
from gnnrec.sweeping.text import counts, from_csv, setting, valued

NAME = "sweep.json"
RUNNING, STOPPED, ENDED = "running", "stopped", "ended"
"""A driver is at it, or was killed; it was stopped, or failed; it has come to its end."""


@dataclass(frozen=True, slots=True)
class SweepNote:
    """What a sweep was asked for.

    Attributes:
        row: the strategy's name.
        command: what was typed.
        metrics: by which trials are compared.
        wanted: trials.
        state: `RUNNING`, `STOPPED` or `ENDED`.
    """

    row: str
    command: str
    metrics: tuple[str, ...]
    wanted: int
    state: str


@contextmanager
def noted(plan: Plan, folder: Path, command: str) -> Iterator[None]:
    """Keep a note of a sweep in its folder, which is locked, while it is driven."""
    note = SweepNote(plan.row, command, plan.metrics, plan.wanted, RUNNING)
    _write(folder, note)
    try:
        yield
    except BaseException:
        _write(folder, replace(note, state=STOPPED))
        raise
    _write(folder, replace(note, state=ENDED))


def _write(folder: Path, note: SweepNote) -> None:
    write_atomic(folder / NAME, json.dumps(asdict(note), indent=1))


def sweeps_of(output: Path) -> list[Path]:
    """Return the folders of the sweeps in an output folder, by name."""
    return sorted(path.parent for path in output.glob(f"sweep-*/{NAME}"))


def text(folder: Path) -> str:
    """Return how a sweep stands, in some lines.

    Args:
        folder: of the sweep, as `sweeps_of` returns it.

    Raises:
        GnnrecError: its note or its table is damaged.
    """
    try:
        given = json.loads((folder / NAME).read_text())
        note = SweepNote(**{**given, "metrics": tuple(given["metrics"])})
        table = folder.with_name(f"{folder.name}.csv")
        tried = from_csv(table.read_text(), note.metrics) if table.is_file() else []
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise GnnrecError(
            f"{folder / NAME} or its table is damaged: {error}; the command of the sweep writes both"
        ) from error
    who = held(folder / LOCK) if note.state == RUNNING else None
    if who is None:  # of those in flight nobody is at any more
        tried = [replace(t, state="interrupted") if t.state == "running" else t for t in tried]
    lines = [f"sweep of {note.row}, {_state(note, who)}: {counts(tried)}, of {note.wanted} wanted"]
    return "\n".join([*lines, *(f"  {line}" for line in _found(note, tried)), *_next(note, who, folder)])


def _state(note: SweepNote, who: str | None) -> str:
    if note.state == RUNNING:
        return f"driven by process {who}" if who is not None else "killed"
    return note.state


def _found(note: SweepNote, tried: Sequence[Tried]) -> Iterator[str]:
    """Yield the best trial so far, or the front, then those that are measured now, then those that failed."""
    best = best_of(tried, note.metrics)
    if not best:
        yield "best so far: n/a, no trial is complete"
    for t in best:
        which = "best so far" if len(note.metrics) == 1 else "on the front so far"
        seconds = "" if t.seconds is None else f"; {t.seconds:.2f} s an update"
        yield (
            f"{which}: trial {t.number}, {setting(t.params)}: valid "
            f"{valued(note.metrics, t.values or (), t.deviations)}{seconds}"
        )
    yield from (f"running: trial {t.number}, {setting(t.params)}" for t in tried if t.state == "running")
    yield from (f"failed: trial {t.number}, {setting(t.params)}: {t.more}" for t in tried if t.state == "failed")


def _next(note: SweepNote, who: str | None, folder: Path) -> Iterator[str]:
    if who is not None:
        return
    if note.state == ENDED:
        yield f"  page: {folder.with_name(f'{folder.name}.html')}; a larger sweep.trials goes on with it"
    else:
        yield f"  goes on by: {note.command}"
