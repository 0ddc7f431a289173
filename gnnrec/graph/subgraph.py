"""The part of a graph between some of its nodes."""

from __future__ import annotations

from torch import Tensor

from gnnrec.graph.normalised import Inner
from gnnrec.graph.propagate import Propagate, at_least_single, trimmed
from gnnrec.graph.spread import by_column


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
