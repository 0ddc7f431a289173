"""Tables whose columns lie on several ranks, and products over them: each column is passed on by itself, so nothing is sent.

Letters: n rows, u users, i items, d width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

T = TypeVar("T", bound=tuple[Tensor, ...])


def is_spread(x: Tensor) -> bool:
    """Return whether a table lies on several ranks, a DTensor."""
    return type(x) not in (Tensor, nn.Parameter) and hasattr(x, "full_tensor")


def whole(x: Tensor) -> Tensor:
    """Return a table with all its columns, [n, d]; every rank must ask for it."""
    return cast(Tensor, x.full_tensor()) if is_spread(x) else x  # type: ignore[attr-defined]


def complete(x: Tensor) -> Tensor:
    """Return a result that is the same on every rank, as this rank has it, an ordinary tensor; gradients flow."""
    return _held(x, None)


def here(x: Tensor) -> Tensor:
    """Return the columns of a table that lie on this rank, [n, d / ranks], an ordinary tensor; gradients flow."""
    return _held(x, 1)


def _held(x: Tensor, dim: int | None) -> Tensor:
    """Return what this rank holds of `x` where it is cut along `dim`; None: the whole."""
    if not is_spread(x):
        return x
    from torch.distributed.tensor import Replicate, Shard

    placed = x.redistribute(x.device_mesh, [Replicate() if dim is None else Shard(dim)])  # type: ignore[attr-defined]
    return cast(Tensor, placed.to_local())


def adder(x: Tensor) -> Callable[[Tensor], object] | None:
    """Return what adds up, in place, a sum over the columns of `x` that each rank has taken of its own; None: `x` is whole."""
    if not is_spread(x):
        return None
    import torch.distributed as dist

    group = x.device_mesh.get_group()  # type: ignore[attr-defined]
    return lambda own: dist.all_reduce(own, group=group)


def by_column(product: Callable[[Tensor, Tensor], T], user: Tensor, item: Tensor) -> T:
    """Return a product of two tables, [u, d] and [i, d], each column of which depends on that column of both alone.

    Tables that are spread over ranks are multiplied where they lie, and the results lie likewise.
    """
    if not is_spread(user) and not is_spread(item):
        return product(user, item)
    # Torch takes a second to import this, which only a spread table has paid already.
    from torch.distributed.tensor import DTensor, Shard

    mesh = next(x.device_mesh for x in (user, item) if isinstance(x, DTensor))
    width = user.shape[1]
    found = (
        DTensor.from_local(x, mesh, [Shard(1)], run_check=False, shape=torch.Size((len(x), width)), stride=(width, 1))
        for x in product(here(user), here(item))
    )
    return cast(T, tuple(found))
