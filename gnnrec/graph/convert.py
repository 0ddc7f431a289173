"""The graph as PyG knows it: one id space with items after users, or a HeteroData; edges always in both directions."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.edge_index import EdgeIndex

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Ints
from gnnrec.graph.bipartite import BipartiteGraph


def edge_index(graph: BipartiteGraph) -> Tensor:
    """Return [2, 2e]: user→item then item→user, items numbered from `num_users` on.

    Both directions are needed: with one, PyG's symmetric normalisation gives every edge weight 0 without a word.
    """
    user, item = _edges(graph)
    both = np.stack([np.concatenate([user, item + graph.num_users]), np.concatenate([item + graph.num_users, user])])
    return torch.from_numpy(both).to(graph.device)


def to_edge_index(graph: BipartiteGraph) -> EdgeIndex:
    """Return the undirected `EdgeIndex` over users and items in one id space."""
    nodes = graph.num_users + graph.num_items
    return EdgeIndex(edge_index(graph), sparse_size=(nodes, nodes), is_undirected=True)


def to_hetero(graph: BipartiteGraph) -> HeteroData:
    """Return a `HeteroData` with node types user and item, and edge types rates and rev_rates."""
    user, item = (torch.from_numpy(x) for x in _edges(graph))
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = graph.num_users, graph.num_items
    data["user", "rates", "item"].edge_index = torch.stack([user, item])
    data["item", "rev_rates", "user"].edge_index = torch.stack([item, user])
    return data


def _edges(graph: BipartiteGraph) -> tuple[Ints, Ints]:
    """Return the edges where they weigh all the same: a convolution that knows no weights would drop them unseen."""
    if graph.decay is not None:
        raise GnnrecError(
            "PyG's form of the graph has no weights, and graph=decayed needs them: "
            "set graph=accumulated, window or block, or encoder=lightgcn"
        )
    return graph.edges()
