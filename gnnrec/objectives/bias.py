"""Bias terms μ + b_u + b_i, solved in closed form as events are absorbed and pulled towards what they were."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from gnnrec.data.types import Floats, Interactions, Ints
from gnnrec.encoders.tables import Table

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
    shrinkage: float | tuple[Floats, Floats],
    held: tuple[int, int] = (0, 0),
    mean: float | None = None,
) -> Biases:
    """Return argmin Σ (r − μ − b_u − b_i)² + Σ λ_b (b − prior)² over biases of the events' nodes; others keep the prior.

    Koren, "Factor in the neighbors", TKDD 2010, section 2.1, solved by alternation, with a prior in the place of 0: each
    bias is (Σ residual + λ_b · prior) / (count + λ_b).

    Args:
        events: observed values; without any, the prior is returned.
        prior: where biases are pulled.
        shrinkage: λ_b in events, one for all or ([u], [i]).
        held: users and items numbered below these keep the prior whatever the events say.
        mean: μ; the events' mean where None.
    """
    if not len(events):
        return prior
    mean = float(events.value.mean()) if mean is None else mean
    user, item = prior.user.copy(), prior.item.copy()
    pull_user, pull_item = shrinkage if isinstance(shrinkage, tuple) else (shrinkage, shrinkage)
    for _ in range(PASSES):
        _solve(item, events.item, events.value - mean - user[events.user], prior.item, pull_item, held[1])
        _solve(user, events.user, events.value - mean - item[events.item], prior.user, pull_user, held[0])
    return Biases(mean, user, item)


def _solve(bias: Floats, index: Ints, residual: Floats, prior: Floats, pull: float | Floats, held: int) -> None:
    count = np.bincount(index, minlength=len(bias))
    at = held + np.flatnonzero(count[held:])
    total = np.bincount(index, residual, minlength=len(bias))[at]
    strength = np.broadcast_to(pull, bias.shape)[at]
    bias[at] = (total + strength * prior[at]) / (count[at] + strength)


class BiasTerms(nn.Module):
    """The biases of a model, counters like popularity: solved from events as these are absorbed, never trained.

    A user has a handful of ratings: descent needs a penalty per node and a rate of its own to come near what one line gives
    exactly. Events enter once each: a bias is pulled towards what earlier events made it, with the weight of those events,
    `memory` at most, so that it follows a taste that drifts.

    Args:
        shrinkage: λ of `ridge`, the pull of a node without events towards 0, in events.
        memory: most earlier events that a bias weighs against new ones.
    """

    mean: Tensor

    def __init__(self, shrinkage: float = 3.0, memory: float = 20.0) -> None:
        super().__init__()
        self.shrinkage, self.memory = shrinkage, memory
        self.register_buffer("mean", torch.zeros(()))
        self.user, self.item = Table(1, trained=False), Table(1, trained=False)
        self.user_count, self.item_count = Table(1, trained=False), Table(1, trained=False)

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
        """Append biases of new nodes, solved from `events` with the old ones and μ held; the first events set μ.

        They are provisional: the events are not counted until `absorb`, which solves for them afresh.
        """
        held, old = (len(self.user), len(self.item)), self._biases(num_users, num_items)
        new = ridge(events, old, self.shrinkage, held, None if held == (0, 0) else old.mean)
        self.user.append(torch.from_numpy(new.user[held[0] :, None]))
        self.item.append(torch.from_numpy(new.item[held[1] :, None]))
        self.user_count.append(torch.zeros(num_users - held[0], 1))
        self.item_count.append(torch.zeros(num_items - held[1], 1))
        self.mean = torch.tensor(new.mean, dtype=self.mean.dtype)

    def absorb(self, events: Interactions, mean: float | None = None) -> None:
        """Solve the biases of the events' nodes and count the events; μ becomes their mean where `mean` is None."""
        users, items = len(self.user), len(self.item)
        counts = _column(self.user_count, users), _column(self.item_count, items)
        now = self._biases(users, items)
        prior = Biases(now.mean, np.where(counts[0] > 0, now.user, 0), np.where(counts[1] > 0, now.item, 0))
        pull = tuple(self.shrinkage + np.minimum(c, self.memory) for c in counts)
        new = ridge(events, prior, (pull[0], pull[1]), mean=mean)
        touched = np.bincount(events.user, minlength=users), np.bincount(events.item, minlength=items)
        _assign(self.user, np.where(touched[0] > 0, new.user, now.user))
        _assign(self.item, np.where(touched[1] > 0, new.item, now.item))
        _assign(self.user_count, counts[0] + touched[0])
        _assign(self.item_count, counts[1] + touched[1])
        self.mean = torch.tensor(new.mean, dtype=self.mean.dtype)

    def retract(self, events: Interactions) -> None:
        """Take the events out of the biases of their nodes; μ stays.

        A bias is a weighted sum of residuals over their weight, so one event's residual is subtracted with its own. Exact where
        a node is left without events (it is as if it had had none) or biases of its neighbours have not moved since; else, to
        first order, as earlier residuals were taken against earlier biases.
        """
        now = self._biases(len(self.user), len(self.item))
        residual = events.value - now.mean - now.user[events.user] - now.item[events.item]
        for table, counts, at in ((self.user, self.user_count, events.user), (self.item, self.item_count, events.item)):
            bias, count = _column(table, len(table)), _column(counts, len(table))
            gone = np.minimum(np.bincount(at, minlength=len(table)), count)
            left = count - gone
            weight = self.shrinkage + np.minimum(left, self.memory)
            own = np.bincount(at, residual + bias[at], minlength=len(table))  # what the events say of the node
            moved = (bias * (weight + gone) - own) / weight
            _assign(table, np.where(gone == 0, bias, np.where(left == 0, 0.0, moved)))
            _assign(counts, left)

    def _biases(self, num_users: int, num_items: int) -> Biases:
        return Biases(float(self.mean), _column(self.user, num_users), _column(self.item, num_items))


def _column(table: Table, size: int) -> Floats:
    grown = np.zeros(size)
    grown[: len(table)] = table.weight.detach().cpu().numpy()[:, 0]
    return grown


def _assign(table: Table, values: Floats) -> None:
    table.replace(torch.from_numpy(values[:, None]).float())


def _or_zero(table: Table, at: Ints) -> Tensor:
    padded = torch.cat([table.weight.squeeze(1), table.weight.new_zeros(1)])
    return padded[torch.from_numpy(np.minimum(at, len(table)))]
