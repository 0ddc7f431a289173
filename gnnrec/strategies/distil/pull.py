"""Pull: fine-tuning that is held to where the rows were.

Letters: u users, i items, d width.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Observed
from gnnrec.learner import Learner
from gnnrec.strategies.base import Strategy, needs_rows
from gnnrec.strategies.distil.teacher import Teacher
from gnnrec.training.step import Step


class Pull(Strategy):
    """Fine-tune with λ · Σ_v c_v ‖x_v − x_v(t−1)‖² over the trained rows of nodes that were known before (L2-SP).

    x are input rows; c_v = d_v(t−1) / d_v(t), so that a node of which much is new may move (the weight of GraphSAIL's
    self-information, Xu et al., CIKM 2020, which scales it by its norm over all nodes; here the largest is 1), or 1. The old
    model as a start and not as a target: λ = 0. It needs no state: before an increment the model is the old one.

    Args:
        strength: λ.
        by_degree: whether c_v is the ratio of degrees; False: 1.
        seed: of nothing; it makes no random choice.

    Raises:
        GnnrecError: λ is negative; in `prepare`: the encoder keeps no rows.
    """

    def __init__(self, strength: float = 0.01, by_degree: bool = True, seed: int = 0) -> None:
        super().__init__(seed)
        if strength < 0:
            raise GnnrecError(f"strategy.strength={strength} must be 0 or more")
        self.strength, self.by_degree = strength, by_degree
        self._teacher: Teacher | None = None
        self._weight: Mapping[str, Tensor] = {}

    def remember(self, learner: Learner, new: Observed) -> None:
        """Keep the rows."""
        self._teacher = Teacher.of(learner)

    def prepare(self, learner: Learner, new: Observed) -> None:
        """Weigh the old nodes."""
        assert self._teacher is not None, "remember() comes first"
        needs_rows(learner, "pull holds rows")
        weights = self._teacher.shares(learner.seen)
        if not self.by_degree:
            weights = torch.ones_like(weights[0]), torch.ones_like(weights[1])
        self._weight = dict(zip(("user", "item"), weights, strict=True))

    def penalty(self, step: Step) -> Tensor | float:
        """Return λ · Σ_v c_v ‖x_v − x_v(t−1)‖²."""
        if not self.strength or self._teacher is None:
            return 0.0
        return self.strength * distance(
            step, self._teacher.rows, {name: c.unsqueeze(1) for name, c in self._weight.items()}
        )


def distance(step: Step, then: Mapping[str, Tensor], weight: Mapping[str, Tensor]) -> Tensor:
    """Return Σ w · (x − x(t−1))² over the trained rows of known nodes.

    Args:
        step: has the rows.
        then: by name, the rows they had, [n, d].
        weight: by name, of each row or number, [n, 1] or [n, d].
    """
    parts = []
    for name, was in then.items():
        now, node = step.trained[name].below(len(was))
        parts.append((weight[name][node] * (now - was[node]).square()).sum())
    return torch.stack(parts).sum()
