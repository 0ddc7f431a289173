"""Stale: nothing changes at all."""

from __future__ import annotations

from gnnrec.data.types import Observed
from gnnrec.learner import Learner
from gnnrec.strategies.base import Strategy


class Stale(Strategy):
    """θ_t = θ_0 on the base graph, with the base's counters and blend ("frozen/base-graph" in the literature)."""

    def update(self, learner: Learner, new: Observed) -> None:
        """Do nothing."""
