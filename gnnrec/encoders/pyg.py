"""Any PyG convolution, by name, on the growing graph."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
import torch_geometric.nn as pyg_nn
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

from gnnrec.core.errors import GnnrecError, nearest, one_line
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
        GnnrecError: no such convolution, or with these options it cannot be built or maps d columns to another number.
    """

    def __init__(
        self,
        conv: str = "SAGEConv",
        width: int = 64,
        layers: int = 2,
        scale: float = 0.1,
        seed: int = 0,
        options: Mapping[str, Any] | None = None,
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
    if not (isinstance(kind, type) and issubclass(kind, MessagePassing) and kind is not MessagePassing):
        raise GnnrecError(f"encoder.conv='{name}' is not a convolution of torch_geometric.nn{nearest(name, known)}")
    return kind


def _build(kind: type[nn.Module], width: int, options: Mapping[str, Any]) -> nn.Module:
    """Return the convolution d → d; parameter-free ones such as LGConv take no widths."""
    problem = ""
    for sizes in ((width, width), ()):
        try:
            made = kind(*sizes, **options)
            found = _tried(made, width)
        except Exception as error:  # somebody else's constructor, given any argument at all
            problem = problem or one_line(str(error)) or type(error).__name__
            continue
        if found == f"[n, {width}]":
            return made
        problem = problem or f"it gives {found}"
    advice = (
        "encoder.options={concat: false} takes the mean over heads"
        if problem.startswith("it gives")
        else "set encoder.options to what it needs, or choose one that needs widths alone, such as SAGEConv"
    )
    raise GnnrecError(f"encoder.conv='{kind.__name__}' does not map [n, {width}] to [n, {width}]: {problem}; {advice}")


@torch.no_grad()
def _tried(made: nn.Module, width: int) -> str:
    """Return the shape that a copy of the convolution gives three nodes and two edges: a copy, as some keep what they saw."""
    index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    found = copy.deepcopy(made).eval()(torch.zeros(3, width), index)
    if not isinstance(found, Tensor):
        return f"a {type(found).__name__}"
    return f"[n, {', '.join(map(str, found.shape[1:]))}]" if len(found) == 3 else f"{list(found.shape)}"
