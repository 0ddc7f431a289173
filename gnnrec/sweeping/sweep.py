"""Search hyper-parameters with Optuna on increments 1 and 2, then score what was best on the rest of the stream.

The study lies in SQLite under the output folder and is continued when started again; the first trial is the configured setting.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

from gnnrec.core.errors import GnnrecError
from gnnrec.core.files import write_atomic
from gnnrec.runs.build import Scene
from gnnrec.runs.compare import RunnerOf, in_turn
from gnnrec.runs.folder import locked, safe
from gnnrec.runs.point import LAST
from gnnrec.runs.progress import Progress
from gnnrec.sweeping import conclude
from gnnrec.sweeping.crew import Alone, Crew
from gnnrec.sweeping.plan import Plan
from gnnrec.sweeping.search import Search
from gnnrec.sweeping.standing import noted
from gnnrec.sweeping.study import Ledger
from gnnrec.sweeping.text import as_csv


def sweep(
    plan: Plan,
    scene: Scene,
    command: str,
    progress: Progress,
    crew: Crew | None = None,
    launch: RunnerOf = in_turn,
) -> str:
    """Search, write the best setting, score it and the configured one on the rest, and return what to print.

    Args:
        plan: what `plan_of` returned.
        scene: data and stream.
        command: what was typed.
        progress: where to show it.
        crew: who measures points; None: this process, one after the other.
        launch: makes the runner of the runs on the rest.

    Raises:
        GnnrecError: the stream is too short, another process is at this sweep, or every point failed.
    """
    if len(scene.setting.stream.increments) <= LAST + 1:
        raise GnnrecError(f"a sweep needs increments behind {LAST}; the stream ends at {LAST} or before")
    folder = Path(plan.config["output"]) / f"sweep-{safe(plan.row)}"
    crew = crew or Alone(scene, progress)
    # Another would take its running points for killed ones.
    with locked(folder), closing(crew), noted(plan, folder, command):
        ledger = Ledger(plan, scene.setting.stream)
        _say_what(plan, ledger, progress)

        def told() -> None:
            write_atomic(conclude.points_file(plan), as_csv(ledger.tried(), plan.metrics))

        Search(plan, ledger, crew, progress.say, told).run()
        if ledger.searched_out:
            progress.say(f"no other points were proposed: the sweep ends with {len(ledger.first)} of {plan.wanted}")
        for state in folder.glob("points/*/state"):  # of points that were pruned
            shutil.rmtree(state, ignore_errors=True)
        return conclude.conclude(plan, ledger, scene, command, progress, launch)


def _say_what(plan: Plan, ledger: Ledger, progress: Progress) -> None:
    """Say how many points there are, before the first is paid for."""
    if ledger.found:
        progress.say(f"continuing a sweep with {ledger.found} finished trials")
    if plan.sampler == "grid":
        progress.say(f"a grid of {plan.wanted:,} points (sweep.trials={plan.trials} is for tpe and random)")
    elif plan.wanted < plan.trials:
        progress.say(f"the space has {plan.wanted:,} points; sweep.trials={plan.trials} asks for more")
