"""Bias terms μ + b_u + b_i, solved in closed form from the events of each fit and pulled towards what they were."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from gnnrec.data.types import Floats, Interactions, Ints
from gnnrec.models.embeddings import Table

PASSES = 10
"""Alternations between users and items; the change after that is far below a rating's noise."""


@dataclass(frozen=True, slots=True)
class Biases:
    """μ, b_u [u] and b_i [i]."""

    mean: float
    user: Floats
    item: Floats


def ridge(
    events: Interactions,
    prior: Biases,
    shrinkage: float,
    held: tuple[int, int] = (0, 0),
    mean: float | None = None,
) -> Biases:
    """Return argmin Σ (r − μ − b_u − b_i)² + λ Σ (b − prior)² over biases of the events' nodes; others keep the prior.

    Koren, "Factor in the neighbors", TKDD 2010, section 2.1, solved by alternation, with one λ for both sides and with a
    prior in the place of 0: each bias is (Σ residual + λ · prior) / (count + λ).

    Args:
        events: observed values; without any, the prior is returned.
        prior: where biases are pulled.
        shrinkage: λ, in events.
        held: users and items numbered below these keep the prior whatever the events say.
        mean: μ; the events' mean where None.
    """
    if not len(events):
        return prior
    mean = float(events.value.mean()) if mean is None else mean
    user, item = prior.user.copy(), prior.item.copy()
    for _ in range(PASSES):
        _solve(item, events.item, events.value - mean - user[events.user], prior.item, shrinkage, held[1])
        _solve(user, events.user, events.value - mean - item[events.item], prior.user, shrinkage, held[0])
    return Biases(mean, user, item)


def _solve(bias: Floats, index: Ints, residual: Floats, prior: Floats, shrinkage: float, held: int) -> None:
    count = np.bincount(index, minlength=len(bias))
    count[:held] = 0
    at = np.flatnonzero(count)
    total = np.bincount(index, residual, minlength=len(bias))[at]
    bias[at] = (total + shrinkage * prior[at]) / (count[at] + shrinkage)


class BiasTerms(nn.Module):
    """The biases of a model; a fit re-solves those of its events' nodes, gradient descent leaves them alone.

    Solved rather than trained because a user has a handful of ratings: descent needs a penalty per node and a rate of
    its own to come near what one line gives exactly.

    Args:
        shrinkage: λ of `ridge`.
    """

    mean: Tensor

    def __init__(self, shrinkage: float = 5.0) -> None:
        super().__init__()
        self.shrinkage = shrinkage
        self.register_buffer("mean", torch.zeros(()))
        self.user, self.item = Table(1, trained=False), Table(1, trained=False)
        self._fresh = (0, 0)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Return μ + b_u + b_i of each pair, [n]."""
        return self.mean + (self.user.weight[user] + self.item.weight[item]).squeeze(1)

    def all_items(self, user: Tensor) -> Tensor:
        """Return μ + b_u + b_i for every item, [n, i]."""
        return self.mean + self.user.weight[user] + self.item.weight.T

    @torch.no_grad()
    def partial(self, user: Ints, item: Ints) -> Tensor:
        """Return μ plus the biases there are: a number without a row adds nothing, [n]."""
        return self.mean + _or_zero(self.user, user) + _or_zero(self.item, item)

    def grow(self, events: Interactions, num_users: int, num_items: int) -> None:
        """Append biases of new nodes, solved from `events` with the old ones and μ held; the first events set μ."""
        held, old = (len(self.user), len(self.item)), self._biases(num_users, num_items)
        new = ridge(events, old, self.shrinkage, held, None if held == (0, 0) else old.mean)
        self.user.append(torch.from_numpy(new.user[held[0] :, None]))
        self.item.append(torch.from_numpy(new.item[held[1] :, None]))
        self.mean = torch.tensor(new.mean, dtype=self.mean.dtype)
        self._fresh = held

    def refit(self, events: Interactions) -> None:
        """Solve μ and the biases of the events' nodes, pulled towards what they were; new nodes' towards 0.

        Every event is to be solved for once: what grew from these events is their own solution and no prior for them.
        """
        prior = self._biases(len(self.user), len(self.item))
        prior.user[self._fresh[0] :], prior.item[self._fresh[1] :] = 0, 0
        new = ridge(events, prior, self.shrinkage)
        self.mean = torch.tensor(new.mean, dtype=self.mean.dtype)
        self.user.replace(torch.from_numpy(new.user[:, None]).float())
        self.item.replace(torch.from_numpy(new.item[:, None]).float())

    def _biases(self, num_users: int, num_items: int) -> Biases:
        return Biases(float(self.mean), _column(self.user, num_users), _column(self.item, num_items))


def _column(table: Table, size: int) -> Floats:
    grown = np.zeros(size)
    grown[: len(table)] = table.weight.detach().cpu().numpy()[:, 0]
    return grown


def _or_zero(table: Table, at: Ints) -> Tensor:
    padded = torch.cat([table.weight.squeeze(1), table.weight.new_zeros(1)])
    return padded[torch.from_numpy(np.minimum(at, len(table)))]
