"""How the runs of an output folder stand: done, running, waiting, interrupted, killed or failed, and why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gnnrec.core.errors import one_line
from gnnrec.core.locks import LOCK, held
from gnnrec.launching.tasks import RUN, Task, failure_of, launches
from gnnrec.reporting.listing import SHARED
from gnnrec.runs.folder import finished, standing

STATUS = "status.json"
ORDER = ("done", "running", "waiting", "not begun", "interrupted", "killed", "failed")
"""In which the count names them."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one run stands: a word of `ORDER`, and more where there is more to say."""

    run: str
    state: str
    more: str = ""


def standings(output: Path) -> list[Standing]:
    """Return how each run of an output folder stands, launched ones too that have not begun."""
    tasks = {
        task.folder.name: (task, held(launch.folder / LOCK) is not None)
        for launch in launches(output)
        for task in launch.tasks
        if task.kind == RUN
    }
    begun = {p.parent.name for p in output.glob(f"*/{STATUS}") if not p.parent.name.startswith(SHARED)}
    return [_standing(output / name, *tasks.get(name, (None, False))) for name in sorted(begun | set(tasks))]


def is_output(folder: Path) -> bool:
    """Return whether a folder holds runs and is no run; one finished run on a store alone is meant itself."""
    if (folder / STATUS).is_file():
        return False
    runs = [p.parent for p in folder.glob(f"*/{STATUS}") if not p.parent.name.startswith(SHARED)]
    if len(runs) == 1 and finished(runs[0]) and json.loads((runs[0] / STATUS).read_text()).get("versions"):
        return False
    return bool(runs or launches(folder))


def text(output: Path) -> str:
    """Return how the runs of an output folder stand, a line each and a count."""
    found = standings(output)
    width = max((len(one.run) for one in found), default=0)
    lines = [f"{one.run:<{width}}  {one.state}{f': {one.more}' if one.more else ''}" for one in found]
    counts = Counter(one.state for one in found)
    said = ", ".join(f"{counts[state]} {state}" for state in ORDER if counts[state])
    driven = [
        f"{launch.folder.name} is driven by {who}" for launch in launches(output) if (who := held(launch.folder / LOCK))
    ]
    return "\n".join([*lines, f"{len(found)} run{'' if len(found) == 1 else 's'}: {said or 'none'}", *driven])


def _standing(folder: Path, task: Task | None, driven: bool) -> Standing:
    now = standing(folder)
    if now == "done":
        return Standing(folder.name, "done")
    if now == "running" and (who := held(folder / LOCK)) is not None:
        return Standing(folder.name, "running", ", ".join([*_newest(folder), f"process {who}"]))
    if task is not None and (failure := failure_of(task)) is not None:
        return Standing(folder.name, "failed", one_line(str(failure["error"])))
    if now is None or driven:
        return Standing(folder.name, "waiting" if driven else "not begun")
    if now == "running":
        return Standing(folder.name, "killed", "; ".join([*_newest(folder), "resume=true goes on"]))
    state, _, more = now.partition(": ")
    return Standing(folder.name, state, more)


def _newest(folder: Path) -> Iterator[str]:
    """Yield the newest increment that a run has saved its state of."""
    if saved := sorted(int(p.name) for p in folder.glob("state/*") if p.name.isdigit()):
        yield f"increment {saved[-1]} is saved"
