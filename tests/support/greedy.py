"""A strategy that needs as much memory as it is told, for what happens where there is not so much."""

from __future__ import annotations

import torch

from gnnrec.data.types import Observed
from gnnrec.learner import Learner
from gnnrec.strategies.fine_tune import FineTune


class Greedy(FineTune):
    """Fine-tunes beside `mib` MiB that it asks for at each update."""

    def __init__(self, mib: int = 1) -> None:
        super().__init__()
        self.mib = mib

    def update(self, learner: Learner, new: Observed) -> None:
        """Take the memory, then update."""
        held = torch.ones(self.mib << 20, dtype=torch.uint8)
        super().update(learner, new)
        del held
