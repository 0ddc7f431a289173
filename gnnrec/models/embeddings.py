"""Embedding tables that grow: old rows keep their values bit for bit, new rows depend on the node alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnrec.data.types import Keys
from gnnrec.seeds import derive


class Embeddings(NamedTuple):
    """Read-out embeddings and the input rows they come from: user [u, d], item [i, d], each twice."""

    user: Tensor
    item: Tensor
    input_user: Tensor
    input_item: Tensor


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
        """Add `rows` [m, d] below the present ones."""
        self.replace(torch.cat([self.weight.detach(), rows.to(self.weight)]))

    def replace(self, rows: Tensor) -> None:
        """Become `rows` [n, d]."""
        self.weight = nn.Parameter(rows.detach().clone(), requires_grad=self.weight.requires_grad)


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
