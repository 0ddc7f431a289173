"""Embedding tables that grow: old rows keep their values bit for bit; random rows depend on the node alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from gnnrec.core.errors import GnnrecError
from gnnrec.core.seeds import derive
from gnnrec.data.types import Keys

TABLES = ("user", "item")
"""Names of the two kinds of nodes, in the order of whatever comes in pairs."""


class Embeddings(NamedTuple):
    """Read-out embeddings and the input rows they come from: user [u, d], item [i, d], each twice."""

    user: Tensor
    item: Tensor
    input_user: Tensor
    input_item: Tensor

    def users(self, at: Tensor) -> Tensor:
        """Return the embeddings of the users numbered `at`, [n, d]."""
        return pick(self.user, at)

    def items(self, at: Tensor) -> Tensor:
        """Return the embeddings of the items numbered `at`, [n, d]."""
        return pick(self.item, at)

    def input_users(self, at: Tensor) -> Tensor:
        """Return the input rows of the users numbered `at`, [n, d]."""
        return pick(self.input_user, at)

    def input_items(self, at: Tensor) -> Tensor:
        """Return the input rows of the items numbered `at`, [n, d]."""
        return pick(self.input_item, at)


class SomeEmbeddings:
    """Embeddings of some nodes: what `Embeddings` has for them, and whole tables for who asks.

    Args:
        users, items: [b], [b'] ascending numbers of the nodes.
        rows: their embeddings and input rows.
        whole: computes the embeddings of every node.
    """

    def __init__(self, users: Tensor, items: Tensor, rows: Embeddings, whole: Callable[[], Embeddings]) -> None:
        self._users, self._items, self._rows, self._compute = users, items, rows, whole

    @cached_property
    def _whole(self) -> Embeddings:
        return self._compute()

    @property
    def user(self) -> Tensor:
        """Embeddings of every user, [u, d]; costs a propagation over the whole graph."""
        return self._whole.user

    @property
    def item(self) -> Tensor:
        """Embeddings of every item, [i, d]; likewise."""
        return self._whole.item

    @property
    def input_user(self) -> Tensor:
        """Input rows of every user, [u, d]."""
        return self._whole.input_user

    @property
    def input_item(self) -> Tensor:
        """Input rows of every item, [i, d]."""
        return self._whole.input_item

    def users(self, at: Tensor) -> Tensor:
        """Return the embeddings of the users numbered `at`, [n, d]; one that is not among the nodes costs the whole."""
        return self._picked("user", self._users, at)

    def items(self, at: Tensor) -> Tensor:
        """Return the embeddings of the items numbered `at`, likewise."""
        return self._picked("item", self._items, at)

    def input_users(self, at: Tensor) -> Tensor:
        """Return the input rows of the users numbered `at`, likewise."""
        return self._picked("input_user", self._users, at)

    def input_items(self, at: Tensor) -> Tensor:
        """Return the input rows of the items numbered `at`, likewise."""
        return self._picked("input_item", self._items, at)

    def _picked(self, table: str, nodes: Tensor, at: Tensor) -> Tensor:
        row = torch.searchsorted(nodes, at).clamp(max=len(nodes) - 1)
        if not len(at) or (len(nodes) and bool((nodes[row] == at).all())):
            return pick(getattr(self._rows, table), row)
        return pick(getattr(self._whole, table), at)


Embedded = Embeddings | SomeEmbeddings


def pick(table: Tensor, row: Tensor) -> Tensor:
    """Return table[row], [n, d]; unlike indexing, its backward is a fast scatter on the CPU."""
    return F.embedding(row, table)


class Table(nn.Module):
    """Rows of shape [n, d] that are only ever appended to.

    Args:
        width: d.
        trained: whether gradient descent moves the rows.
    """

    def __init__(self, width: int, trained: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(0, width), requires_grad=trained)

    def __len__(self) -> int:
        return len(self.weight)

    @property
    def width(self) -> int:
        """Columns of the table, d."""
        return self.weight.shape[1]

    def append(self, rows: Tensor) -> None:
        """Add `rows` [m, d] below the present ones; none cost nothing."""
        if len(rows):
            self._set(torch.cat([self.weight.detach(), rows.detach().to(self.weight)]))

    def replace(self, rows: Tensor) -> None:
        """Become a copy of `rows` [n, d]."""
        self._set(rows.detach().clone())

    def _set(self, rows: Tensor) -> None:
        self.weight = nn.Parameter(rows, requires_grad=self.weight.requires_grad)


def checksum(x: Tensor) -> float:
    """Return a number that changes with any row of `x`, or with the order of rows, at the cost of reading it once.

    Rows are summed in single precision by themselves and with their places in double: small changes are not lost in large sums.
    """
    rows = x.detach().reshape(len(x), -1) if x.dim() and len(x) else x.detach().reshape(1, -1)
    column = torch.linspace(1, 2, rows.shape[1], dtype=rows.dtype, device=rows.device)
    place = torch.linspace(1, 2, len(rows), dtype=torch.float64, device=rows.device)
    return float((rows @ column).double() @ place)


def load_resized(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load `state` into `module`, whose parameters and buffers take the shapes they were saved with.

    Raises:
        GnnrecError: names differ: the state is of another kind of module.
    """
    own = module.state_dict()
    if odd := sorted(own.keys() ^ state.keys()):
        raise GnnrecError(f"a saved {type(module).__name__} cannot be taken up: '{odd[0]}' is on one side only")
    for name, x in state.items():
        path, _, last = name.rpartition(".")
        owner = module.get_submodule(path)
        if last in owner._parameters:
            held = owner._parameters[last]
            assert held is not None
            setattr(owner, last, nn.Parameter(x.clone(), requires_grad=held.requires_grad))
        else:
            setattr(owner, last, x.clone())


def random_rows(keys: Keys, width: int, seed: int, scale: float) -> Tensor:
    """Return N(0, scale²) rows [n, width], each a function of (seed, key) alone.

    A counter-based generator (SplitMix64 of key, seed and column, then Box-Muller) gives a node the same row whenever
    and in whatever company it arrives, so a model that never saw a user can be compared bit for bit with one that
    forgot it.
    """
    pairs = (width + 1) // 2
    column = np.arange(2 * pairs, dtype=np.uint64)[None, :]
    with np.errstate(over="ignore"):
        state = keys[:, None] ^ np.uint64(derive(seed, "rows"))
        bits = _mix(_mix(state) + column * np.uint64(0x9E3779B97F4A7C15))
    uniform = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
    radius, angle = np.sqrt(-2 * np.log(uniform[:, :pairs])), 2 * np.pi * uniform[:, pairs:]
    normal = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)[:, :width]
    return torch.from_numpy((scale * normal).astype(np.float32))


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the SplitMix64 finaliser of each element (Steele, Lea & Flood, OOPSLA 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
