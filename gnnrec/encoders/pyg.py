"""Any PyG convolution, by name, on the growing graph."""

from __future__ import annotations

from typing import Any

import torch
import torch_geometric.nn as pyg_nn
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

from gnnrec.core.errors import GnnrecError, nearest
from gnnrec.core.seeds import derive
from gnnrec.encoders.base import Encoder
from gnnrec.encoders.tables import Embeddings
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.convert import edge_index
from gnnrec.graph.taken import count_backward


class PyG(Encoder):
    """L convolutions over users and items in one id space, with both edge directions; e = mean over layers 0..L.

    Args:
        conv: name of a convolution of `torch_geometric.nn`, such as SAGEConv, GATConv or LGConv.
        width: d; every layer maps d to d.
        layers: L.
        scale: standard deviation of random initial rows.
        seed: seed of the convolutions' initial weights.
        options: keyword arguments of the convolution.

    Raises:
        GnnrecError: no such convolution, or it cannot be built with these options.
    """

    def __init__(
        self,
        conv: str = "SAGEConv",
        width: int = 64,
        layers: int = 2,
        scale: float = 0.1,
        seed: int = 0,
        options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(width, scale, layers)
        kind = _convolution(conv)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "convolutions"))
            self.convolutions = nn.ModuleList(_build(kind, width, options or {}) for _ in range(layers))
        self._cache: tuple[BipartiteGraph, Tensor] | None = None

    def forward(self, graph: BipartiteGraph) -> Embeddings:
        """Return [u, d] and [i, d] means over layers, with a ReLU between convolutions, and the input rows."""
        index = self._edge_index(graph)
        x = torch.cat([self.user.weight, self.item.weight])
        total = x
        for depth, convolution in enumerate(self.convolutions):
            x = count_backward(convolution(x.relu() if depth else x, index), index.shape[1])
            total = total + x
        user, item = (total / (self.layers + 1)).tensor_split([graph.num_users])
        return Embeddings(user, item, self.user.weight, self.item.weight)

    def __getstate__(self) -> dict[str, Any]:
        """Return what copies and pickles hold: everything but the edges, which are the graph's."""
        return {**self.__dict__, "_cache": None}

    def _edge_index(self, graph: BipartiteGraph) -> Tensor:
        """Return the graph's edges, built once per graph rather than once per step."""
        if self._cache is None or self._cache[0] is not graph:
            self._cache = graph, edge_index(graph)
        return self._cache[1]


def _convolution(name: str) -> type[nn.Module]:
    kind = getattr(pyg_nn, name, None)
    known = [n for n in dir(pyg_nn) if n.endswith("Conv")]
    if not (isinstance(kind, type) and issubclass(kind, MessagePassing)):
        raise GnnrecError(f"encoder.conv='{name}' is not a convolution of torch_geometric.nn{nearest(name, known)}")
    return kind


def _build(kind: type[nn.Module], width: int, options: dict[str, Any]) -> nn.Module:
    """Return the convolution d → d; parameter-free ones such as LGConv take no widths."""
    attempts = ((width, width), ())
    problem = ""
    for sizes in attempts:
        try:
            return kind(*sizes, **options)
        except (TypeError, ValueError) as error:
            problem = problem or str(error)
    raise GnnrecError(
        f"encoder.conv='{kind.__name__}' cannot map {width} to {width} columns: {problem}; set encoder.options"
    )
