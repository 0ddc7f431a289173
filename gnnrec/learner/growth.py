"""Rows for nodes that have none: at the start, at a cold restart, and as nodes are numbered."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from gnnrec.core.seeds import derive
from gnnrec.data.types import Features, Keys, Observed
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
        random = self._random(encoder, seen, *self.taken)
        if not encoder.keeps_rows:
            rows = random[0][:0], random[1][:0]
        elif any(self.taken):
            rows = self.initial.rows(random, (encoder.user.weight.detach(), encoder.item.weight.detach()), seen)
        else:
            rows = self.initial.start(random, seen)
        (users, items), sizes = self.taken, (seen.num_users, seen.num_items)
        keys = self.user_key[users : sizes[0]], self.item_key[items : sizes[1]]
        features = None if self.features is None else self.features.first(*sizes)
        encoder.grow(NewNodes(*rows, *keys, features, graph))
        self.taken = sizes

    def _random(self, encoder: Encoder, seen: BipartiteGraph, users: int, items: int) -> tuple[Tensor, Tensor]:
        """Return random rows of the users and items numbered from these on."""
        user, item = self.user_key[users : seen.num_users], self.item_key[items : seen.num_items]
        made = (encoder.width, encoder.scale)
        pairs = ((user, derive(self.seed, "user")), (item, derive(self.seed, "item")))
        first, second = (random_rows(keys, made[0], seed, made[1]) for keys, seed in pairs)
        return first, second
