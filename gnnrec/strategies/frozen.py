"""Frozen: the graph grows, the weights do not."""

from __future__ import annotations

from gnnrec.data.types import Observed
from gnnrec.learner import Learner
from gnnrec.strategies.base import Strategy


class Frozen(Strategy):
    """θ_t = θ_0 on the extended graph; new nodes get initial rows, and one propagation serves ("frozen/acc-graph")."""

    def update(self, learner: Learner, new: Observed) -> None:
        """Extend, select the blend, absorb valid."""
        learner.extend(new)
        learner.absorb(new)
