"""Four nodes, two users and two items, to compute penalties of by hand."""

from __future__ import annotations

import torch

from gnnrec.encoders.tables import Embeddings
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.objectives.base import Batch
from gnnrec.objectives.bpr import BPR
from gnnrec.strategies.distil.teacher import Teacher
from gnnrec.testing.worlds import interactions
from gnnrec.training.step import Step, TrainedRows

OLD = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 1.0], [2.0, 0.0]])
NEW = torch.tensor([[1.0, 1.0], [0.0, 2.0]]), torch.tensor([[0.0, 1.0], [2.0, 1.0]])
PAIRS = [(0, 0), (1, 0), (1, 1)]
"""Who took what before: user 0 item 0, user 1 both."""
LATER = [*PAIRS, (0, 1)]
"""And after the increment."""


def embeddings(user: torch.Tensor, item: torch.Tensor) -> Embeddings:
    """Return these rows as read-out and input."""
    return Embeddings(user, item, user, item)


def graph(pairs=PAIRS) -> BipartiteGraph:
    """Return the graph of these pairs among two users and two items."""
    return BipartiteGraph.empty().extend(interactions(pairs), 2, 2)


def teacher(pairs=PAIRS) -> Teacher:
    """Return the old model."""
    return Teacher(embeddings(*OLD), BPR(), graph(pairs))


def step(pairs, rows=NEW, epoch=0) -> Step:
    """Return a batch of these pairs, with embeddings that are trained."""
    user, item = (torch.tensor([p[c] for p in pairs]) for c in (0, 1))
    ones = torch.ones(len(pairs))
    batch = Batch(user, item, ones, ones.bool(), item)
    tables = [x.clone().requires_grad_() for x in rows]
    z = embeddings(*tables)
    trained = {name: TrainedRows(x, torch.arange(len(x))) for name, x in zip(("user", "item"), tables, strict=True)}
    return Step(z, batch, graph(), 0, epoch, trained, lambda: [z, z], lambda: torch.zeros(()))


class Told:
    """What learns weights of users, as if it had learnt these."""

    def __init__(self, *weights: float) -> None:
        self.weights = torch.tensor(weights)

    def __call__(self, then: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
        """Return them, of as many users as there are."""
        return self.weights[: len(then)]

    def spread(self, items: torch.Tensor) -> float:
        """Return a term of its own."""
        return 0.25


def prepared(strategy, **given):
    """Return a strategy whose old model is that of the four nodes, with other fields given."""
    strategy._teacher = teacher()
    for name, value in given.items():
        setattr(strategy, name, value)
    return strategy
