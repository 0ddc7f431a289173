"""INMO: rows made of the templates that a node is connected to, so that a new node needs no parameters.

Letters: u users, i items, d width, L layers, t template users, t' template items.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gnnrec.core.errors import GnnrecError
from gnnrec.core.seeds import derive
from gnnrec.data.types import Floats, Ints
from gnnrec.encoders.base import Encoder, EncoderStep, NewNodes
from gnnrec.encoders.chance import Chance
from gnnrec.encoders.partial import linear_layers
from gnnrec.encoders.tables import Embedded, Embeddings, SomeEmbeddings, Table, pick, random_rows
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.sums import EdgeSums


class INMO(Encoder):
    """Wu et al., "Inductive representation learning for collaborative filtering" (INMO), SIGIR 2022.

    x_u = (d_u + 1)^-α · (Σ_{i ∈ N(u) ∩ T'} t_i + g'), d_u the number of its template neighbours, T' the template items, g' a
    vector for all users; items likewise from template users. Then LightGCN: e = 1/(L+1) · Σ_{l=0..L} P^l x. Templates are nodes
    of the first growth, which is the base or all that is known at a cold restart: those with most edges. Later growth adds
    none: a node has its place with its first edge, before anything is trained. To the loss comes `weight` · BPR over the
    templates themselves, of the batch's events between a template user and a template item.

    Departs from the authors' code in that α follows optimiser steps and not epochs, templates are ranked by their number of
    edges, edges are not dropped, and negatives of the templates' BPR may be known positives. Where edges weigh by age, so do
    templates, and d_u is a sum of weights.

    Args:
        width: d.
        layers: L.
        scale: standard deviation of random templates.
        share: of the users and of the items of the first growth that are templates.
        alpha: α at the start.
        anneal: δ of α = 1 − (1 − α_0) · δ^(optimiser steps); 1: α stays. The authors have α_0 = ½ and 0.99 for an epoch.
        weight: of the templates' BPR; 0: none.
        seed: of the templates.

    Raises:
        GnnrecError: share or anneal is outside of (0, 1].
    """

    keeps_rows = False
    template_user: Tensor
    template_item: Tensor
    steps: Tensor

    def __init__(
        self,
        width: int = 64,
        layers: int = 3,
        scale: float = 0.1,
        share: float = 1.0,
        alpha: float = 0.5,
        anneal: float = 1.0,
        weight: float = 0.01,
        seed: int = 0,
    ) -> None:
        super().__init__(width, scale, layers)
        for name, value in (("share", share), ("anneal", anneal)):
            if not 0 < value <= 1:
                raise GnnrecError(f"encoder.{name}={value} must be above 0 and at most 1")
        self.share, self.alpha, self.anneal, self.weight, self.seed = share, alpha, anneal, weight, seed
        self.of_users, self.of_items = Table(width), Table(width)
        every = (random_rows(np.array([k], np.uint64), width, derive(seed, "all"), scale)[0] for k in (0, 1))
        self.all_users, self.all_items = (nn.Parameter(row) for row in every)
        for name in ("template_user", "template_item"):
            self.register_buffer(name, torch.empty(0, dtype=torch.int64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.chance = Chance(seed)
        self._cache: tuple[BipartiteGraph, tuple[EdgeSums, EdgeSums]] | None = None

    def grow(self, new: NewNodes) -> None:
        """Choose the templates among the first nodes; later ones change nothing."""
        if len(self.of_users) or len(self.of_items):
            return
        chosen = (_most(degree, self.share) for degree in new.graph.degrees)
        self.template_user, self.template_item = (torch.from_numpy(node) for node in chosen)
        for table, node, key, side in (
            (self.of_users, self.template_user, new.user_key, "user"),
            (self.of_items, self.template_item, new.item_key, "item"),
        ):
            table.append(random_rows(key[node.numpy()], self.width, derive(self.seed, "templates", side), self.scale))

    def forward(self, graph: BipartiteGraph) -> Embeddings:
        """Return [u, d] and [i, d] means over layers, and the rows made of templates."""
        x = self._made(graph)
        return Embeddings(*graph.polynomial(*x, self._weights), *x)

    def rows(self, graph: BipartiteGraph, users: Tensor, items: Tensor) -> Embedded:
        """Return these nodes' rows of `forward`, the last layer taken over their edges alone where that is less."""
        some = graph.polynomial_rows(*self._made(graph), self._weights, users, items)
        return self(graph) if some is None else SomeEmbeddings(users, items, Embeddings(*some), partial(self, graph))

    def by_layer(self, graph: BipartiteGraph) -> list[Embeddings]:
        """Return P^l x for l = 0..L."""
        return linear_layers(graph, *self._made(graph), self.layers)

    def auxiliary(self, step: EncoderStep) -> Tensor | float:
        """Return the weighted BPR of the templates, and let α take its step."""
        self.steps += 1
        (at_user, user), (at_item, item) = (
            _places(node, templates)
            for node, templates in ((step.batch.user, self.template_user), (step.batch.item, self.template_item))
        )
        both = at_user & at_item & step.batch.positive
        if not self.weight or not len(self.of_items) or not bool(both.any()):
            return 0.0
        good, chance = item[both], self.chance.generator()
        bad = torch.randint(len(self.of_items), good.shape, generator=chance, device=good.device)
        difference = pick(self.of_items.weight, good) - pick(self.of_items.weight, bad)
        return self.weight * F.softplus(-(pick(self.of_users.weight, user[both]) * difference).sum(1)).mean()

    def __getstate__(self) -> dict[str, Any]:
        """Return what copies and pickles hold: everything but the edges, which are the graph's."""
        return {**self.__dict__, "_cache": None}

    @property
    def exponent(self) -> float:
        """The present α."""
        # A number of steps that is not asked for is not waited for, either.
        return self.alpha if self.anneal == 1 else 1 - (1 - self.alpha) * self.anneal ** int(self.steps)

    @property
    def _weights(self) -> Tensor:
        return torch.full((self.layers + 1,), 1 / (self.layers + 1))

    def _made(self, graph: BipartiteGraph) -> tuple[Tensor, Tensor]:
        """Return x, [u, d] and [i, d]."""
        by_items, by_users = self._sums(graph)
        user = by_items.to_users(self.of_items.weight) + self.all_users
        item = by_users.to_items(self.of_users.weight) + self.all_items
        counts = by_items.totals[0], by_users.totals[1]
        shrink = (torch.from_numpy((c + 1.0) ** -self.exponent).to(user).unsqueeze(1) for c in counts)
        return user * next(shrink), item * next(shrink)

    def _sums(self, graph: BipartiteGraph) -> tuple[EdgeSums, EdgeSums]:
        """Return the edges to template items [u, t'] and to template users [t, i], built once per graph."""
        if self._cache is None or self._cache[0] is not graph:
            (user, item), weight = graph.edges(), graph.weights()
            users, items = self.template_user.cpu(), self.template_item.cpu()
            keep, column = (x.numpy() for x in _places(torch.from_numpy(item), items))
            by_items = EdgeSums(user[keep], column[keep], weight[keep], (graph.num_users, len(items)), graph.device)
            keep, row = (x.numpy() for x in _places(torch.from_numpy(user), users))
            by_users = EdgeSums(row[keep], item[keep], weight[keep], (len(users), graph.num_items), graph.device)
            self._cache = graph, (by_items, by_users)
        return self._cache[1]


def _most(degree: Ints | Floats, share: float) -> Ints:
    """Return this share of the nodes, those with most edges, ascending; one at least where there is one."""
    count = min(len(degree), max(1, round(share * len(degree))))
    return np.sort(np.argsort(-degree, kind="stable")[:count])


def _places(node: Tensor, templates: Tensor) -> tuple[Tensor, Tensor]:
    """Return which of the nodes [n] are templates, ascending numbers, and where they stand among these, [n]."""
    if not len(templates):
        return torch.zeros_like(node, dtype=torch.bool), torch.zeros_like(node)
    at = torch.searchsorted(templates, node).clamp(max=len(templates) - 1)
    return templates[at] == node, at
