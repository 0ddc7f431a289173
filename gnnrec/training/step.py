"""What one batch offers to a strategy, and what a strategy adds to a fit.

Letters: u users, i items, d width, t trained rows, L layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from gnnrec.encoders.tables import Embedded, Embeddings
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.objectives.base import Batch


@dataclass(frozen=True, slots=True)
class TrainedRows:
    """A parameter that descent moves, and which nodes its rows belong to.

    Under ``fit.rows=touched`` a table's parameter holds the rows of some nodes only, and the encoder's own table does not move:
    a penalty that is written on `parameter` is right under both settings.

    Attributes:
        parameter: [t, d] rows of a table; any shape where `node` is None.
        node: [t] ascending numbers of the nodes; None: a parameter of no node.
    """

    parameter: Tensor
    node: Tensor | None

    def below(self, count: int) -> tuple[Tensor, Tensor]:
        """Return the rows of nodes numbered below `count`, those that a store of so many knows, and their numbers: [s, d], [s].

        Raises:
            ValueError: the parameter belongs to no node.
        """
        if self.node is None:
            raise ValueError("a parameter without nodes has no rows by number; use `parameter`")
        known = int((self.node < count).sum())  # numbers ascend: the known come first
        return self.parameter[:known], self.node[:known]


@dataclass(frozen=True, slots=True)
class Step:
    """One batch of a fit.

    Attributes:
        z: embeddings of at least the nodes that the objective and `Strategy.nodes` read; gradients flow.
        batch: the events.
        graph: the message-passing graph.
        step: optimiser steps taken before this one in the fit.
        epoch: passes over the events finished before this one.
        trained: by name ("user", "item", "objective.taste", "modules.…") what descent moves.
        layers: makes the embeddings of every layer, [L + 1] pairs of whole tables, input rows first; costs L passes.
        loss: makes the objective's loss of the batch, once.
    """

    z: Embedded
    batch: Batch
    graph: BipartiteGraph
    step: int
    epoch: int
    trained: Mapping[str, TrainedRows]
    layers: Callable[[], list[Embeddings]]
    loss: Callable[[], Tensor]


Penalty = Callable[[Step], Tensor | float]
Nodes = Callable[[Batch], tuple[Tensor, Tensor]]


def no_penalty(step: Step) -> float:
    """Add nothing to the loss."""
    return 0.0


def no_nodes(batch: Batch) -> tuple[Tensor, Tensor]:
    """Read no further node."""
    return batch.user[:0], batch.item[:0]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a strategy adds to a fit.

    Attributes:
        penalty: added to the loss of a batch.
        nodes: users and items that the penalty reads beside the objective's.
        modules: parameters of the strategy's own, trained with the model.
    """

    penalty: Penalty = no_penalty
    nodes: Nodes = no_nodes
    modules: nn.Module | None = None
