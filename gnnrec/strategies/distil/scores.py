"""Distillation of scores: the new model keeps the old one's opinion of items.

Letters: u users, n users of a batch, c candidates of a user, k best items.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gnnrec.core.errors import GnnrecError, above_zero
from gnnrec.core.seeds import generator
from gnnrec.data.types import Observed
from gnnrec.encoders.tables import Embedded
from gnnrec.learner import Learner
from gnnrec.objectives.base import Batch, Objective
from gnnrec.strategies.base import Strategy
from gnnrec.strategies.distil import piw
from gnnrec.strategies.distil.piw import UserWeights
from gnnrec.strategies.distil.teacher import Neighbours, Teacher
from gnnrec.training.step import Step, no_nodes

BLOCK = 1024
"""Users whose best items are looked for at a time."""
LISTED = 256
"""Users whose lists are scored at a time: a list is a hundred rows."""
NEVER = -1e4
"""A score whose share is 0; infinity less infinity would be no number."""


class Distill(Strategy):
    """Fine-tune with λ · mean_u KL(softmax(s_{t−1}(u, C_u) / τ) ‖ softmax(s_t(u, C_u) / τ)).

    Learning without forgetting (Li & Hoiem, ECCV 2016) for lists: over the batch's users that the old model knew; C_u are the
    old model's top k and others by chance. s is the objective's affinity; the item term, which follows counters, is no opinion
    of the model and is left out. Chance candidates are drawn anew in every update, alike for all users. λ is added to the loss,
    where IncCTR and the paper divide 1 between both. Needs no state.

    Args:
        strength: λ.
        best: k, of the old model, over all items that it knew.
        others: items drawn at random beside them.
        temperature: τ.
        weights: learns how much each user's terms count (PIW); None: all alike.
        seed: of the draw.
    """

    def __init__(
        self,
        strength: float = 1.0,
        best: int = 50,
        others: int = 50,
        temperature: float = 1.0,
        weights: UserWeights | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        above_zero("strategy", best=best, temperature=temperature)
        if strength < 0 or others < 0:
            raise GnnrecError(f"strategy.strength and strategy.others must be 0 or more, got {strength} and {others}")
        self.strength, self.best, self.others, self.temperature = strength, best, others, temperature
        self.weights = weights
        self._teacher: Teacher | None = None
        self._objective: Objective | None = None
        self._row = self._common = self._candidates = self._repeats = torch.empty(0, dtype=torch.int64)
        self._then = torch.empty(0)

    def remember(self, learner: Learner, new: Observed) -> None:
        """Keep the old model, and its best items for the increment's users."""
        self._teacher = Teacher.of(learner) if self.strength else None

    def prepare(self, learner: Learner, new: Observed) -> None:
        """Choose the candidates of the increment's users."""
        self._objective, teacher = learner.objective, self._teacher
        if teacher is None:
            return
        piw.start(self.weights, teacher.z, self.seed)
        device, num_items = teacher.z.user.device, len(teacher.z.item)
        users = teacher.users(torch.tensor(new.train.user, device=device))
        draw = generator(self.seed, new.index, "distill").choice(num_items, min(self.others, num_items), replace=False)
        self._common = torch.from_numpy(draw).to(device)
        self._candidates = torch.empty(0, min(self.best, num_items) + len(draw), dtype=torch.int64, device=device)
        self._repeats = torch.zeros_like(self._candidates, dtype=torch.bool)
        self._then = torch.zeros_like(self._candidates, dtype=teacher.z.item.dtype)
        self._row = torch.full((len(teacher.z.user),), -1, dtype=torch.int64, device=device)
        self._look_up(teacher, users)

    def _look_up(self, teacher: Teacher, users: Tensor) -> None:
        """Choose the candidates of further old users, and what the teacher thinks of them all update long."""
        if not len(users):
            return
        best = top(teacher, users, min(self.best, len(teacher.z.item)))
        common = self._common.expand(len(users), -1)
        twice = (common.unsqueeze(2) == best.unsqueeze(1)).any(2)
        repeats = torch.cat([torch.zeros_like(best, dtype=torch.bool), twice], dim=1)
        self._row[users] = len(self._candidates) + torch.arange(len(users), device=users.device)
        self._candidates = torch.cat([self._candidates, torch.cat([best, common], dim=1)])
        self._repeats = torch.cat([self._repeats, repeats])
        with torch.no_grad():
            blocks = torch.split(users, LISTED)
            scores = [listed(teacher.objective, teacher.z, u, self._candidates[self._row[u]]) for u in blocks]
        self._then = torch.cat([self._then, self._shares(torch.cat(scores), users)])

    def modules(self) -> UserWeights | None:
        """Return what learns the weights of users."""
        return self.weights

    def nodes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the candidates of the batch's users."""
        if self._teacher is None:
            return no_nodes(batch)
        _, items = self._lists(batch)
        return batch.user[:0], torch.unique(items)

    def _lists(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the old users of the batch, [n], and their candidates, [n, c]: those replayed beside the increment's too."""
        assert self._teacher is not None
        users = self._teacher.users(batch.user)
        self._look_up(self._teacher, users[self._row[users] < 0])
        return users, self._candidates[self._row[users]]

    def _shares(self, scores: Tensor, users: Tensor) -> Tensor:
        """Return the log of the candidates' shares, [n, c]; one that is in the list already has none."""
        return (scores / self.temperature).masked_fill(self._repeats[self._row[users]], NEVER).log_softmax(1)

    def penalty(self, step: Step) -> Tensor | float:
        """Return λ · mean KL; 0 without an old user."""
        if self._teacher is None or self._objective is None:
            return 0.0
        users, items = self._lists(step.batch)
        if not items.numel():
            return 0.0
        old = self._then[self._row[users]]
        new = self._shares(listed(self._objective, step.z, users, items), users)
        then = self._teacher.z
        weight = piw.weigh(self.weights, then.user[users], step.z.users(users))
        kl = weight.unsqueeze(1) * F.kl_div(new, old, log_target=True, reduction="none")
        spread = piw.spread(self.weights, then.item[self._teacher.items(step.batch.item)])
        return self.strength * (kl.sum() / len(users)) + spread


class LightDistill(Strategy):
    """Fine-tune with λ · mean (s_t(u, i) − s_{t−1}(u, i))² over old items i of the batch's old users, `items` at most of each.

    After LightDistillation (arXiv 2505.19810): only what a user took before is distilled, without a further parameter. s is the
    objective's affinity. The items are the same through an update. Departs from the paper in that the teacher is the model that
    served, not a cheaper one. Needs no state.

    Args:
        strength: λ.
        items: most old items of a user.
        weights: learns how much each user's terms count (PIW); None: all alike.
        seed: of nothing; the items are chosen by a hash of the user.
    """

    def __init__(
        self, strength: float = 0.1, items: int = 10, weights: UserWeights | None = None, seed: int = 0
    ) -> None:
        super().__init__(seed)
        above_zero("strategy", items=items)
        if strength < 0:
            raise GnnrecError(f"strategy.strength={strength} must be 0 or more")
        self.strength, self.items, self.weights = strength, items, weights
        self._teacher: Teacher | None = None
        self._objective: Objective | None = None
        self._old: Neighbours | None = None

    def remember(self, learner: Learner, new: Observed) -> None:
        """Keep the old model."""
        self._teacher = Teacher.of(learner) if self.strength else None

    def prepare(self, learner: Learner, new: Observed) -> None:
        """Choose the items of old users."""
        self._objective = learner.objective
        if self._teacher is not None:
            piw.start(self.weights, self._teacher.z, self.seed)
            self._old = Neighbours.of(self._teacher, learner.seen, of_users=True, most=self.items)

    def modules(self) -> UserWeights | None:
        """Return what learns the weights of users."""
        return self.weights

    def nodes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the old items of the batch's users."""
        if self._teacher is None or self._old is None:
            return no_nodes(batch)
        return batch.user[:0], torch.unique(self._old.of_nodes(self._teacher.users(batch.user))[1])

    def penalty(self, step: Step) -> Tensor | float:
        """Return λ · mean of squared differences; 0 without an old pair."""
        if self._teacher is None or self._old is None or self._objective is None:
            return 0.0
        users = self._teacher.users(step.batch.user)
        position, item = self._old.of_nodes(users)
        if not len(item):
            return 0.0
        user, teacher = users[position], self._teacher
        old = teacher.objective.affinity(teacher.z.users(user), teacher.z.items(item))
        new = self._objective.affinity(step.z.users(user), step.z.items(item))
        weight = piw.weigh(self.weights, teacher.z.user[users], step.z.users(users))[position]
        spread = piw.spread(self.weights, teacher.z.item[teacher.items(step.batch.item)])
        return self.strength * (weight * (new - old).square()).mean() + spread


def listed(objective: Objective, z: Embedded, user: Tensor, items: Tensor) -> Tensor:
    """Return the affinity of each user [n] to their items [n, c], [n, c]."""
    rows = z.items(items.flatten()).view(*items.shape, -1)
    return objective.affinity(z.users(user).unsqueeze(1), rows)


@torch.no_grad()
def top(teacher: Teacher, user: Tensor, most: int) -> Tensor:
    """Return the items that the teacher scores highest for each user, those already taken with them, [n, most]."""
    blocks = [teacher.objective.scores(teacher.z, part).topk(most, dim=1).indices for part in torch.split(user, BLOCK)]
    return torch.cat(blocks) if blocks else torch.empty(0, most, dtype=torch.int64, device=user.device)
