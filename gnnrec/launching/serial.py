"""One run after the other, in the process of the command."""

from __future__ import annotations

from collections.abc import Sequence

from gnnrec.core.errors import GnnrecError
from gnnrec.runs.build import Scene
from gnnrec.runs.compare import Runner, in_turn
from gnnrec.runs.job import Job
from gnnrec.runs.progress import Progress


class Serial:
    """Each run when its turn comes."""

    wait = True

    def launch(self, jobs: Sequence[Job], scene: Scene, progress: Progress) -> Runner:
        """Return what runs a job, or reads it back."""
        return in_turn(jobs, scene, progress)

    def leave(self, jobs: Sequence[Job], scene: Scene, progress: Progress) -> str:
        """Refuse: what runs in the process of a command ends with it."""
        raise GnnrecError("launcher=serial runs in the command itself; launcher=processes launcher.wait=false leaves")
