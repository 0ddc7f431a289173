"""The softmax loss over shared negatives, its gradients computed beside it while scores still lie in the cache.

Letters: n events, m shared items, d width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from gnnrec.core.errors import GnnrecError
from gnnrec.graph.propagate import at_least_single
from gnnrec.graph.spread import adder, complete, here
from gnnrec.objectives.base import Batch, weights

IN_CACHE, ON_DEVICE = 2**18, 2**26
"""Scores computed at a time: on the CPU 1 MiB of them, which stay in the cache between their five uses; elsewhere 256 MiB."""
LEAST = 64
"""Events computed at a time at least: fewer make poor matrix products."""


def softmax_loss(user: Tensor, item: Tensor, good: Tensor, offset: Tensor, batch: Batch, weighted: bool) -> Tensor:
    """Return −mean log (exp good_n / (exp good_n + Σ_m exp(<user_n, item_m> + offset_m))), a scalar; 0 without a positive.

    An event's own item is none of its negatives. Scores are computed in blocks, never kept: 8,192 events against 1,024 items
    take a quarter of the time of the same formula in autograd. It has first derivatives only.

    Args:
        user, item: [n, d], [m, d]; the items are `batch.shared`.
        good: [n] scores of the events themselves.
        offset: [m] or [], added to the score of each item, or [s, m], of which an event has the row `batch.within`; has no
            gradient.
        batch: whose events and shared items these are.
        weighted: whether the mean is by the events' values.
    """
    user, item, good = (at_least_single(x) for x in (user, item, good))
    weight, total = weights(batch, weighted, good.dtype)
    row = batch.within if offset.dim() == 2 else None
    given = here(user), here(item), complete(good), offset, row, _place(batch), weight / total, adder(user)
    return cast(Tensor, _SharedSoftmax.apply(*given))  # type: ignore[no-untyped-call]


def _place(batch: Batch) -> Tensor:
    """Return the place of each event's item among the shared ones, [n]; −1 where it is none of them."""
    if not len(batch.shared):
        return torch.full_like(batch.item, -1)
    at = torch.searchsorted(batch.shared, batch.item).clamp(max=len(batch.shared) - 1)
    return torch.where(batch.shared[at] == batch.item, at, -1)


class _SharedSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        user: Tensor,
        item: Tensor,
        good: Tensor,
        offset: Tensor,
        row: Tensor | None,
        place: Tensor,
        weight: Tensor,
        add_up: Callable[[Tensor], object] | None,
    ) -> Tensor:
        to_user, to_item, to_good = torch.empty_like(user), torch.zeros_like(item), torch.empty_like(good)
        loss, offset = good.new_zeros(()), offset.to(user.dtype)
        offset = offset.expand(len(item)) if row is None else offset
        together = IN_CACHE if user.device.type == "cpu" and add_up is None else ON_DEVICE
        rows = max(LEAST, together // max(len(item), 1))
        with torch.autocast(user.device.type, enabled=False):
            for start in range(0, len(user), rows):
                cut = slice(start, start + rows)
                added = offset if row is None else offset[row[cut]]
                scores = _scores(added, user[cut], item, add_up)
                share, own, part = _shares(scores, good[cut], place[cut])
                loss += weight[cut] @ part
                share *= weight[cut, None]
                torch.mm(share, item, out=to_user[cut])
                to_item.addmm_(share.T, user[cut])
                to_good[cut] = weight[cut] * (own - 1)
        ctx.save_for_backward(to_user, to_item, to_good)
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph=True
            raise GnnrecError(
                "the softmax loss has first derivatives only, and a graph of its gradients was asked for; take objective=bpr, "
                "contrastive or directau, or write the loss in a penalty"
            )
        whole = complete(grad)
        return *(whole * x for x in ctx.saved_tensors), None, None, None, None, None


def _scores(offset: Tensor, user: Tensor, item: Tensor, add_up: Callable[[Tensor], object] | None) -> Tensor:
    """Return offset + user itemᵀ, [n, m]; where ranks have some columns each, the sum of what they make of these."""
    if add_up is None:
        return torch.addmm(offset, user, item.T)
    scores = user @ item.T
    add_up(scores)
    return scores.add_(offset)


def _shares(scores: Tensor, good: Tensor, place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the softmax shares of the negatives, in the memory of `scores`, those of the events, and minus their logarithm."""
    top = good
    if scores.shape[1]:
        # Written everywhere, so that no device has to be asked how many events have a place.
        at, among = place.clamp(min=0)[:, None], (place >= 0)[:, None]
        scores.scatter_(1, at, scores.gather(1, at).masked_fill(among, -torch.inf))
        top = torch.maximum(scores.amax(1), good)
    scores.sub_(top[:, None]).exp_()
    event = (good - top).exp()
    total = scores.sum(1).add_(event)
    return scores.div_(total[:, None]), event / total, total.log().add_(top - good)
