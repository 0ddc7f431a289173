"""Expected values: biases plus what the embeddings add to them.

Letters: n events of a batch, i items, d width.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from gnnrec.data.types import Interactions, Ints
from gnnrec.encoders.tables import Embedded, Embeddings
from gnnrec.objectives.base import Batch, Factors, Negatives, Objective, input_norm
from gnnrec.objectives.bias import BiasTerms


class ValueHead(Objective):
    """Expected value μ + b_u + b_i + γ · interaction(u, i), γ in [0, 1] chosen on valid.

    Biases are counters, not trained (`BiasTerms`); the interaction is trained on what they leave. γ is the least-squares
    weight on the valid events, so that an interaction that has learnt noise is turned down rather than believed.
    """

    predicts_values = True
    calibrates = True
    trust: Tensor

    def __init__(self, l2: float, shrinkage: float, popularity: float = 0.0, half_life: float | None = None) -> None:
        super().__init__(l2, popularity, half_life)
        self.bias = BiasTerms(shrinkage)
        self.register_buffer("trust", torch.ones(()))

    def grow(self, events: Interactions, num_users: int, num_items: int) -> None:
        """Give new nodes the shrunk mean residual of their events as bias."""
        super().grow(events, num_users, num_items)
        self.bias.grow(events, num_users, num_items)

    def refit(self, events: Interactions) -> None:
        """Solve the biases of the events' nodes and give the interaction its full weight; no events, no change."""
        if len(events):
            self.bias.absorb(events)
            self.trust.fill_(1.0)

    def absorb(self, events: Interactions) -> None:
        """Let the held-back events into the biases, μ and the interaction as they are."""
        if len(events):
            self.bias.absorb(events, float(self.bias.mean))

    def retract(self, events: Interactions) -> None:
        """Let events out of the biases."""
        self.bias.retract(events)

    @torch.no_grad()
    def calibrate(self, z: Embeddings, events: Interactions) -> None:
        """Set γ = Σ residual · interaction / Σ interaction², cut to [0, 1], over events on known nodes."""
        known = (events.user < len(z.user)) & (events.item < len(z.item))
        user, item = (torch.from_numpy(c[known]).to(z.user.device) for c in (events.user, events.item))
        x = self.interaction(z, user, item).double()
        residual = torch.from_numpy(events.value[known]).to(x) - self.bias(user, item).double()
        if float(x.square().sum()) > 0:
            self.trust.fill_(float(((residual * x).sum() / x.square().sum()).clamp(0, 1)))

    @abstractmethod
    def interaction(self, z: Embedded, user: Tensor, item: Tensor) -> Tensor:
        """Return what the embeddings add to the biases for each pair, [n]."""

    def predict(self, z: Embedded, user: Tensor, item: Tensor) -> Tensor:
        """Return the expected value of each pair, [n]."""
        base: Tensor = self.bias(user, item)
        return base + self.trust * self.interaction(z, user, item)

    def prior(self, user: Ints, item: Ints) -> Tensor:
        """Return μ plus the biases there are, [n]."""
        return self.bias.partial(user, item)


class Rating(ValueHead):
    """Mean squared error of μ + b_u + b_i + <e_u, e_i>; items are ranked by that expectation.

    Args:
        l2: weight of the input rows' norm.
        shrinkage: of the biases, in events.
    """

    selects_by = "mse"
    negatives = Negatives(paired=False)

    def __init__(self, l2: float = 1e-2, shrinkage: float = 3.0) -> None:
        super().__init__(l2, shrinkage)

    def forward(self, z: Embedded, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""
        error = self.predict(z, batch.user, batch.item) - batch.value
        return error.square().mean() + self.l2 * input_norm(z, batch, negatives=False)

    def interaction(self, z: Embedded, user: Tensor, item: Tensor) -> Tensor:
        """Return <e_u, e_i>, [n]."""
        return (z.users(user) * z.items(item)).sum(1)

    def scores(self, z: Embeddings, user: Tensor) -> Tensor:
        """Return the expected value of every item for each user, [n, i]."""
        return self.bias.all_items(user) + self.trust * (z.user[user] @ z.item.T)

    def factors(self, z: Embeddings) -> Factors:
        """Return embeddings, those of users times how far they are trusted, and the biases."""
        bias = self.bias
        of_user, of_item = bias.mean + bias.user.weight.squeeze(1), bias.item.weight.squeeze(1)
        return Factors(self.trust * z.user, z.item, of_user, of_item)
