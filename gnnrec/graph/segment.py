"""A fixed set of edges as sorted keys and, for products, as CSR matrices in both directions."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Keys = NDArray[np.int64]


def edge_key(user: NDArray[np.int64], item: NDArray[np.int64]) -> Keys:
    """Return user · 2^32 + item, [n]: sorted keys are sorted by user, then item."""
    return (user << 32) | item


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Edges that came together; products see only the nodes that were numbered when it was made.

    Attributes:
        keys: [e] sorted, distinct.
        by_user: CSR [u, i] of ones.
        by_item: CSR [i, u], its transpose.
        degree_user, degree_item: [u], [i].
    """

    keys: Keys
    by_user: Tensor
    by_item: Tensor
    degree_user: Tensor
    degree_item: Tensor

    @staticmethod
    def build(keys: Keys, num_users: int, num_items: int, device: torch.device | str = "cpu") -> Segment:
        """Return the segment of sorted distinct `keys` over nodes [0, num_users) and [0, num_items)."""
        user, item = keys >> 32, keys & 0xFFFFFFFF
        degree_user, degree_item = np.bincount(user, minlength=num_users), np.bincount(item, minlength=num_items)
        by_user = _csr(degree_user, item, num_items, device)
        by_item = _csr(degree_item, user[np.argsort(item, kind="stable")], num_users, device)
        as_degree = torch.from_numpy(degree_user).float().to(device), torch.from_numpy(degree_item).float().to(device)
        return Segment(keys, by_user, by_item, *as_degree)

    @property
    def num_edges(self) -> int:
        """Number of undirected edges."""
        return len(self.keys)

    def has(self, keys: Keys) -> NDArray[np.bool_]:
        """Return which of `keys` are edges here, [n]."""
        at = np.searchsorted(self.keys, keys)
        found: NDArray[np.bool_] = self.keys[np.minimum(at, len(self.keys) - 1)] == keys
        return found

    def neighbours(self, node: NDArray[np.int64], of_users: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (position, neighbour) of the nodes' edges in this segment; nodes it does not know have none."""
        matrix = self.by_user if of_users else self.by_item
        start, column = matrix.crow_indices().cpu().numpy(), matrix.col_indices().cpu().numpy()
        inside = node < len(start) - 1
        safe = np.where(inside, node, 0)
        count = np.where(inside, start[safe + 1] - start[safe], 0)
        position = np.repeat(np.arange(len(node)), count)
        offset = np.arange(len(position)) - np.repeat(np.cumsum(count) - count, count)
        return position, column[start[safe][position] + offset]

    def union(self, other: Segment) -> Segment:
        """Return one segment with the edges of both, which must be disjoint."""
        users = max(len(self.degree_user), len(other.degree_user))
        items = max(len(self.degree_item), len(other.degree_item))
        keys = np.sort(np.concatenate([self.keys, other.keys]), kind="stable")
        return Segment.build(keys, users, items, self.degree_user.device)

    def to(self, device: torch.device | str) -> Segment:
        """Return the segment with its matrices on `device`; keys stay in main memory."""
        tensors = (self.by_user, self.by_item, self.degree_user, self.degree_item)
        return Segment(self.keys, *(t.to(device) for t in tensors))


def _csr(degree: NDArray[np.int64], column: NDArray[np.int64], width: int, device: torch.device | str) -> Tensor:
    start = np.zeros(len(degree) + 1, np.int64)
    np.cumsum(degree, out=start[1:])
    with warnings.catch_warnings():
        # torch calls its CSR layout beta once per process; products with it are tested here against dense ones.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            torch.from_numpy(start),
            torch.from_numpy(column),
            torch.ones(len(column)),
            (len(degree), width),
            device=device,
            check_invariants=False,
        )
