"""Scorers: what evaluation asks of a row of the table, whether a trained model or a reference.

A scorer ranks: `scores(user, num_items)` gives a float32 tensor [n, num_items], on the device of what it is computed from;
the scores of an item are the same for every `num_items`, so that slices with different candidates can be scored together (one
whose scores depend on the candidates, as a blend's do, says how under `mixed`: gnnrec.scorers.block). It may also predict
values: `predict` gives [n] floats, or None where the row predicts none. Letters: n users or pairs, i items, d width.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnrec.counters.counters import Counters
from gnnrec.data.types import Floats, Ints
from gnnrec.encoders.tables import Embeddings
from gnnrec.objectives.base import Objective


class Scorer(Protocol):
    """A row of the table, ready to be scored."""

    @property
    def scores(self) -> Callable[[Ints, int], Tensor] | None:
        """(user [n], num_items) → finite ranking scores [n, num_items] of items [0, num_items); None: ranks nothing."""
        ...

    def predict(self, user: Ints, item: Ints) -> Floats | None:
        """Return the expected value of each pair, [n], or None."""
        ...


class ModelScorer:
    """A trained model, with the fall-backs of the protocol.

    A user without an edge in what the model absorbed is ranked by the popularity of what it absorbed; an item without a row
    ranks below every item with one; a pair without an embedding is predicted by the biases it has.

    Args:
        z: embeddings of the absorbed graph.
        objective: turns them into scores and values.
        counters: counts of what the model absorbed.
        has_edge: [u] whether the user has an absorbed event.
        half_life: of the popularity, in absorbed events; infinite: all-time.
    """

    def __init__(
        self,
        z: Embeddings,
        objective: Objective,
        counters: Counters,
        has_edge: NDArray[np.bool_],
        half_life: float = math.inf,
    ) -> None:
        self.z, self.counters, self.has_edge = z, counters, has_edge
        self.objective = beside(objective, z.user.device)
        self._popularity = torch.from_numpy(counters.popularity.at(half_life)).float().to(z.user.device)

    @torch.no_grad()
    def scores(self, user: Ints, num_items: int) -> Tensor:
        """Return [n, num_items]."""
        known = self._known(user)
        found = self.objective.scores(self.z, self._placed(user[known])).float()
        if not known.all():
            ranked, found = found, self._popularity.expand(len(user), -1).clone()
            found[self._placed(known)] = ranked
        return to_width(found, num_items)

    @torch.no_grad()
    def predict(self, user: Ints, item: Ints) -> Floats | None:
        """Return [n], or None where the objective predicts no values."""
        prior = self.objective.prior(user, item)
        if prior is None:
            return None
        known = (user < len(self.z.user)) & (item < len(self.z.item))
        value = prior.to(self.z.user.device)
        pair = self._placed(user[known]), self._placed(item[known])
        if (expected := self.objective.predict(self.z, *pair)) is not None:
            value[self._placed(known)] = expected.to(value)
        result: Floats = value.double().cpu().numpy()
        return result

    def _placed(self, numbers: NDArray[Any]) -> Tensor:
        return torch.from_numpy(numbers).to(self.z.user.device)

    def _known(self, user: Ints) -> NDArray[np.bool_]:
        inside = user < len(self.has_edge)
        return inside & self.has_edge[np.where(inside, user, 0)] if len(self.has_edge) else inside


def beside(objective: Objective, device: torch.device) -> Objective:
    """Return the objective on `device`: itself where it is there, or has nothing to place."""
    held = [*objective.parameters(), *objective.buffers()]
    return objective if all(x.device == device for x in held) else copy.deepcopy(objective).to(device)


def silent(scores: Tensor) -> Tensor:
    """Return which rows of [n, i] are 0 everywhere: they say nothing of a user, [n]."""
    return ~scores.bool().any(1)


def to_width(scores: Tensor, num_items: int) -> Tensor:
    """Cut to the candidates, or pad items without a score so that they rank just below the lowest score of the row.

    Just below: a head that standardises the row must not see its scale change.
    """
    missing = num_items - scores.shape[1]
    if missing <= 0:
        return scores[:, :num_items]
    if not scores.shape[1]:
        return scores.new_zeros(len(scores), num_items)
    low = scores.amin(1, keepdim=True)
    below = low - 1e-5 * low.abs().clamp(min=1)
    return torch.cat([scores, below.expand(-1, missing)], dim=1)
