"""Points as tasks of a launcher."""

from __future__ import annotations

from gnnrec.launching.base import Launcher
from gnnrec.runs.build import Scene
from gnnrec.runs.progress import Progress
from gnnrec.sweeping.crew import Alone, Crew
from gnnrec.sweeping.plan import Plan


def crew_of(launcher: Launcher, plan: Plan, scene: Scene, progress: Progress) -> Crew:
    """Return who measures the points of a sweep under a launcher."""
    return Alone(scene, progress)
