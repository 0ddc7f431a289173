"""What an objective is: a loss, ranking scores and expected values from embeddings; and the terms that losses share.

Letters: n events of a batch, u users, i items, d width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gnnrec.core.errors import GnnrecError, above_zero, nearest
from gnnrec.data.types import Floats, Interactions, Ints
from gnnrec.encoders.tables import Embedded, Embeddings
from gnnrec.objectives.item_term import ItemTerm


class Batch(NamedTuple):
    """Events of one step, columns [n]: value is the rating, `positive` whether it is relevant, `negative` an item of its own.

    `negative` is [n, k] where an event has k to choose from; `shared` [m] are distinct items, ascending, that every event of
    the batch has as negatives; m does not depend on n. `within` is the slice of the fit's time that each event came in; empty
    where today's item term holds for all of them.
    """

    user: Tensor
    item: Tensor
    value: Tensor
    positive: Tensor
    negative: Tensor
    shared: Tensor = torch.empty(0, dtype=torch.int64)
    within: Tensor = torch.empty(0, dtype=torch.int64)


@dataclass(frozen=True, slots=True)
class Factors:
    """A ranking score as <x_u, y_i> + a_u + b_i, for whoever ranks without the objective.

    Attributes:
        user, item: x [u, d] and y [i, d].
        user_bias, item_bias: a [u] and b [i].
        length: of every x, where scores are by angle; None: any.
    """

    user: Tensor
    item: Tensor
    user_bias: Tensor
    item_bias: Tensor
    length: float | None = None


SOURCES = ("uniform", "popularity", "batch")


@dataclass(frozen=True, slots=True)
class Negatives:
    """Which negatives a loss reads.

    Attributes:
        paired: whether every event has negatives of its own (`Batch.negative`), uniform over what its user has not taken.
        candidates: how many of these, k.
        shared: how many the events of a batch share (`Batch.shared`), m, whatever the batch's size; as many as there are items
            at most.
        source: of the shared ones: uniform over items, by popularity (absorbed pairs), or the items of the batch's own events.

    Raises:
        GnnrecError: a number below what it counts, or another source.
    """

    paired: bool = True
    candidates: int = 1
    shared: int = 0
    source: str = "uniform"

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise GnnrecError(f"objective.negatives={self.source} is not known{nearest(self.source, SOURCES)}")
        if self.candidates < 1:
            raise GnnrecError(f"objective.candidates={self.candidates} must be 1 or more")
        if self.shared < 0:
            raise GnnrecError(f"objective.samples={self.shared} must be 0 or more")


class Objective(nn.Module, ABC):
    """What every objective has.

    Attributes:
        predicts_values: False: MSE is n/a, never a wrong number.
        calibrates: whether `calibrate` does anything.
        selects_by: the valid metric that decides early stopping, "ndcg" or "mse".
        l2: weight of the squared norm of the batch's input rows (layer 0), summed over rows, halved, divided by n.
        negatives: which negatives the loss reads.
        term: the item term β · log(1 + absorbed events) of the ranking score.
        half_life: of these events, in absorbed events; infinite: all alike; None: as valid prefers of the counters.
    """

    predicts_values = False
    calibrates = False
    selects_by = "ndcg"
    negatives = Negatives()

    def __init__(self, l2: float = 1e-2, popularity: float = 0.0, half_life: float | None = None) -> None:
        super().__init__()
        if half_life is not None:
            above_zero("objective", half_life=half_life)
        self.l2, self.half_life, self.term = l2, half_life, ItemTerm(popularity)

    def nodes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the distinct users and items whose embeddings the loss reads, ascending."""
        items = [batch.item, batch.shared, *([batch.negative.flatten()] if self.negatives.paired else [])]
        return torch.unique(batch.user), torch.unique(torch.cat(items))

    def fit_to(self, width: int) -> None:
        """Take the width of the encoder's read-out, before anything is trained."""

    def grow(self, events: Interactions, num_users: int, num_items: int) -> None:
        """Make room for new nodes whose events are among `events`."""
        self.term.grow(num_items)

    def count(self, total: Floats, aged: Floats | None = None) -> None:
        """Take the absorbed events of each item, [i], whenever they have changed: counts follow the stream, trained or not.

        Args:
            total: all alike.
            aged: by the half-life of the item term; None: all alike too.
        """
        self.term.count(total, aged)

    def refit(self, events: Interactions) -> None:
        """Solve, at the start of a fit, what has a closed form, from the increment's events."""

    def absorb(self, events: Interactions) -> None:
        """Take in, after selection, the events held back until then, where that has a closed form."""

    def retract(self, events: Interactions) -> None:
        """Take back events that were taken in, where counters hold them."""

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

    def ahead(self, batch: Batch) -> Tensor:
        """Return how far the item term sets each event before its own negative, [n]."""
        return self.term.when(batch.item, batch.within) - self.term.when(batch.negative, batch.within)

    def keep(self, columns: Tensor, more: int) -> None:
        """Follow embeddings of which these columns stay, in their order, and to which more are put: here, nothing to do."""

    def turn(self, rotation: Tensor) -> None:
        """Follow embeddings that are turned by an orthogonal [d, d], so that scores and values stay: here, nothing to do."""

    def affinity(self, user: Tensor, item: Tensor) -> Tensor:
        """Return what embeddings say of each pair, without item term and biases, [..., d] and [..., d] to [...]."""
        return (user * item).sum(-1)

    def scores(self, z: Embeddings, user: Tensor) -> Tensor:
        """Return the ranking score of every item for each user, [n, i]."""
        found: Tensor = z.user[user] @ z.item.T
        return found.add_(self.term.all_items())

    def factors(self, z: Embeddings) -> Factors:
        """Return what `scores` is a product of, where it is one; whoever relies on it compares both."""
        return Factors(z.user, z.item, z.user.new_zeros(len(z.user)), self.term.all_items().expand(len(z.item)))


def pairwise_loss(z: Embedded, batch: Batch, weighted: bool = False, ahead: Tensor | float = 0.0) -> Tensor:
    """Return −mean log σ(<e_u, e_i − e_j> + ahead) over the batch's positives; 0 without one."""
    margin = (z.users(batch.user) * (z.items(batch.item) - z.items(batch.negative))).sum(1) + ahead
    return mean(F.softplus(-margin), batch, weighted)


def cosine_scores(z: Embeddings, user: Tensor, term: ItemTerm, temperature: float = 1.0) -> Tensor:
    """Return cos(e_u, e_i) / τ plus the item term, of every item for each user, [n, i]."""
    near = F.normalize(z.user[user], dim=1) @ F.normalize(z.item, dim=1).T
    return near.div_(temperature).add_(term.all_items())


def cosine_factors(z: Embeddings, term: ItemTerm, temperature: float = 1.0) -> Factors:
    """Return what `cosine_scores` is a product of."""
    user, item = F.normalize(z.user, dim=1) / temperature, F.normalize(z.item, dim=1)
    return Factors(user, item, user.new_zeros(len(user)), term.all_items().expand(len(item)), 1 / temperature)


def mean(loss: Tensor, batch: Batch, weighted: bool) -> Tensor:
    """Return the mean of `loss` [n] over the batch's positives, by value where `weighted`; 0 without one."""
    weight, total = weights(batch, weighted, loss.dtype)
    return (loss * weight).sum() / total


def weights(batch: Batch, weighted: bool, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the weight of each event in a mean over the positives, by value where `weighted`, [n], and their sum, above 0."""
    weight = batch.positive.to(dtype)
    if not weighted:
        return weight, weight.sum().clamp(min=1)
    weight = weight * batch.value.to(dtype)
    return weight, weight.sum().clamp(min=torch.finfo(dtype).tiny)


def input_norm(z: Embedded, batch: Batch, negatives: bool) -> Tensor:
    """Return ½ Σ ||x||² / n over the batch's input rows (He et al. 2020 regularise layer 0 only)."""
    rows = [z.input_users(batch.user), z.input_items(batch.item)]
    if negatives:
        rows.append(z.input_items(batch.negative))
    return 0.5 * torch.stack([r.square().sum() for r in rows]).sum() / max(len(batch.user), 1)
