"""Unlearning by influence: one Newton step from the model that has seen the events to one that has not.

Letters: n events, u users, i items, d width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from gnnrec.core.errors import GnnrecError, above_zero
from gnnrec.core.seeds import generator
from gnnrec.data.types import Interactions, Observed
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.keys import edge_key
from gnnrec.learner import Learner
from gnnrec.objectives.base import Batch
from gnnrec.strategies.base import Strategy, needs_rows

Rows = dict[str, Tensor]


class Influence(Strategy):
    """Fine-tune; where events are taken back, first θ ← θ − (H + λI)⁻¹ (∇Σ_left L(G') − ∇Σ_all L(G)) / N.

    After Zhang et al., "Recommendation unlearning via influence function" (IFRU, 2023): the gradient counts what the removed
    events brought to the loss and what their edges brought to the embeddings of others. Only events that share a user or an
    item with a removed one enter it, with the negatives they have; N are the events that stay, H the mean Hessian over `sample`
    of those that stay, by products that are differences of gradients. The system is solved by conjugate gradients.

    A batch counts as often as it has relevant events, which the mean of a ranking loss runs over.

    θ are the rows of users and items. Departs from the paper in the damping λ, in that other parameters of the encoder and the
    objective stay, in that a pair of which an event is left keeps the weight of all (a stream's removals name all events of a
    pair), and in that embeddings of nodes further away than one edge count as unchanged in the choice of the events, not in
    their gradients. It approximates what `unlearn` does exactly: what is left behind has not
    been bounded. Needs no state.

    Args:
        damping: λ; a bilinear loss has negative curvature, which λ has to exceed.
        iterations: of conjugate gradients, at most.
        sample: events that H is estimated from.
        seed: of the sample.

    Raises:
        GnnrecError: a setting is out of its range; in `update`: the encoder keeps no rows, or λ is too small.
    """

    def __init__(self, damping: float = 0.1, iterations: int = 20, sample: int = 20_000, seed: int = 0) -> None:
        super().__init__(seed)
        above_zero("strategy", damping=damping, iterations=iterations, sample=sample)
        self.damping, self.iterations, self.sample = damping, int(iterations), int(sample)

    def update(self, learner: Learner, new: Observed) -> None:
        """Step away from what is taken back; then fine-tune."""
        if len(new.removed):
            needs_rows(learner, "influence moves rows")
            learner.encoder.eval()  # without noise: gradients are compared
            try:
                self._forget(learner, new)
            finally:
                learner.encoder.train()
        super().update(learner, new)

    def _forget(self, learner: Learner, new: Observed) -> None:
        known = Interactions.concat(list(learner.counters.log))
        left = known.without(new.removed)
        near = np.isin(known.user, new.removed.user) | np.isin(known.item, new.removed.item)
        if len(left) == len(known) or not len(left):
            return  # nothing of it had been absorbed, or nothing is left to stand on
        learner.fits.open(new.index)  # a run that goes on draws as one that was never stopped
        gone = edge_key(new.removed.user, new.removed.item)
        gone = gone[~np.isin(gone, edge_key(left.user, left.item))]
        pairs = Interactions.pairs(gone >> 32, gone & 0xFFFFFFFF)
        after = learner.graph.without(pairs)
        batches = _batches(learner, known.take(near))
        kept = [_without(batch, gone) for batch in batches]
        difference = _minus(_gradient(learner, kept, after), _gradient(learner, batches, learner.graph))
        rng = generator(self.seed, new.index, "influence")
        some = left.take(np.sort(rng.choice(len(left), min(self.sample, len(left)), replace=False)))
        sampled = _batches(learner, some)
        moved = conjugate_gradients(
            lambda v: _damped(_curvature(learner, sampled, after, v, len(some)), v, self.damping),
            {name: x / len(left) for name, x in difference.items()},
            self.iterations,
        )
        rows = {name: table.detach() - moved[name] for name, table in learner.encoder.tables().items()}
        if not all(bool(x.isfinite().all()) for x in rows.values()):
            raise GnnrecError(
                f"the influence of what is taken back is not finite; raise strategy.damping={self.damping}"
            )
        learner.write(**rows)


def conjugate_gradients(product: Callable[[Rows], Rows], right: Rows, iterations: int) -> Rows:
    """Return x with A x = right, A symmetric and given by its products; it stops where A is not positive along the way.

    Hestenes & Stiefel, 1952; at such a direction the last x stands, as truncated Newton methods do (Steihaug, 1983).

    Raises:
        GnnrecError: A is not positive along `right` itself, so that there is no x.
    """
    x = {name: torch.zeros_like(b) for name, b in right.items()}
    residual = {name: b.clone() for name, b in right.items()}
    way, size = residual, _dot(residual, residual)
    least = 1e-10 * size
    for _ in range(iterations):
        if size <= least:
            break
        image = product(way)
        bend = _dot(way, image)
        if bend <= 0:
            if way is residual:
                raise GnnrecError(
                    "strategy.damping is below the curvature of the loss, so no step can be told; raise it"
                )
            break
        length = size / bend
        x = {name: x[name] + length * way[name] for name in x}
        residual = {name: residual[name] - length * image[name] for name in x}
        before, size = size, _dot(residual, residual)
        way = {name: residual[name] + (size / before) * way[name] for name in x}
    return x


def _batches(learner: Learner, events: Interactions) -> list[Batch]:
    """Return the batches of an epoch, where the learner lies between fits."""
    return [Batch(*(column.cpu() for column in step.batch)) for step in learner.loop(events)]


def _gradient(learner: Learner, batches: Sequence[Batch], graph: BipartiteGraph) -> Rows:
    """Return the gradient of the summed loss at the rows, [u, d] and [i, d], with embeddings of `graph`."""
    tables = learner.encoder.tables()
    total = {name: torch.zeros_like(table) for name, table in tables.items()}
    for batch in batches:
        if len(batch.user):
            times = len(batch.user) if learner.objective.selects_by == "mse" else int(batch.positive.sum())
            learner.cost.triplets += len(batch.user)
            loss = learner.objective(learner.encoder(graph), batch._replace(within=batch.within[:0])) * times
            for name, slope in zip(tables, torch.autograd.grad(loss, list(tables.values())), strict=True):
                total[name] += slope
    return total


def _curvature(learner: Learner, batches: Sequence[Batch], graph: BipartiteGraph, way: Rows, count: int) -> Rows:
    """Return H · way, H the Hessian of the mean loss, by central differences of gradients."""
    tables = learner.encoder.tables()
    size = max(_dot(way, way), torch.finfo(torch.float32).tiny) ** 0.5
    scale = max(
        _dot({n: t.detach() for n, t in tables.items()}, {n: t.detach() for n, t in tables.items()}) ** 0.5, 1e-6
    )
    step = 1e-3 * scale / size
    held = {name: table.detach().clone() for name, table in tables.items()}
    ends = []
    with torch.no_grad():
        for sign in (1.0, -1.0):
            for name, table in tables.items():
                table.copy_(held[name] + sign * step * way[name])
            with torch.enable_grad():
                ends.append(_gradient(learner, batches, graph))
        for name, table in tables.items():
            table.copy_(held[name])
    return {name: (ends[0][name] - ends[1][name]) / (2 * step * count) for name in tables}


def _without(batch: Batch, gone: np.ndarray) -> Batch:
    """Return a batch without the events of these pairs."""
    stays = torch.from_numpy(~np.isin(edge_key(batch.user.numpy(), batch.item.numpy()), gone))
    own = {name: getattr(batch, name)[stays] for name in ("user", "item", "value", "positive", "negative")}
    return batch._replace(within=batch.within[:0], **own)


def _damped(image: Rows, way: Rows, damping: float) -> Rows:
    return {name: image[name] + damping * way[name] for name in way}


def _minus(a: Rows, b: Rows) -> Rows:
    return {name: a[name] - b[name] for name in a}


def _dot(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    return float(sum((a[name].double() * b[name].double()).sum() for name in a))
