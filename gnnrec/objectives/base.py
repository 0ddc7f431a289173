"""Objectives turn embeddings into a loss, ranking scores and expected values: `bpr`, `softmax`, `rating`, `joint`.

Letters: n events of a batch, u users, i items, d width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gnnrec.data.types import Interactions, Ints
from gnnrec.encoders.tables import Embedded, Embeddings
from gnnrec.objectives.bias import BiasTerms


class Batch(NamedTuple):
    """Events of one step, columns [n]: value is the rating, `positive` whether it is relevant, `negative` an item."""

    user: Tensor
    item: Tensor
    value: Tensor
    positive: Tensor
    negative: Tensor


class Objective(nn.Module, ABC):
    """What every objective has.

    Attributes:
        predicts_values: False: MSE is n/a, never a wrong number.
        calibrates: whether `calibrate` does anything.
        selects_by: the valid metric that decides early stopping, "ndcg" or "mse".
        l2: weight of the squared norm of the batch's input rows (layer 0), summed over rows, halved, divided by n.
        negatives: how many of a batch's negatives the loss reads, the first ones; None: all.
    """

    predicts_values = False
    calibrates = False
    selects_by = "ndcg"
    negatives: int | None = None

    def __init__(self, l2: float = 1e-2) -> None:
        super().__init__()
        self.l2 = l2

    def nodes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the distinct users and items whose embeddings the loss reads, ascending."""
        return torch.unique(batch.user), torch.unique(torch.cat([batch.item, batch.negative[: self.negatives]]))

    def grow(self, events: Interactions, num_users: int, num_items: int) -> None:
        """Make room for new nodes whose events are among `events`."""

    def refit(self, events: Interactions) -> None:
        """Solve, at the start of a fit, what has a closed form, from the increment's events."""

    def absorb(self, events: Interactions) -> None:
        """Take in, after selection, the events held back until then, where that has a closed form."""

    def calibrate(self, z: Embeddings, events: Interactions) -> None:
        """Choose on valid, at the end of a fit, what is chosen there."""

    @abstractmethod
    def forward(self, z: Embedded, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""

    def predict(self, z: Embedded, user: Tensor, item: Tensor) -> Tensor | None:
        """Return the expected value of each pair, [n]; None where the objective predicts no values."""
        return None

    def prior(self, user: Ints, item: Ints) -> Tensor | None:
        """Return what biases alone expect of each pair, numbers without a row allowed, [n]; likewise."""
        return None

    def scores(self, z: Embeddings, user: Tensor) -> Tensor:
        """Return the ranking score of every item for each user, [n, i]."""
        return z.user[user] @ z.item.T


class BPR(Objective):
    """−mean log σ(<e_u, e_i> − <e_u, e_j>) over positives (Rendle et al., UAI 2009), with L2 on the input rows.

    Args:
        l2: weight of the input rows' norm.
        weighted: whether events count by their values, as implicit weights do, instead of alike.
    """

    def __init__(self, l2: float = 1e-2, weighted: bool = False) -> None:
        super().__init__(l2)
        self.weighted = weighted

    def forward(self, z: Embedded, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""
        return pairwise_loss(z, batch, self.weighted) + self.l2 * input_norm(z, batch, negatives=True)


class Softmax(Objective):
    """−mean log of the positive's softmax share among itself and M shared sampled items, over cosine similarities.

    Wu et al., "On the effectiveness of sampled softmax loss for item recommendation" (arXiv 2201.02327), with uniform
    samples shared by the batch. Every event meets M negatives for the price of M embeddings, so quality is reached
    in a few epochs of large batches. Departs from it in that a sampled positive of another user is not left out.

    Args:
        l2: weight of the input rows' norm.
        temperature: τ, that cosines are divided by.
        samples: M, at most one per event of the batch.
        weighted: whether events count by their values, as implicit weights do, instead of alike.
    """

    def __init__(self, l2: float = 1e-4, temperature: float = 0.1, samples: int = 1024, weighted: bool = False) -> None:
        super().__init__(l2)
        self.temperature, self.negatives, self.weighted = temperature, samples, weighted

    def forward(self, z: Embedded, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""
        user = F.normalize(z.users(batch.user), dim=1) / self.temperature
        good = (user * F.normalize(z.items(batch.item), dim=1)).sum(1, keepdim=True)
        others = user @ F.normalize(z.items(batch.negative[: self.negatives]), dim=1).T
        share = torch.cat([good, others], dim=1).log_softmax(1)[:, 0]
        return mean(-share, batch, self.weighted) + self.l2 * input_norm(z, batch, negatives=False)

    def scores(self, z: Embeddings, user: Tensor) -> Tensor:
        """Return the cosine of every item for each user, [n, i]."""
        return z.user[user] @ F.normalize(z.item, dim=1).T


class _ValueHead(Objective):
    """Expected value μ + b_u + b_i + γ · interaction(u, i), γ in [0, 1] chosen on valid.

    Biases are counters, not trained (`BiasTerms`); the interaction is trained on what they leave. γ is the least-squares
    weight on the valid events, so that an interaction that has learnt noise is turned down rather than believed.
    """

    predicts_values = True
    calibrates = True
    trust: Tensor

    def __init__(self, l2: float, shrinkage: float) -> None:
        super().__init__(l2)
        self.bias = BiasTerms(shrinkage)
        self.register_buffer("trust", torch.ones(()))

    def grow(self, events: Interactions, num_users: int, num_items: int) -> None:
        """Give new nodes the shrunk mean residual of their events as bias."""
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


class Rating(_ValueHead):
    """Mean squared error of μ + b_u + b_i + <e_u, e_i>; items are ranked by that expectation.

    Args:
        l2: weight of the input rows' norm.
        shrinkage: of the biases, in events.
    """

    selects_by = "mse"
    negatives = 0

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


class Joint(_ValueHead):
    """BPR and rating heads on the same embeddings, so that recall and MSE come from one model.

    Ranking score <e_u, e_i>; expected value μ + b_u + b_i + <w ⊙ e_u, e_i> with a learnt w [d], 0 at the start, because
    how much somebody likes an item and how likely they are to rate it are different products of the same tastes.

    Args:
        l2: weight of the input rows' norm.
        rating_weight: weight of the squared error beside the BPR loss.
        shrinkage: of the biases, in events.
        width: d.
    """

    def __init__(self, l2: float = 1e-2, rating_weight: float = 0.1, shrinkage: float = 3.0, width: int = 64) -> None:
        super().__init__(l2, shrinkage)
        self.rating_weight = rating_weight
        self.taste = nn.Parameter(torch.zeros(width))

    def forward(self, z: Embedded, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""
        error = self.predict(z, batch.user, batch.item) - batch.value
        ranking = pairwise_loss(z, batch) + self.l2 * input_norm(z, batch, negatives=True)
        return ranking + self.rating_weight * error.square().mean()

    def interaction(self, z: Embedded, user: Tensor, item: Tensor) -> Tensor:
        """Return <w ⊙ e_u, e_i>, [n]."""
        return (z.users(user) * self.taste * z.items(item)).sum(1)


def for_feedback(feedback: str, width: int = 64) -> Objective:
    """Return the default objective: `joint` for explicit feedback, `softmax` for implicit."""
    return Joint(width=width) if feedback == "explicit" else Softmax()


def pairwise_loss(z: Embedded, batch: Batch, weighted: bool = False) -> Tensor:
    """Return −mean log σ(s_ui − s_uj) over the batch's positives; 0 without one."""
    margin = (z.users(batch.user) * (z.items(batch.item) - z.items(batch.negative))).sum(1)
    return mean(F.softplus(-margin), batch, weighted)


def mean(loss: Tensor, batch: Batch, weighted: bool) -> Tensor:
    """Return the mean of `loss` [n] over the batch's positives, by value where `weighted`; 0 without one."""
    weight = batch.positive.to(loss.dtype)
    if weighted:
        weight = weight * batch.value.to(loss.dtype)
        return (loss * weight).sum() / weight.sum().clamp(min=torch.finfo(loss.dtype).tiny)
    return (loss * weight).sum() / weight.sum().clamp(min=1)


def input_norm(z: Embedded, batch: Batch, negatives: bool) -> Tensor:
    """Return ½ Σ ||x||² / n over the batch's input rows (He et al. 2020 regularise layer 0 only)."""
    rows = [z.input_users(batch.user), z.input_items(batch.item)]
    if negatives:
        rows.append(z.input_items(batch.negative))
    return 0.5 * torch.stack([r.square().sum() for r in rows]).sum() / max(len(batch.user), 1)
