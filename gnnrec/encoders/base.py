"""What every encoder has: two growing tables, and a read-out that needs the graph."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Features, Keys
from gnnrec.encoders.partial import Touched
from gnnrec.encoders.tables import Embedded, Embeddings, Table
from gnnrec.graph.bipartite import BipartiteGraph


class EncoderStep(Protocol):
    """What an encoder may read of a batch that is trained on (`gnnrec.training.step.Step` is one)."""

    @property
    def z(self) -> Embedded:
        """Embeddings of at least the batch's nodes; gradients flow."""

    @property
    def batch(self) -> Any:
        """The events, `gnnrec.objectives.base.Batch`."""

    @property
    def graph(self) -> BipartiteGraph:
        """The message-passing graph."""

    @property
    def step(self) -> int:
        """Optimiser steps taken before this one in the fit."""


@dataclass(frozen=True, slots=True)
class NewNodes:
    """What an encoder may grow by: m users and n items that have been numbered since.

    Attributes:
        user_rows, item_rows: [m, d], [n, d] rows by the policy `init`; empty where the encoder keeps no rows.
        user_key, item_key: [m], [n] hashes of external ids.
        features: of all users and items numbered so far; None where there are none.
        graph: with the new nodes' edges.
    """

    user_rows: Tensor
    item_rows: Tensor
    user_key: Keys
    item_key: Keys
    features: Features | None
    graph: BipartiteGraph

    @staticmethod
    def of(user_rows: Tensor, item_rows: Tensor) -> NewNodes:
        """Return nodes of which nothing is known but their rows."""
        user_key, item_key = (np.arange(len(rows), dtype=np.uint64) for rows in (user_rows, item_rows))
        return NewNodes(user_rows, item_rows, user_key, item_key, None, BipartiteGraph.empty())


class Encoder(nn.Module, ABC):
    """Turns a graph into embeddings of its users and items.

    Args:
        width: d, columns of the tables.
        scale: standard deviation of random initial rows.
        layers: hops of message passing in one forward pass.

    Attributes:
        keeps_rows: whether nodes have rows of their own; False: `init` is not asked, tables stay empty.
        spreads: whether its tables may be spread over ranks by column (`trainer=dimension_parallel`): tests show which may.
            What draws by chance must draw for whole tables, from a generator of its own: ranks have torch's in common.
        out: columns of the read-out; `width` unless set otherwise.
    """

    keeps_rows = True
    spreads = False

    def __init__(self, width: int = 64, scale: float = 0.1, layers: int = 0) -> None:
        super().__init__()
        check_read_out(type(self))
        for name, value, least in (("width", width, 1), ("layers", layers, 0)):
            if value < least:
                raise GnnrecError(f"encoder.{name}={value} must be {least} or more")
        self.layers = layers
        self.width, self.scale, self.out = width, scale, width
        self.user, self.item = Table(width), Table(width)

    def grow(self, new: NewNodes) -> None:
        """Take in new nodes: here, append their rows; old rows stay bit for bit."""
        self.user.append(new.user_rows)
        self.item.append(new.item_rows)

    @abstractmethod
    def forward(self, graph: BipartiteGraph) -> Embeddings:
        """Return the embeddings of every node of `graph`."""

    def touched(self, graph: BipartiteGraph, users: Tensor, items: Tensor) -> Touched | None:
        """Return what trains these rows only, [t], [t'], in this encoder's place; None: it trains whole."""
        return None

    def rows(self, graph: BipartiteGraph, users: Tensor, items: Tensor) -> Embedded:
        """Return the embeddings of at least these nodes, ascending numbers [b], [b'], at what they cost."""
        return self(graph)  # type: ignore[no-any-return]

    def by_layer(self, graph: BipartiteGraph) -> list[Embeddings]:
        """Return the embeddings of every layer, input rows first; here, of the first and of the read-out."""
        z: Embeddings = self(graph)
        return [Embeddings(z.input_user, z.input_item, z.input_user, z.input_item), z]

    def auxiliary(self, step: EncoderStep) -> Tensor | float:
        """Return what this encoder adds to the loss of a batch, such as a contrast of two views."""
        return 0.0

    def tables(self) -> Mapping[str, nn.Parameter]:
        """Return the rows that are trained, by "user" and "item"."""
        return {"user": self.user.weight, "item": self.item.weight}

    def nodes(self) -> Mapping[str, Tensor]:
        """Return the numbers of these rows, [u], [i]."""
        return {name: torch.arange(len(rows), device=rows.device) for name, rows in self.tables().items()}


def check_read_out(kind: type[Encoder]) -> None:
    """Refuse an encoder whose whole read-out is younger than its short ways to some rows: it would train another model.

    Raises:
        GnnrecError: `forward` is overridden below the class that defines `rows` or `touched`.
    """
    age = {n: next(k for k, c in enumerate(kind.__mro__) if n in vars(c)) for n in ("forward", "rows", "touched")}
    # Encoder's own ways lead through forward, whatever that is.
    old = [n for n in ("rows", "touched") if age["forward"] < age[n] and kind.__mro__[age[n]] is not Encoder]
    if old:
        parent = kind.__mro__[age[old[0]]].__name__
        raise GnnrecError(
            f"{kind.__name__} overrides forward and inherits {' and '.join(old)} of {parent}, which train {parent}'s read-out; "
            "override rows (return self(graph)) and touched (return None) too, or derive from Encoder"
        )
