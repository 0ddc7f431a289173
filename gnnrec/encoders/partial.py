"""Train some rows of a linear encoder against a propagation of the others that is taken once.

A linear encoder reads out z = M x, so with δ the change of the trained rows T since the fit began, z = M x_0 + M δ. The first
term is propagated once per fit. Of the second, messages are followed along the edges within T: paths that leave T and come
back are dropped, so a step costs the edges within T, not the graph's. With every node in T nothing is dropped, and
this is training as usual. Serving propagates the whole graph. Letters: u users, i items, d width, T = (t, t') trained rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gnnrec.encoders.tables import Embedded, Embeddings, SomeEmbeddings, Table, pick
from gnnrec.graph.bipartite import BipartiteGraph


class Touched(nn.Module):
    """Takes the encoder's place during a fit.

    Args:
        start: read-out and input rows of every node at the start.
        weights: of the layers, [L + 1].
        graph: whose edges carry messages.
        users, items: [t], [t'] ascending numbers of the trained rows.
    """

    def __init__(self, start: Embeddings, weights: Tensor, graph: BipartiteGraph, users: Tensor, items: Tensor) -> None:
        super().__init__()
        self.weights = weights
        self.within = graph.within(users, items)
        self.user = nn.Parameter(start.input_user[users].clone())
        self.item = nn.Parameter(start.input_item[items].clone())
        # What the trained rows read out and put in at the start is kept beside the tables, where no step has to look for it.
        own = {"own_user": start.user[users], "own_item": start.item[items]}
        begun = {"begun_user": start.input_user[users], "begun_item": start.input_item[items]}
        tables = start._asdict() | own | begun | {"users": users, "items": items}
        for name, table in tables.items():
            self.register_buffer(f"_{name}", table.detach(), persistent=False)

    _users: Tensor
    _items: Tensor
    _user: Tensor
    _item: Tensor
    _input_user: Tensor
    _input_item: Tensor
    _own_user: Tensor
    _own_item: Tensor
    _begun_user: Tensor
    _begun_item: Tensor

    def _moved(self) -> tuple[Tensor, Tensor]:
        """Return the read-out of the trained rows, [t, d] and [t', d]."""
        user, item = self.within.polynomial(self.user - self._begun_user, self.item - self._begun_item, self.weights)
        return user + self._own_user, item + self._own_item

    def forward(self, graph: BipartiteGraph) -> Embeddings:
        """Return the embeddings of every node, those outside T as they were."""
        user, item = self._moved()
        return Embeddings(
            self._user.to(user).index_copy(0, self._users, user),
            self._item.to(item).index_copy(0, self._items, item),
            self._input_user.index_copy(0, self._users, self.user),
            self._input_item.index_copy(0, self._items, self.item),
        )

    def rows(self, graph: BipartiteGraph, users: Tensor, items: Tensor) -> Embedded:
        """Return the embeddings of these nodes, ascending numbers [b], [b']."""
        user, item = self._moved()
        of_user, of_item = _Places.of(users, self._users), _Places.of(items, self._items)
        rows = Embeddings(
            of_user.rows(user, self._user),
            of_item.rows(item, self._item),
            of_user.rows(self.user, self._input_user),
            of_item.rows(self.item, self._input_item),
        )
        whole: Callable[[], Embeddings] = lambda: self(graph)  # noqa: E731
        return SomeEmbeddings(users, items, rows, whole)

    def by_layer(self, graph: BipartiteGraph) -> list[Embeddings]:
        """Return the embeddings of every layer, as the encoder would with the trained rows among its own."""
        return linear_layers(graph, *self.whole(), len(self.weights) - 1)

    def auxiliary(self, step: object) -> float:
        """Add nothing: an encoder with an auxiliary loss trains whole."""
        return 0.0

    def tables(self) -> dict[str, nn.Parameter]:
        """Return the rows that are trained, by "user" and "item"."""
        return {"user": self.user, "item": self.item}

    def nodes(self) -> dict[str, Tensor]:
        """Return the numbers of these rows, [t], [t']."""
        return {"user": self._users, "item": self._items}

    def whole(self) -> tuple[Tensor, Tensor]:
        """Return the tables with the trained rows in their places, [u, d] and [i, d]."""
        user = self._input_user.index_copy(0, self._users, self.user)
        return user, self._input_item.index_copy(0, self._items, self.item)

    def write_to(self, user: Table, item: Table) -> None:
        """Put the trained rows into the encoder's tables."""
        for table, rows in zip((user, item), self.whole(), strict=True):
            table.replace(rows)


def linear_layers(graph: BipartiteGraph, user: Tensor, item: Tensor, layers: int) -> list[Embeddings]:
    """Return P^l (user, item) for l = 0..layers, each beside the input rows."""
    found = [Embeddings(user, item, user, item)]
    for _ in range(layers):
        user, item = graph.propagate(user, item)
        found.append(Embeddings(user, item, found[0].user, found[0].item))
    return found


class _Places(NamedTuple):
    """Where nodes have their rows: at `trained` [b] among the trained ones, but for those numbered `rest`, the nodes `node`."""

    trained: Tensor
    rest: Tensor
    node: Tensor

    @staticmethod
    def of(node: Tensor, trained: Tensor) -> _Places:
        """Return the places of the nodes [b] where the rows of `trained` [t], ascending, are trained."""
        if not len(trained):
            return _Places(node[:0], torch.arange(len(node), device=node.device), node)
        at = torch.searchsorted(trained, node).clamp(max=len(trained) - 1)
        rest = (trained[at] != node).nonzero().squeeze(1)
        return _Places(at, rest, node[rest])

    def rows(self, trained: Tensor, every: Tensor) -> Tensor:
        """Return the nodes' trained rows where they have one, else their rows in `every`, [b, d]."""
        if not len(self.trained):
            return every[self.node]
        # Tables of every node lie far from the cache: few rows are read there.
        rows = pick(trained, self.trained)
        return rows.index_copy(0, self.rest, every[self.node].to(rows)) if len(self.rest) else rows
