"""GraphSAIL: what a node is, what surrounds it and where it lies among all others, held to the old model.

Letters: u users, i items, d width, n nodes of a batch, k clusters, a anchors' members.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gnnrec.core.errors import GnnrecError, above_zero
from gnnrec.data.types import Observed
from gnnrec.encoders.tables import Embedded, Embeddings
from gnnrec.learner import Learner
from gnnrec.objectives.base import Batch
from gnnrec.strategies.base import Strategy
from gnnrec.strategies.distil import piw
from gnnrec.strategies.distil.anchors import Anchors
from gnnrec.strategies.distil.piw import UserWeights
from gnnrec.strategies.distil.teacher import Neighbours, Teacher, mean_by
from gnnrec.training.step import Step, no_nodes


class GraphSAIL(Strategy):
    """Fine-tune with three terms over the batch's old users and items (Xu et al., "GraphSAIL", CIKM 2020).

    With e the embeddings:

    * self: mean c_v ‖e_v − e_v(t−1)‖², c_v = d_v(t−1) / d_v(t), scaled to a mean of 1 over the batch's nodes of its kind;
    * local: mean (<e_v, m_v> − <e_v(t−1), m_v(t−1)>)², m_v the mean embedding of v's neighbours before the increment;
    * global: mean KL(p_v ‖ p_v(t−1)), p_v = softmax_k(<e_v, a_k> / τ), a_k the mean embedding of a cluster; clusters are found
      by k-means on the old embeddings; over users and items against anchors of users and of items, four pairs.

    Departs from the published code in that terms are means over the batch's nodes, where that code takes all old nodes in every
    step and scales c by its norm over all; in that m_v is of `neighbours` at most; and in that a_k is the mean of `members` of
    a cluster at most, the same before and now. Weights have to be chosen anew for it. New on old in KL, as in that code. A
    weight of 0 leaves a term out; all three 0 is fine-tuning. Needs no state.

    Args:
        own, local, globe: weights of the terms.
        clusters: k, of users and of items.
        temperature: τ.
        neighbours: most old neighbours of a node.
        members: most members of a cluster that its anchor is the mean of.
        weights: learns how much each user's terms count (PIW); None: all alike.
        seed: of k-means.
    """

    def __init__(
        self,
        own: float = 0.1,
        local: float = 0.1,
        globe: float = 0.1,
        clusters: int = 10,
        temperature: float = 1.0,
        neighbours: int = 10,
        members: int = 20,
        weights: UserWeights | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        above_zero("strategy", clusters=clusters, temperature=temperature, neighbours=neighbours, members=members)
        if min(own, local, globe) < 0:
            raise GnnrecError(f"strategy.own, local and globe must be 0 or more, got {own}, {local} and {globe}")
        self.own, self.local, self.globe = own, local, globe
        self.clusters, self.temperature, self.neighbours, self.members = clusters, temperature, neighbours, members
        self.weights = weights
        self._teacher: Teacher | None = None
        self._near: tuple[Neighbours, Neighbours] | None = None
        self._anchors: tuple[Anchors, Anchors] | None = None

    def remember(self, learner: Learner, new: Observed) -> None:
        """Keep the old model."""
        self._teacher = Teacher.of(learner) if self.own or self.local or self.globe else None

    def prepare(self, learner: Learner, new: Observed) -> None:
        """Look up degrees, neighbours and clusters of the old model."""
        if (old := self._teacher) is None:
            return
        piw.start(self.weights, old.z, self.seed)
        self._share = old.shares(learner.seen)
        if self.local:
            near = [Neighbours.of(old, learner.seen, side, self.neighbours) for side in (True, False)]
            self._near = near[0], near[1]
        if self.globe:
            names = (self.seed, new.index), self.clusters, self.members
            self._anchors = Anchors.of(old.z.user, *names), Anchors.of(old.z.item, *names)

    def modules(self) -> UserWeights | None:
        """Return what learns the weights of users."""
        return self.weights

    def nodes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return old neighbours of the batch's nodes, and members of clusters."""
        if (old := self._teacher) is None:
            return no_nodes(batch)
        users, items = [batch.user[:0]], [batch.item[:0]]
        if self._near is not None:
            items.append(self._near[0].of_nodes(old.users(batch.user))[1])
            users.append(self._near[1].of_nodes(old.items(batch.item))[1])
        if self._anchors is not None:
            users.append(self._anchors[0].node)
            items.append(self._anchors[1].node)
        return torch.unique(torch.cat(users)), torch.unique(torch.cat(items))

    def penalty(self, step: Step) -> Tensor | float:
        """Return the weighted sum of the three terms; 0 without an old node in the batch."""
        if (old := self._teacher) is None:
            return 0.0
        users, items = old.users(step.batch.user), old.items(step.batch.item)
        weight = piw.weigh(self.weights, old.z.user[users], step.z.users(users))
        total = piw.spread(self.weights, old.z.item[items])
        if self.own:
            total = total + self.own * self._self(old, step.z, users, items, weight)
        if self._near is not None:
            total = total + self.local * self._local(old, step.z, users, items, weight)
        if self._anchors is not None:
            total = total + self.globe * self._global(old, step.z, users, items, weight)
        return total

    def _self(self, old: Teacher, z: Embedded, users: Tensor, items: Tensor, weight: Tensor) -> Tensor:
        user = _moved(z.users(users), old.z.user[users], self._share[0][users], weight)
        return user + _moved(z.items(items), old.z.item[items], self._share[1][items])

    def _local(self, old: Teacher, z: Embedded, users: Tensor, items: Tensor, weight: Tensor) -> Tensor:
        assert self._near is not None
        of_user, of_item = self._near[0].of_nodes(users), self._near[1].of_nodes(items)
        found = []
        for now in (z, old.z):
            mean_item = mean_by(of_user[0], now.items(of_user[1]), len(users))
            mean_user = mean_by(of_item[0], now.users(of_item[1]), len(items))
            found.append(((now.users(users) * mean_item).sum(1), (now.items(items) * mean_user).sum(1)))
        terms = zip(*found, (weight, 1.0), strict=True)
        return sum((_mean(w * (a - b).square()) for a, b, w in terms), start=torch.zeros(()))

    def _global(self, old: Teacher, z: Embedded, users: Tensor, items: Tensor, weight: Tensor) -> Tensor:
        now, then = self._places(z, users, items), self._places(old.z, users, items)
        by_user = len(now) // 2  # the first half is of users
        return torch.stack(
            [
                _mean((weight if n < by_user else 1.0) * F.kl_div(b, a, log_target=True, reduction="none").sum(1))
                for n, (a, b) in enumerate(zip(now, then, strict=True))
            ]
        ).sum()

    def _places(self, z: Embedded | Embeddings, users: Tensor, items: Tensor) -> list[Tensor]:
        """Return log p of users and of items among anchors of users and of items, four of [n, k]."""
        assert self._anchors is not None
        of_users, of_items = self._anchors
        anchors = of_users.means(z.users(of_users.node)), of_items.means(z.items(of_items.node))
        rows = z.users(users), z.items(items)
        return [(row @ a.T / self.temperature).log_softmax(1) for row in rows for a in anchors if len(a)]


def _moved(now: Tensor, then: Tensor, share: Tensor, weight: Tensor | float = 1.0) -> Tensor:
    """Return the mean of w · c ‖now − then‖², c with a mean of 1; 0 of none."""
    return _mean(weight * (share / share.mean() * (now - then).square().sum(1))) if len(share) else now.sum()


def _mean(x: Tensor) -> Tensor:
    return x.mean() if len(x) else x.sum()
