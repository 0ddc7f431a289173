"""Elastic weight consolidation: weights that mattered for what came before are held, others are free.

Letters: n rows with an importance, d width.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gnnrec.core.errors import GnnrecError
from gnnrec.core.seeds import generator
from gnnrec.data.types import Interactions, Observed
from gnnrec.encoders.tables import TABLES
from gnnrec.learner import Learner
from gnnrec.strategies.base import Strategy, StrategyState, needs_rows
from gnnrec.strategies.distil.pull import distance
from gnnrec.strategies.distil.teacher import Teacher
from gnnrec.training.step import Step

FLOOR = 1e-3
"""Of a table's largest importance: rows that have none above this share of it are not stored."""


class EWC(Strategy):
    """Fine-tune with λ/2 · Σ_k Ω_k (θ_k − θ_k(t−1))² over input rows, Ω_t = γ Ω_{t−1} + F_t (online EWC).

    Kirkpatrick et al., PNAS 2017; online: Schwarz et al., "Progress & compress", ICML 2018. F is the diagonal of the empirical
    Fisher information of the objective's loss on a sample of the increment's events, at the weights that serve. *The estimate*:
    the sample is cut into chunks of `chunk` events; F = mean over chunks of (gradient of the chunk's mean loss)² · (events of
    the chunk). With chunk = 1 that is the mean of squared gradients of single events; with more it is the same in expectation
    where gradients of different events are independent and of mean 0, as at a minimum, for a chunk-th of the propagations. Rows
    without an importance above a thousandth of the table's largest are not stored. Other parameters than rows are free. What an
    event that is taken back has said stays in Ω, a sum of squares without names, and wears off by γ. Under ``fit.rows=touched``
    F is of the rows of each chunk's own nodes.

    Args:
        strength: λ.
        decay: γ, 1: nothing is forgotten.
        samples: most events per increment that F is estimated from; 0: none, Ω stays what `restore` gave.
        chunk: events per gradient.
        seed: of the sample.

    Raises:
        GnnrecError: a setting is out of its range; in `prepare`: the encoder keeps no rows.
    """

    def __init__(
        self, strength: float = 100.0, decay: float = 0.9, samples: int = 1000, chunk: int = 16, seed: int = 0
    ) -> None:
        super().__init__(seed)
        if strength < 0 or samples < 0 or chunk < 1 or not 0 <= decay <= 1:
            raise GnnrecError(
                "strategy.strength and strategy.samples must be 0 or more, strategy.chunk 1 or more and strategy.decay between "
                f"0 and 1, got {strength}, {samples}, {chunk} and {decay}"
            )
        self.strength, self.decay, self.samples, self.chunk = strength, decay, samples, chunk
        self.importance: dict[str, tuple[Tensor, Tensor]] = {}
        self._teacher: Teacher | None = None
        self._whole: dict[str, Tensor] = {}

    def remember(self, learner: Learner, new: Observed) -> None:
        """Keep the rows."""
        self._teacher = Teacher.of(learner)

    def prepare(self, learner: Learner, new: Observed) -> None:
        """Lay the importances out by row."""
        assert self._teacher is not None, "remember() comes first"
        needs_rows(learner, "ewc holds rows")
        self._whole = {name: torch.zeros_like(rows) for name, rows in self._teacher.rows.items()}
        for name, (node, rows) in self.importance.items():
            self._whole[name][node.to(rows.device)] = rows.to(self._whole[name])

    def penalty(self, step: Step) -> Tensor | float:
        """Return λ/2 · Σ Ω (θ − θ(t−1))²."""
        if not self.strength or self._teacher is None:
            return 0.0
        return self.strength / 2 * distance(step, self._teacher.rows, self._whole)

    def consolidate(self, learner: Learner, new: Observed) -> None:
        """Add what the increment's events tell to what was known."""
        self._teacher, self._whole = None, {}
        if not self.strength or not self.samples or not learner.encoder.keeps_rows:
            return
        found = self._fisher(learner, new)
        for name in TABLES:
            rows = found[name]
            if name in self.importance:
                node, old = self.importance[name]
                rows[node] += self.decay * old
            most = rows.amax(1) if len(rows) else rows.new_zeros(0)
            node = (most > FLOOR * most.max()).nonzero().squeeze(1) if len(rows) else most.long()
            self.importance[name] = node, rows[node].contiguous()

    def _fisher(self, learner: Learner, new: Observed) -> dict[str, Tensor]:
        """Return F by table, [n, d]."""
        drawn = self._drawn(new)
        found = {name: torch.zeros_like(rows, device="cpu") for name, rows in learner.encoder.tables().items()}
        chunks = [drawn.take(slice(k, k + self.chunk)) for k in range(0, len(drawn), self.chunk)]
        for chunk in chunks:
            for step in learner.loop(chunk):
                named = [n for n in TABLES if n in step.trained]
                grads = torch.autograd.grad(step.loss(), [step.trained[n].parameter for n in named], allow_unused=True)
                for name, grad in zip(named, grads, strict=True):
                    node = step.trained[name].node
                    if grad is not None and node is not None:
                        found[name][node.cpu()] += grad.square().cpu() * (len(step.batch.user) / len(chunks))
        return {name: rows.detach() for name, rows in found.items()}

    def _drawn(self, new: Observed) -> Interactions:
        size = min(self.samples, len(new.train))
        if not size:
            return new.train.take(slice(0, 0))
        chosen = generator(self.seed, new.index, "fisher").choice(len(new.train), size, replace=False)
        return new.train.take(np.sort(chosen))

    def state(self) -> StrategyState:
        """Return the importances and their rows."""
        return {
            f"{n}.{k}": x for n, pair in self.importance.items() for k, x in zip(("node", "rows"), pair, strict=True)
        }

    def restore(self, state: StrategyState) -> None:
        """Take up the importances."""
        self.importance = {n: (state[f"{n}.node"], state[f"{n}.rows"]) for n in TABLES if f"{n}.node" in state}
