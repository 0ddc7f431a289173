"""Sums over a set of edges from either side to the other, with their gradients: for encoders that weigh edges their own way.

Letters: e edges, u users, i items, d width.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from gnnrec.data.types import Floats, Ints
from gnnrec.graph.csr import product, to_torch

Matrices = tuple[Tensor, Tensor]


class EdgeSums:
    """A matrix W [u, i] with an entry for each edge, and its transpose.

    Args:
        user, item: [e] ends of the edges, no pair twice.
        weight: [e].
        shape: (u, i).
        device: where products are taken.
    """

    def __init__(
        self, user: Ints, item: Ints, weight: Floats, shape: tuple[int, int], device: torch.device | str = "cpu"
    ) -> None:
        matrix = sparse.csr_matrix((weight, (user, item)), shape)
        self._parts, self._device = (matrix, matrix.T.tocsr()), torch.device(device)
        self._made: dict[torch.dtype, Matrices] = {}

    @cached_property
    def totals(self) -> tuple[Floats, Floats]:
        """Sum of the weights of every user's edges [u] and item's edges [i]."""
        user, item = (np.asarray(part.sum(1)).ravel() for part in self._parts)
        return user, item

    def to_users(self, item: Tensor) -> Tensor:
        """Return W · item [i, d], [u, d]: 0 for a user without edges."""
        return self._product(item, *self._on(item.dtype))

    def to_items(self, user: Tensor) -> Tensor:
        """Return Wᵀ · user [u, d], [i, d]."""
        return self._product(user, *reversed(self._on(user.dtype)))

    @staticmethod
    def _product(x: Tensor, matrix: Tensor, turned: Tensor) -> Tensor:
        result: Tensor = _Product.apply(x, matrix, turned)  # type: ignore[no-untyped-call]
        return result

    def _on(self, dtype: torch.dtype) -> Matrices:
        """Return both matrices with values of a type, made once."""
        if dtype not in self._made:
            exact = np.float64 if dtype == torch.float64 else np.float32
            to_user, to_item = (to_torch(m.astype(exact)).to(self._device) for m in self._parts)
            self._made[dtype] = to_user, to_item
        return self._made[dtype]


class _Product(torch.autograd.Function):
    """matrix · x, whose gradient is that of the transposed matrix."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Tensor, turned: Tensor) -> Tensor:
        ctx.matrices = matrix, turned
        return product(matrix, x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        matrix, turned = ctx.matrices
        return _Product.apply(grads[0], turned, matrix), None, None  # type: ignore[no-untyped-call]
