"""Which objective fits the feedback of a data set."""

from __future__ import annotations

from gnnrec.objectives.base import Objective
from gnnrec.objectives.joint import Joint
from gnnrec.objectives.softmax import Softmax


def for_feedback(feedback: str, width: int = 64) -> Objective:
    """Return the default objective: `joint` for explicit feedback, `softmax` for implicit."""
    return Joint(width=width) if feedback == "explicit" else Softmax()
