"""SGCT, MGCT and LWC-KD: an old node and its old neighbours stay closer than the node and others.

Letters: n anchors, d width, m pairs of anchors with positives, q negatives of an anchor, k nearest nodes, L layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gnnrec.core.errors import GnnrecError, above_zero, nearest
from gnnrec.core.seeds import generator
from gnnrec.data.types import Observed
from gnnrec.encoders.tables import Embedded, Embeddings
from gnnrec.learner import Learner
from gnnrec.objectives.base import Batch
from gnnrec.strategies.base import Strategy
from gnnrec.strategies.distil import piw
from gnnrec.strategies.distil.nearest import nearest_rows
from gnnrec.strategies.distil.piw import UserWeights
from gnnrec.strategies.distil.teacher import Neighbours, Teacher
from gnnrec.training.step import Step, no_nodes

RELATIONS = ("ui", "iu", "uu", "ii")
DENOMINATORS = ("per_anchor", "batch", "full")
READ_OUT = 0.1
"""λ of the read-out where none is given."""


@dataclass(frozen=True, slots=True)
class Relation:
    """What anchors of one kind are compared with.

    Attributes:
        of_users, to_users: kinds of anchors and of positives.
        near: positives of every old node of the first kind.
        far: negatives of it, [n, q], drawn once per update.
    """

    of_users: bool
    to_users: bool
    near: Neighbours
    far: Tensor


class ContrastiveDistill(Strategy):
    """Fine-tune with Σ_r Σ_l λ_l · mean_v mean_{p in P_r(v)} −log [exp(<h_v(t−1), h_p> / τ) / Σ_q exp(<h_v(t−1), h_q> / τ)].

    Wang et al., "Graph structure aware contrastive knowledge distillation for incremental learning in recommender systems",
    CIKM 2021. v are old nodes of the batch, anchors as the old model had them; P_r(v) are old neighbours as they are now: items
    of users and users of items ("ui", "iu": SGCT), with nearest users and items by the cosine of old embeddings besides ("uu",
    and "ii": MGCT), on the input of every layer (LWC-KD) or on the read-out. The sum over q is over the positive and the
    anchor's negatives ("per_anchor": InfoNCE), over all anchors' negatives of the batch without the positive ("batch", the
    published code's), or over all old nodes ("full", as in the code published with CCD, KDD 2024).

    "uu" and "ii" are nearest by cosine, not by how often two were taken together; they are searched among all old nodes of the
    kind, which costs n² d per update for n of them. With one layer, "ui" and "iu", LWC-KD is SGCT on the input rows; of an
    encoder that passes no messages these are the read-out.

    Departs from the paper in that negatives are drawn once per update, alike many for every relation, and may be old neighbours
    of the anchor, and in InfoNCE as default. Needs no state.

    Args:
        strength: λ of the read-out; None: 0.1, or nothing where `layers` weighs its layers.
        relations: of RELATIONS.
        layers: λ_l of the input of each layer, 0 to L − 1, or one for all of them; None: the read-out is compared instead.
        positives: most old neighbours of a node.
        negatives: q, nodes drawn for each anchor.
        temperature: τ.
        denominator: of DENOMINATORS.
        weights: learns how much each user's terms count (PIW); None: all alike.
        seed: of the draws.

    Raises:
        GnnrecError: a setting is out of its range, or both strength and layers are given; in `remember`: the encoder has not as
            many layers as there are weights.
    """

    def __init__(
        self,
        strength: float | None = None,
        relations: Sequence[str] = ("ui", "iu"),
        layers: Sequence[float] | float | None = None,
        positives: int = 15,
        negatives: int = 15,
        temperature: float = 0.5,
        denominator: str = "per_anchor",
        weights: UserWeights | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        above_zero("strategy", positives=positives, negatives=negatives, temperature=temperature)
        for name, given, allowed in (("denominator", [denominator], DENOMINATORS), ("relations", relations, RELATIONS)):
            if wrong := [x for x in given if x not in allowed]:
                raise GnnrecError(f"strategy.{name}: '{wrong[0]}' is not known{nearest(str(wrong[0]), allowed)}")
        if layers is None:
            strength = READ_OUT if strength is None else strength
        elif strength is not None:
            raise GnnrecError(
                f"strategy.strength={strength} weighs the read-out, which strategy.layers={layers} takes the place of; with "
                "strategy.layers give a weight for each layer there, and strategy.strength=null"
            )
        by_layer = (layers,) if isinstance(layers, int | float) else tuple(layers or ())
        if min(strength or 0, *by_layer, 0) < 0:
            raise GnnrecError(f"strategy.strength and strategy.layers must be 0 or more, got {strength} and {layers}")
        self.strength, self.relations, self.layers = strength, tuple(relations), layers
        self.positives, self.negatives, self.temperature = positives, negatives, temperature
        self.denominator, self.weights = denominator, weights
        self._teacher: Teacher | None = None
        self._then: list[Embeddings] = []
        self._related: list[Relation] = []

    def remember(self, learner: Learner, new: Observed) -> None:
        """Keep the old model, its layers where they are asked for."""
        if self.layers is None:
            self._strengths: tuple[float, ...] = (self.strength or 0.0,)
            self._then = [learner.snapshot()]
        else:
            self._then = layers_of(learner)
            self._then = self._then[:-1] or self._then  # an encoder that passes no messages has its rows alone
            self._strengths = self._of_layers(self.layers, len(self._then))
        self._teacher = Teacher.of(learner) if any(self._strengths) else None

    @staticmethod
    def _of_layers(given: Sequence[float] | float, count: int) -> tuple[float, ...]:
        found = (float(given),) * count if isinstance(given, int | float) else tuple(given)
        if len(found) != count:
            raise GnnrecError(
                f"strategy.layers has {len(found)} weights, the encoder {count} layers; give one for each"
            )
        return found

    def prepare(self, learner: Learner, new: Observed) -> None:
        """Look up positives and draw negatives."""
        if (old := self._teacher) is None:
            return
        piw.start(self.weights, self._then[0], self.seed)
        self._related = [self._relation(old, learner, name, new.index) for name in self.relations]

    def _relation(self, old: Teacher, learner: Learner, name: str, index: int) -> Relation:
        of_users, to_users = (letter == "u" for letter in name)
        own, other = (old.z.user if side else old.z.item for side in (of_users, to_users))
        if of_users == to_users:
            near = nearest_rows(own, self.positives)
        else:
            near = Neighbours.of(old, learner.seen, of_users, self.positives)
        rng = generator(self.seed, index, "negatives", name)
        same = of_users == to_users
        far = rng.integers(0, max(len(other) - same, 1), (len(own), self.negatives))
        if same:  # any but the node itself
            far += (far >= np.arange(len(own))[:, None]) & (len(own) > 1)
        return Relation(of_users, to_users, near, torch.from_numpy(far).to(own.device))

    def modules(self) -> UserWeights | None:
        """Return what learns the weights of users."""
        return self.weights

    def nodes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return positives and negatives of the batch's old nodes; by layers whole tables are made, of all nodes."""
        if self._teacher is None or self.layers is not None:
            return no_nodes(batch)
        found: dict[bool, list[Tensor]] = {True: [batch.user[:0]], False: [batch.item[:0]]}
        for related in self._related:
            anchor = self._anchors(self._teacher, related, batch)
            found[related.to_users] += [related.near.of_nodes(anchor)[1], related.far[anchor].flatten()]
        return torch.unique(torch.cat(found[True])), torch.unique(torch.cat(found[False]))

    @staticmethod
    def _anchors(old: Teacher, related: Relation, batch: Batch) -> Tensor:
        return old.users(batch.user) if related.of_users else old.items(batch.item)

    def penalty(self, step: Step) -> Tensor | float:
        """Return the weighted sum over relations and layers."""
        if (old := self._teacher) is None:
            return 0.0
        now: Sequence[Embedded] = [step.z] if self.layers is None else step.layers()
        total: Tensor | float = 0.0
        for strength, then, z in zip(self._strengths, self._then, now, strict=False):
            if strength:
                total = total + strength * self._terms(old, then, z, step.batch)
        return total + piw.spread(self.weights, self._then[0].item[old.items(step.batch.item)])

    def _terms(self, old: Teacher, then: Embeddings, z: Embedded, batch: Batch) -> Tensor:
        total = then.user.new_zeros(())
        for related in self._related:
            anchor = self._anchors(old, related, batch)
            if not len(anchor):
                continue
            loss, position = self._loss(related, then, z, anchor)
            if not len(loss):
                continue
            size = torch.bincount(position, minlength=len(anchor))
            share = 1 / size[position].to(loss) / (size > 0).sum()
            if related.of_users:
                share = share * piw.weigh(self.weights, then.user[anchor], z.users(anchor))[position]
            total = total + (share * loss).sum()
        return total

    def _loss(self, related: Relation, then: Embeddings, z: Embedded, anchor: Tensor) -> tuple[Tensor, Tensor]:
        """Return −log of the share of each pair of an anchor with a positive, [m], and the anchors' places, [m]."""
        old = (then.user if related.of_users else then.item)[anchor] / self.temperature
        rows = z.users if related.to_users else z.items
        position, positive = related.near.of_nodes(anchor)
        good = (old[position] * rows(positive)).sum(1)
        if self.denominator == "full":
            every = (z.user if related.to_users else z.item)[: len(then.user if related.to_users else then.item)]
            near = old @ every.T
            if related.of_users == related.to_users:  # a node is no neighbour of its own
                near = near.scatter(1, anchor.unsqueeze(1), -torch.inf)
            return near.logsumexp(1)[position] - good, position
        far = related.far[anchor]
        bad = torch.einsum("nd,nqd->nq", old, rows(far.flatten()).view(*far.shape, -1))
        if self.denominator == "batch":
            return bad.flatten().logsumexp(0) - good, position
        return torch.logaddexp(good, bad.logsumexp(1)[position]) - good, position


@torch.no_grad()
def layers_of(learner: Learner) -> list[Embeddings]:
    """Return detached embeddings of every layer of the model that serves, input rows first, where the read-out lies."""
    device = learner.embed().user.device
    learner.encoder.eval()
    found = learner.encoder.to(device).by_layer(learner.graph.to(device))
    kept = [Embeddings(*(x.detach().clone() for x in layer)) for layer in found]
    learner.encoder.cpu().train()
    return kept
