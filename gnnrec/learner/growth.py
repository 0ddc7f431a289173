"""Rows for nodes that have none: at the start, at a cold restart, and as nodes are numbered."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from gnnrec.core.seeds import derive
from gnnrec.data.types import Features, Ints, Keys, Observed
from gnnrec.encoders.base import Encoder, NewNodes
from gnnrec.encoders.initial import Initial
from gnnrec.encoders.tables import random_rows
from gnnrec.graph.bipartite import BipartiteGraph


class Growth:
    """What is known of the nodes, and how many of them the encoder has taken in.

    Args:
        initial: where tables start, and rows of new nodes.
        seed: of random rows.
    """

    def __init__(self, initial: Initial, seed: int) -> None:
        self.initial, self.seed = initial, seed
        self.user_key: Keys = np.empty(0, np.uint64)
        self.item_key: Keys = np.empty(0, np.uint64)
        self.features: Features | None = None
        self.taken = (0, 0)

    def open(self, new: Observed) -> None:
        """Take note of the nodes that an increment numbers."""
        self.user_key, self.item_key = new.user_key, new.item_key
        self.features = Features.concat(self.features, new.features)

    def grow(self, encoder: Encoder, seen: BipartiteGraph, graph: BipartiteGraph) -> None:
        """Let the encoder take in what is numbered since: by the policy where neighbours allow it, else seeded random rows."""
        (users, items), sizes = self.taken, (seen.num_users, seen.num_items)
        keys = self.user_key[users : sizes[0]], self.item_key[items : sizes[1]]
        random = self._random(encoder, *keys)
        if not encoder.keeps_rows:
            rows = random[0][:0], random[1][:0]
        elif any(self.taken):
            rows = self.initial.rows(random, (encoder.user.weight.detach(), encoder.item.weight.detach()), seen)
        else:
            rows = self.initial.start(random, seen)
        features = None if self.features is None else self.features.first(*sizes)
        encoder.grow(NewNodes(*rows, *keys, features, graph))
        self.taken = sizes

    def alone(self, encoder: Encoder, users: Ints, items: Ints) -> tuple[Tensor, Tensor]:
        """Return the rows, [n, d] each, that these users and items would begin with, had they no neighbour."""
        user, item = self._random(encoder, self.user_key[users], self.item_key[items])
        return self.initial.rows((user, item), (user[:0], item[:0]), BipartiteGraph.empty(len(user), len(item)))

    def _random(self, encoder: Encoder, user: Keys, item: Keys) -> tuple[Tensor, Tensor]:
        """Return random rows, [n, d] each, of users and items by their ids."""
        width, scale = encoder.width, encoder.scale
        first = random_rows(user, width, derive(self.seed, "user"), scale)
        return first, random_rows(item, width, derive(self.seed, "item"), scale)
