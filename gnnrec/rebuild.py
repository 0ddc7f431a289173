"""Table, figures and report again, from finished runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from gnnrec import saved
from gnnrec.compare import Report, report
from gnnrec.errors import GnnrecError
from gnnrec.progress import Progress
from gnnrec.runs import TABLES, read_frames, references


def rebuild(folders: Sequence[Path], command: str, progress: Progress) -> Report:
    """Return the report of every finished run in `folders`, written under the first run's output.

    Raises:
        GnnrecError: nothing finished, or runs on different data.
    """
    runs = [run for folder in folders for run in saved.find(folder)]
    for run in runs:
        if not run.done:
            progress.say(f"{run.folder.name}: not finished, left out (resume=true goes on with it)")
    runs = [run for run in runs if run.done]
    if not runs:
        raise GnnrecError(f"no finished run in {', '.join(map(str, folders))}")
    for other in runs[1:]:
        if other.fingerprint != runs[0].fingerprint:
            raise GnnrecError(
                f"{runs[0].folder} and {other.folder} ran on different data ({runs[0].fingerprint[:12]} and "
                f"{other.fingerprint[:12]}); compare runs of one data set and stream"
            )
    scene, config = saved.scene_of(runs[0]), runs[0].config
    parts = [read_frames(run.folder) for run in runs] + [references(config, scene, progress)]
    frames = {t: pl.concat([p[t] for p in parts]) for t in TABLES}
    return report(frames, config, scene, command, progress)
