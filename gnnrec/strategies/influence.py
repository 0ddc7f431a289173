"""Unlearning by influence: one Newton step from the model that has seen the events to one that has not.

Letters: n events, u users, i items, d width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from gnnrec.core.errors import GnnrecError, above_zero
from gnnrec.core.seeds import generator
from gnnrec.data.types import Interactions, Ints, Observed
from gnnrec.encoders.tables import TABLES
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.keys import edge_key
from gnnrec.learner import Learner
from gnnrec.objectives.base import Batch
from gnnrec.strategies.base import Strategy, needs_rows

Rows = dict[str, Tensor]


class Influence(Strategy):
    """Fine-tune; where events are taken back, first θ ← θ − (H + λD)⁻¹ (∇Σ_left L(G') − ∇Σ_all L(G)) / N.

    After Zhang et al., "Recommendation unlearning via influence function" (IFRU, 2023): the gradient counts what the removed
    events brought to the loss and what their edges brought to the embeddings of others. Only events that share a user or an
    item with a removed one enter it, with the negatives they have; N are the events that stay, H the mean Hessian over `sample`
    of those that stay, by products that are differences of gradients. The system is solved by conjugate gradients.

    D is diagonal: n / (N · |x|²) for a row x whose node had n events before, one at least. The curvature that H has at a row is
    its share of the mean loss, about n / N: a multiple of the identity in the place of D is nothing to a frequent item,
    everything to a user with ten events among millions, and another thing for losses of cosines, whose curvature goes with
    1 / |x|². A row that moves by its own length costs λ/2 per event of its node, in any log and under any objective. Nodes
    without an event left get the row that a new one without a neighbour begins with, as if they had never been trained; a
    quadratic model does not reach that far.

    A bilinear loss has negative curvature. Where it comes near λD the step would be arbitrarily long: it goes no further than a
    positive H could take it, |δ| ≤ |g| / λ in the norms of D and its inverse; where H + λD is not positive along g itself, it
    is D⁻¹g / λ, as if there were no H.

    A batch counts as often as it has relevant events, which the mean of a ranking loss runs over.

    θ are the rows of users and items. Departs from the paper in λD and the bound, in that other parameters of the encoder and
    the objective stay, in that a pair of which an event is left keeps the weight of all (a stream's removals name all events of
    a pair), and in that embeddings of nodes further away than one edge count as unchanged in the choice of the events, not in
    their gradients. It approximates what `unlearn` does exactly: what is left behind has not been bounded, and events that a
    long fit knows by heart leave more behind, as their gradients are small. Needs no state.

    Args:
        damping: λ; should exceed the negative curvature that a bilinear loss has. Lower: longer steps.
        iterations: of conjugate gradients, at most.
        sample: events that H is estimated from.
        seed: of the sample.

    Raises:
        GnnrecError: a setting is out of its range; in `update`: the encoder keeps no rows, or a step is not finite.
    """

    def __init__(self, damping: float = 1.0, iterations: int = 20, sample: int = 20_000, seed: int = 0) -> None:
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
        lost = {name: np.setdiff1d(getattr(known, name), getattr(left, name)) for name in TABLES}
        moved = self._step(
            lambda v: _curvature(learner, sampled, after, v, len(some)),
            {name: x / len(left) for name, x in difference.items()},
            _scale(learner, known, len(left), lost),
        )
        rows = _minus({name: table.detach() for name, table in learner.encoder.tables().items()}, moved)
        begun = learner.growth.alone(learner.encoder, lost["user"], lost["item"])
        for name, first in zip(TABLES, begun, strict=True):
            rows[name][torch.from_numpy(lost[name])] = first.to(rows[name])
        if not all(bool(x.isfinite().all()) for x in rows.values()):
            raise GnnrecError(
                f"the influence of what is taken back is not finite; raise strategy.damping={self.damping}"
            )
        learner.write(**rows)

    def _step(self, hessian: Callable[[Rows], Rows], slope: Rows, scale: Rows) -> Rows:
        """Return (H + λD)⁻¹ slope, given D^−½.

        Solved for D^½ times the rows, of which the damping is λ times the identity: that takes fewest iterations.
        """
        right = _times(slope, scale)
        found = conjugate_gradients(
            lambda v: _damped(_times(hessian(_times(v, scale)), scale), v, self.damping),
            right,
            self.iterations,
            _dot(right, right) ** 0.5 / self.damping,
        )
        return _times(found, scale)


def conjugate_gradients(
    product: Callable[[Rows], Rows], right: Rows, iterations: int, longest: float = math.inf
) -> Rows:
    """Return x with A x = right, A symmetric and given by its products; it stops where A is not positive along the way.

    Hestenes & Stiefel, 1952; at such a direction, and where x would be longer than `longest`, the last x stands, as truncated
    Newton methods do (Steihaug, 1983); the first goes, or is cut, to that length.

    Raises:
        GnnrecError: A is not positive along `right` itself, and `longest` is infinite, so that there is no x.
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
            if way is not residual:
                break
            if math.isinf(longest):
                raise GnnrecError("conjugate gradients need a matrix that is positive along the right side")
            return {name: longest / size**0.5 * b for name, b in way.items()}
        length = size / bend
        ahead = {name: x[name] + length * way[name] for name in x}
        if (far := _dot(ahead, ahead) ** 0.5) > longest:
            return {name: longest / far * b for name, b in ahead.items()} if way is residual else x
        x = ahead
        residual = {name: residual[name] - length * image[name] for name in x}
        before, size = size, _dot(residual, residual)
        way = {name: residual[name] + (size / before) * way[name] for name in x}
    return x


def _scale(learner: Learner, known: Interactions, left: int, lost: Mapping[str, Ints]) -> Rows:
    """Return D^−½ for every row, [u, 1] and [i, 1]: |x| · √(N / n); 0 for nodes without an event left, which take no part."""
    found = {}
    for name, table in learner.encoder.tables().items():
        # As many as before the removal: with the few that are left, rows that lost most of theirs would overshoot.
        count = np.maximum(np.bincount(getattr(known, name), minlength=len(table)), 1)
        rate = torch.from_numpy(np.sqrt(left / count)).to(table)
        found[name] = (torch.linalg.vector_norm(table.detach(), dim=1) * rate).unsqueeze(1)
        found[name][torch.from_numpy(lost[name])] = 0.0
    return found


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
    """Return H · way, H the Hessian of the mean loss, by central differences of gradients.

    The row that moves most, for its length, moves by a hundredth of it: near enough for one row of a million, which a share of
    the whole tables' length would take far away, and far enough for single precision.
    """
    tables = learner.encoder.tables()
    share = max(
        float((torch.linalg.vector_norm(way[n], dim=1) / _lengths(t.detach())).max())
        for n, t in tables.items()
        if len(t)
    )
    step = 1e-2 / max(share, torch.finfo(torch.float32).tiny)
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


def _times(rows: Rows, scale: Rows) -> Rows:
    return {name: rows[name] * scale[name] for name in rows}


def _minus(a: Rows, b: Rows) -> Rows:
    return {name: a[name] - b[name] for name in a}


def _lengths(rows: Tensor) -> Tensor:
    """Return the lengths of rows, [n], above 0."""
    lengths: Tensor = torch.linalg.vector_norm(rows, dim=1)
    return lengths.clamp(min=torch.finfo(torch.float32).tiny)


def _dot(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    return float(sum((a[name].double() * b[name].double()).sum() for name in a))
