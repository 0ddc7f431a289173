"""A strategy of which one run in five fails, hangs or is killed, by its number."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from gnnrec.data.types import Observed
from gnnrec.learner import Learner
from gnnrec.strategies.fine_tune import FineTune

FATES = ("fails", "hangs", "is killed", "is killed once")


def fate(number: int) -> str | None:
    """Return what becomes of a run; None: it ends well."""
    return FATES[number // 5 % len(FATES)] if number % 5 == 3 else None


class Unlucky(FineTune):
    """Fine-tunes, unless its number is an unlucky one; notes in `folder` that it was killed."""

    def __init__(self, number: int = 0, folder: str = "") -> None:
        super().__init__()
        self.number, self.folder = number, folder

    def update(self, learner: Learner, new: Observed) -> None:
        """Meet its fate, or update."""
        note = Path(self.folder) / f"killed-{self.number}"
        match fate(self.number):
            case "fails":
                raise ZeroDivisionError("of an unlucky run")
            case "hangs":
                time.sleep(3600)
            case "is killed once" if note.exists():
                pass
            case "is killed" | "is killed once":
                note.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        super().update(learner, new)
