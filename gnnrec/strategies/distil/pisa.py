"""PISA: who drifts follows a model of the new events, who does not stays with the old one.

Letters: b users of a batch, m pairs of them with neighbours, d width, k clusters.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gnnrec.core.errors import GnnrecError, above_zero
from gnnrec.data.types import Observed
from gnnrec.encoders.tables import Embeddings
from gnnrec.learner import Learner
from gnnrec.objectives.base import Batch
from gnnrec.strategies.base import Strategy
from gnnrec.strategies.distil.anchors import clustered
from gnnrec.strategies.distil.teacher import Neighbours, Teacher, mean_by
from gnnrec.training.step import Step, no_nodes


class PISA(Strategy):
    """Fit twice: forward, fine-tuning alone; then, from the old weights again, with α · (plasticity + stability).

    Yoo et al., "Embracing plasticity: balancing stability and plasticity in continual recommender systems" (PISA, SIGIR 2025).
    For users of the batch that were known, with z_u the embedding in training,

        C(e_u(fwd) → z_u; w⁺) + C(e_i(fwd) → z_u, i ∈ N_t(u); w⁺)
        + C(e_u(t−1) → z_u; w⁻) + C(e_i(t−1) → z_u, i ∈ N_{t−1}(u); w⁻),
        C(a → z; w) = mean_b w_b · −log [exp(cos(a_b, z_b) / τ) / Σ_b' exp(cos(a_b, z_b') / τ)].

    w = σ(JSD_u − mean JSD), JSD_u between softmax(Cᵀ e_u(t−1)) and softmax(Cᵀ z_u), C k centres of the present items by
    k-means, renewed every epoch. w⁺ = w where it is among the batch's largest `share`, else 0; w⁻ = 1 − w where that is. A term
    over neighbours is the mean over a user's own, `neighbours` at most; in that of new ones users who were not known take part,
    with weight `newcomers`.

    Departs from the published code in that neighbours are at most so many, in that the weights are constants to descent unless
    `through`, and in that messages pass over what `graph` says (there: over the newest block, ``graph=block``). With α = 0 it
    is fine-tuning, and the forward fit is not made. Under ``fit.budget=equal`` each of the two fits has the steps. Needs no
    state.

    Args:
        strength: α.
        share: L.
        temperature: τ.
        clusters: k.
        neighbours: most neighbours of a user, new and old.
        through: whether gradients flow through the weights.
        newcomers: weight of users who were not known, beside their new items.
        seed: of k-means.
    """

    def __init__(
        self,
        strength: float = 0.5,
        share: float = 0.2,
        temperature: float = 0.5,
        clusters: int = 20,
        neighbours: int = 20,
        through: bool = False,
        newcomers: float = 0.5,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        above_zero("strategy", temperature=temperature, clusters=clusters, neighbours=neighbours)
        if min(strength, newcomers) < 0 or not 0 < share <= 1:
            raise GnnrecError(
                "strategy.strength and strategy.newcomers must be 0 or more, strategy.share above 0 and 1 at most; got "
                f"{strength}, {newcomers} and {share}"
            )
        self.strength, self.share, self.temperature = strength, share, temperature
        self.clusters, self.neighbours, self.through, self.newcomers = clusters, neighbours, through, newcomers
        self._teacher: Teacher | None = None
        self._forward: Embeddings | None = None
        self._old: Neighbours | None = None
        self._new: Neighbours | None = None
        self._centres: tuple[int, Tensor] | None = None

    def remember(self, learner: Learner, new: Observed) -> None:
        """Keep the old model."""
        self._teacher = Teacher.of(learner) if self.strength else None

    def prepare(self, learner: Learner, new: Observed) -> None:
        """Fit the forward model, a fork that is let go of once it has been read out."""
        if (old := self._teacher) is None:
            return
        twin = learner.fork()
        twin.fit(new.train)
        self._forward, self._centres, self._index = twin.snapshot(), None, new.index
        self._old = Neighbours.of(old, learner.seen, of_users=True, most=self.neighbours)
        self._new = Neighbours.of_events(new.train, learner.seen.num_users, self.neighbours, old.z.user.device)

    def nodes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the batch's users; what they are compared with has been read out."""
        return no_nodes(batch)

    def penalty(self, step: Step) -> Tensor | float:
        """Return α · the four terms; 0 without an old user."""
        old, forward, near_old, near_new = self._teacher, self._forward, self._old, self._new
        if old is None or forward is None or near_old is None or near_new is None:
            return 0.0
        users = old.users(step.batch.user)
        if not len(users):
            return 0.0
        z, then, ahead = step.z.users(users), old.z.user[users], forward.user[users]
        weight = self._weight(step, then, z)
        plastic, stable = largest(weight, self.share), largest(1 - weight, self.share)
        total = self._pulled(ahead, z, plastic) + self._pulled(then, z, stable)
        total = total + self._neighbours(near_old.of_nodes(users), old.z.item, z, stable)
        every = torch.unique(step.batch.user)  # ascending: those who were known come first
        late = plastic.new_full((len(every) - len(users),), self.newcomers)
        z, weight = step.z.users(every), torch.cat([plastic, late])
        return self.strength * (total + self._neighbours(near_new.of_nodes(every), forward.item, z, weight))

    def _weight(self, step: Step, then: Tensor, z: Tensor) -> Tensor:
        """Return w, [b]."""
        if self._centres is None or self._centres[0] != step.epoch:
            centre, _ = clustered(step.z.item, (self.seed, self._index * 100_000 + step.epoch), self.clusters)
            self._centres = step.epoch, centre.to(z)
        now = z if self.through else z.detach()
        p, q = ((rows @ self._centres[1].T).log_softmax(1) for rows in (then, now))
        middle = torch.logaddexp(p, q) - torch.log(torch.tensor(2.0))
        drift = ((p.exp() * (p - middle)).sum(1) + (q.exp() * (q - middle)).sum(1)) / 2
        return torch.sigmoid(drift - drift.mean())

    def _pulled(self, anchor: Tensor, z: Tensor, weight: Tensor) -> Tensor:
        """Return C(anchor → z; weight)."""
        near = self._near(anchor, z)
        return (weight * (near.logsumexp(1) - near.diagonal())).mean()

    def _neighbours(self, pairs: tuple[Tensor, Tensor], items: Tensor, z: Tensor, weight: Tensor) -> Tensor:
        """Return C(e_i → z; weight), the mean over each user's neighbours i; `pairs` are users' places and items, [m] twice."""
        position, item = pairs
        each, row = torch.unique(
            item, return_inverse=True
        )  # many users have the same neighbour, whose products are the same
        near = self._near(items[each], z)
        loss = near.logsumexp(1)[row] - near[row, position]
        return (weight * mean_by(position, loss.unsqueeze(1), len(z)).squeeze(1)).mean()

    def _near(self, anchor: Tensor, z: Tensor) -> Tensor:
        return F.normalize(anchor, dim=1) @ F.normalize(z, dim=1).T / self.temperature


def largest(weight: Tensor, share: float) -> Tensor:
    """Return the weights [b] that are at or above their (1 − share) quantile, 0 in place of others."""
    return weight * (weight >= weight.detach().quantile(1 - share))
