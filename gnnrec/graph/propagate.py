"""Message passing: polynomials of the symmetric-normalised product, and their own backward.

P = [[0, Â], [Âᵀ, 0]] is symmetric, and so is every polynomial of it: the gradient of Σ w_l P^l x is Σ w_l P^l g. By Horner's
rule Σ w_l P^l x = w_L (r_0 x + P(r_1 x + P(r_2 x + …))) with r_l = w_l / w_L: no layer's output is stored, and equal weights
cost no multiplication. Where only some rows are asked for, each layer adds its rows to them, and the outermost product, in
the backward the innermost, is taken over their edges alone where these are few. Letters: u users, i items, d width, b rows,
L passes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gnnrec.graph.normalised import Inner, Operator, PickedOperator, RowOperator
from gnnrec.graph.order import Pair
from gnnrec.graph.spread import by_column

LayerWeights = tuple[float, ...]
NEGLIGIBLE = 1e-30
"""Share of the largest weight below which a last layer is left out."""


def trimmed(weights: Tensor) -> LayerWeights:
    """Return the weights as numbers, up to the last that counts beside the largest: others are divided by it."""
    values: list[float] = weights.tolist()
    least = NEGLIGIBLE * max(map(abs, values))
    while len(values) > 1 and abs(values[-1]) <= least:
        values.pop()
    return tuple(values)


def at_least_single(x: Tensor) -> Tensor:
    """Return x in float32 or float64: half-precision CSR products do not exist on every device."""
    return x if x.dtype == torch.float64 else x.float()


def polynomial(operator: Operator | Inner, user: Tensor, item: Tensor, weights: LayerWeights) -> Pair:
    """Return Σ_l weights[l] · P^l (user, item) without recording gradients; [u, d], [i, d]."""
    last = weights[-1]
    if len(weights) == 1:
        return last * user, last * item
    y = _horner(operator, operator.enter(user, item), _relative(weights)[:-1])
    return operator.leave(y[0].mul_(last), y[1].mul_(last))


def _relative(weights: LayerWeights) -> LayerWeights:
    """Return r_l = w_l / w_L; w_L is 0 only where L is 0, and then r is not asked for."""
    return tuple(w / weights[-1] if weights[-1] else 0.0 for w in weights)


def _horner(operator: Operator | Inner, x: Pair, weights: LayerWeights) -> Pair:
    """Return w_0 x + P(w_1 x + … + P(w_k x + P x)) for weights (w_0, …, w_k), in memory of its own."""
    y = x
    for weight in reversed(weights):
        y = operator.pass_on(*y)
        if weight:
            _add(y, x, weight)
    return y


class Propagate(torch.autograd.Function):
    """Σ_l weights[l] · P^l over (user [u, d], item [i, d]); the last weight is not 0."""

    @staticmethod
    def forward(ctx: Any, user: Tensor, item: Tensor, operator: Operator | Inner, weights: LayerWeights) -> Pair:
        ctx.operator, ctx.weights = operator, weights
        return polynomial(operator, user, item, weights)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return *Propagate.apply(*grads, ctx.operator, ctx.weights), None, None  # type: ignore[no-untyped-call]


class PropagateRows(torch.autograd.Function):
    """The rows `users` [b] and `items` [b'], distinct, of `Propagate`'s result, and of its input beside them."""

    @staticmethod
    def forward(
        ctx: Any,
        user: Tensor,
        item: Tensor,
        operator: Operator,
        rows: RowOperator | PickedOperator,
        weights: LayerWeights,
        users: Tensor,
        items: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        ctx.operator, ctx.rows, ctx.weights, ctx.at = operator, rows, weights, (users, items)
        own = user.index_select(0, users), item.index_select(0, items)
        found, y = (weights[0] * own[0], weights[0] * own[1]), operator.enter(user, item)
        for weight in weights[1:-1]:
            y = operator.pass_on(*y)
            for part, table, at in zip(found, y, operator.at(users, items), strict=True):
                part.add_(table.index_select(0, at), alpha=weight)
        _add(found, rows.pass_on(*y), weights[-1])
        return *found, *own

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        given = ctx.operator, ctx.rows, ctx.weights, *ctx.at
        return *SpreadRows.apply(*grads, *given), None, None, None, None, None  # type: ignore[no-untyped-call]


class SpreadRows(torch.autograd.Function):
    """The transpose of `PropagateRows`: gradients of its four results become those of the tables, [u, d] and [i, d]."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Pair:
        grads: tuple[Tensor, ...] = given[:4]
        operator, rows, weights, users, items = ctx.given = given[4:]
        last = weights[-1]
        spread = rows.spread(last * grads[0], last * grads[1])
        user, item = operator.leave(*_consumed(operator, spread, _relative(weights)[1:-1]))
        _add_rows(user, users, grads[2].add(grads[0], alpha=weights[0]))
        _add_rows(item, items, grads[3].add(grads[1], alpha=weights[0]))
        return user, item

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        again = PropagateRows.apply(*grads, *ctx.given)  # type: ignore[no-untyped-call]
        return *again, None, None, None, None, None


class Subgraph:
    """Edges among some nodes, numbered afresh, normalised by their degrees in the whole graph.

    Args:
        operator: its matrices; None: there is no edge.
    """

    def __init__(self, operator: Inner | None) -> None:
        self._operator = operator

    @property
    def num_edges(self) -> int:
        """Number of undirected edges."""
        return 0 if self._operator is None else self._operator.num_edges

    def polynomial(self, user: Tensor, item: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return Σ_l weights[l] · P^l (user, item) over these edges, [t, d], [t', d]."""
        if self._operator is None:
            return float(weights[0]) * user, float(weights[0]) * item
        given = self._operator, trimmed(weights)

        def product(u: Tensor, i: Tensor) -> tuple[Tensor, Tensor]:
            return Propagate.apply(u, i, *given)  # type: ignore[no-any-return, no-untyped-call]

        return by_column(product, at_least_single(user), at_least_single(item))


def _consumed(operator: Operator, x: Pair, weights: LayerWeights) -> Pair:
    """Return w_0 x + … + w_(k-1) P^(k-1) x + P^k x for weights (w_0, …, w_(k-1)); the sum lies in the memory of `x`.

    As `_horner`, which must leave x as it is.
    """
    if not weights:
        return x
    y = operator.pass_on(*x)
    if weights[0] != 1:
        x = x[0].mul_(weights[0]), x[1].mul_(weights[0])
    for weight in weights[1:]:
        _add(x, y, weight)
        y = operator.pass_on(*y)
    _add(x, y, 1.0)
    return x


def _add(total: Pair, y: Pair, weight: float) -> None:
    for part, layer in zip(total, y, strict=True):
        part.add_(layer, alpha=weight)


def _add_rows(table: Tensor, at: Tensor, rows: Tensor) -> None:
    """Add `rows` at distinct places; `index_add_`, which allows repeats, takes several times as long."""
    table.index_copy_(0, at, table.index_select(0, at).add_(rows))
