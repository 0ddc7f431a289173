"""Full ranking: the best K candidates of each user, fair ties, seen items masked. Letters: n users, i items, K."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnrec.core.errors import GnnrecError
from gnnrec.core.seeds import generator
from gnnrec.data.types import Ints


def tie_order(seed: int, num_items: int) -> Tensor:
    """Return the seeded random order of items that breaks ties, [i]."""
    return torch.from_numpy(generator(seed, "ties").permutation(num_items))


def steady_order(seed: int, num_items: int) -> Tensor:
    """Return an order of items, [i], that new items do not change: ties that are broken anew are no change of a list."""
    return torch.from_numpy(np.argsort(generator(seed, "steady").random(num_items)))


SPARE = 64
"""Items listed beyond K, so that most ties at the edge of the list are settled within it."""


def top_items(scores: Tensor, k: int, order: Tensor, seen: tuple[Ints, Ints] | None = None) -> Tensor:
    """Return the k best items per user, [n, k] on the CPU, −1 where there are fewer than k candidates.

    Args:
        scores: [n, i], finite, on any device; may be written to at seen items, and are as they were when this returns.
        k: K.
        order: [i] random order of items; of equal scores the item that comes first in it wins, so that no id is favoured.
        seen: (row, item) pairs to exclude.

    Raises:
        GnnrecError: a score is NaN or infinite; such scores would rank by position and look like a result.
    """
    check_finite(scores)
    if seen is None:
        return _top(scores, k, order)
    scores = scores.detach()
    if scores.is_inference() or not all(scores.stride()):
        scores = scores.clone(memory_format=torch.contiguous_format)  # rows that are one row cannot be masked apart
    # Others may rank the same scores by other masks: what is put back is a few items of a user, a copy would be all of them.
    at = on_device(seen, scores.device)
    held = scores[at]
    scores[at] = -torch.inf
    try:
        return _top(scores, k, order)
    finally:
        scores[at] = held


def _top(scores: Tensor, k: int, order: Tensor) -> Tensor:
    """Return the k best items of scores that are −∞ where they are not to be listed."""
    width = min(k + SPARE, scores.shape[1])
    value, item = scores.topk(width, dim=1)
    tied = torch.nonzero((value[:, 1 : k + 1] == value[:, :k][:, : width - 1]).any(1)).squeeze(1)
    if len(tied):
        place = places(order).to(scores.device)
        if len(open_ended := tied[_open(value[tied], k, scores.shape[1])]):
            value[open_ended], item[open_ended] = _closed(scores, open_ended, value, item, k, place)
        value[tied], item[tied] = in_order(value[tied], item[tied], place)
    item[value == -torch.inf] = -1
    result = torch.full((len(scores), k), -1, dtype=torch.int64)
    result[:, : min(k, width)] = item[:, :k].cpu()
    return result


def on_device(pairs: tuple[Ints, Ints], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return (row, item) pairs as an index of scores on `device`."""
    return torch.from_numpy(pairs[0]).to(device), torch.from_numpy(pairs[1]).to(device)


def places(order: Tensor) -> Tensor:
    """Return each item's place in `order`, [i]."""
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=order.device)
    return place


def in_order(value: Tensor, item: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """Return lists [n, m] sorted by falling value, equal values by place."""
    first = place[item].argsort(dim=1)
    value, item = value.gather(1, first), item.gather(1, first)
    value, then = value.sort(dim=1, descending=True, stable=True)
    return value, item.gather(1, then)


def _open(value: Tensor, k: int, num_items: int) -> Tensor:
    """Return which rows' lists may end amid items that tie with the k-th, [n]."""
    width = value.shape[1]
    if width == num_items:
        return torch.zeros(len(value), dtype=torch.bool, device=value.device)
    return (value[:, -1] == value[:, k - 1]) & (value[:, k - 1] > -torch.inf)


def _closed(scores: Tensor, row: Tensor, value: Tensor, item: Tensor, k: int, place: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows' lists with the items that tie with the k-th replaced by those of them that come first, [r, m]."""
    value, item, edge = value[row].clone(), item[row].clone(), value[row, k - 1].unsqueeze(1)
    key = torch.where(scores[row] == edge, place, len(place))
    first = key.topk(k, dim=1, largest=False).indices
    above = (value > edge).sum(1, keepdim=True)
    at = torch.arange(value.shape[1], device=value.device).expand_as(value)
    fill = (at - above).clamp(0, k - 1)
    tied = at >= above
    value = torch.where(tied, edge, value)
    value[:, k:] = -torch.inf
    return value, torch.where(tied, first.gather(1, fill), item)


def check_finite(scores: Tensor) -> None:
    """Refuse scores that are not finite."""
    # A sum is finite only if every term is; it costs one pass and no temporary. Only then is it worth looking closer.
    if torch.isfinite(scores.sum()):
        return
    if bad := int((~torch.isfinite(scores)).sum()):
        raise GnnrecError(
            f"{bad} of {scores.numel()} scores are NaN or infinite: the model has diverged; "
            "lower fit.lr or raise objective.l2"
        )


def hits(top: Tensor, user: Ints, item: Ints, num_rows: int) -> NDArray[np.bool_]:
    """Return [n, K]: whether the item at each rank is relevant, for relevant pairs (row of `top`, item)."""
    span = int(max(item.max(initial=0), int(top.max()) if top.numel() else 0)) + 2
    relevant = np.unique(user * span + item)
    listed = top.numpy()
    key = np.arange(num_rows)[:, None] * span + listed
    at = np.minimum(np.searchsorted(relevant, key), max(len(relevant) - 1, 0))
    found: NDArray[np.bool_] = (relevant[at] == key) & (listed >= 0) if len(relevant) else np.zeros(key.shape, bool)
    return found
