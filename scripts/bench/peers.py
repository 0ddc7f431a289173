"""Peers: LightGCN as its authors train it, and as PyG ships it; written from the formulas, one training step each."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn.models import LightGCN as PygLightGCN

from gnnrec.data.types import Interactions
from gnnrec.encoders.base import NewNodes
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.convert import edge_index
from gnnrec.objectives.base import Batch
from gnnrec.objectives.bpr import BPR
from gnnrec.training.module import embedded
from gnnrec.training.step import Terms

L2 = 1e-4


def batch_of(events: Interactions, num_items: int, size: int, rng: np.random.Generator) -> Batch:
    """Return `size` events with uniform negatives."""
    at = rng.integers(0, len(events), size)
    user, item = torch.from_numpy(events.user[at]), torch.from_numpy(events.item[at])
    negative = torch.from_numpy(rng.integers(0, num_items, size))
    return Batch(user, item, torch.ones(size), torch.ones(size, dtype=torch.bool), negative)


def on(batch: Batch, device: str) -> Batch:
    """Return the batch on a device."""
    return Batch(*(column.to(device) for column in batch))


class Authors(nn.Module):
    """COO product under autograd, stacked layer mean, dense Adam; BPR + ½ λ Σ ||rows||² / n (He et al., SIGIR 2020).

    Args:
        graph: to propagate on.
        width, layers: d, L.
    """

    def __init__(self, graph: BipartiteGraph, width: int, layers: int) -> None:
        super().__init__()
        self.layers = layers
        self.user = nn.Parameter(0.1 * torch.randn(graph.num_users, width))
        self.item = nn.Parameter(0.1 * torch.randn(graph.num_items, width))
        self.register_buffer("adjacency", _normalised(graph), persistent=False)

    adjacency: Tensor

    def embeddings(self) -> tuple[Tensor, Tensor]:
        """Return the means over layers."""
        x = torch.cat([self.user, self.item])
        every = [x]
        for _ in range(self.layers):
            x = torch.sparse.mm(self.adjacency, x)
            every.append(x)
        user, item = torch.stack(every, dim=1).mean(1).split([len(self.user), len(self.item)])
        return user, item

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch."""
        user, item = self.embeddings()
        e, good, bad = user[batch.user], item[batch.item], item[batch.negative]
        # Their input rows come from nn.Embedding, whose backward is faster than that of indexing.
        own = ((self.user, batch.user), (self.item, batch.item), (self.item, batch.negative))
        rows = [F.embedding(at, table) for table, at in own]
        norm = 0.5 * sum(r.square().sum() for r in rows) / len(batch.user)
        return F.softplus((e * bad).sum(1) - (e * good).sum(1)).mean() + L2 * norm


def _normalised(graph: BipartiteGraph) -> Tensor:
    index = edge_index(graph)
    degree = torch.bincount(index[0], minlength=graph.num_users + graph.num_items).float()
    value = degree[index[0]].rsqrt() * degree[index[1]].rsqrt()
    nodes = graph.num_users + graph.num_items
    return torch.sparse_coo_tensor(index, value, (nodes, nodes)).coalesce()


class Pyg:
    """`torch_geometric.nn.models.LightGCN` as documented: forward on label edges, its own recommendation loss.

    Args:
        graph: to propagate on.
        width, layers: d, L.
    """

    def __init__(self, graph: BipartiteGraph, width: int, layers: int) -> None:
        self.model = PygLightGCN(graph.num_users + graph.num_items, width, layers)
        self.index, self.offset = edge_index(graph), graph.num_users

    def to(self, device: str) -> Pyg:
        """Move model and edges there."""
        self.model, self.index = self.model.to(device), self.index.to(device)
        return self

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch."""
        pairs = torch.cat(
            [
                torch.stack([batch.user, batch.item + self.offset]),
                torch.stack([batch.user, batch.negative + self.offset]),
            ],
            dim=1,
        )
        good, bad = self.model(self.index, pairs).chunk(2)
        loss: Tensor = self.model.recommendation_loss(good, bad, node_id=pairs.unique(), lambda_reg=L2)
        return loss


class Ours:
    """gnnrec's encoder and objective.

    Args:
        graph: to propagate on.
        width, layers: d, L.
    """

    def __init__(self, graph: BipartiteGraph, width: int, layers: int) -> None:
        self.graph, self.encoder, self.objective = graph, LightGCN(width, layers), BPR(l2=L2)
        rows = (0.1 * torch.randn(n, width) for n in (graph.num_users, graph.num_items))
        self.encoder.grow(NewNodes.of(*rows))

    def to(self, device: str) -> Ours:
        """Move encoder and graph there."""
        self.encoder, self.graph = self.encoder.to(device), self.graph.to(device)
        return self

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch, as the Lightning module does."""
        loss: Tensor = self.objective(embedded(self.encoder, self.graph, self.objective, batch, Terms()), batch)
        return loss
