"""Full ranking: the best K candidates of each user, fair ties, seen items masked. Letters: n users, i items, K."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnrec.data.types import Ints
from gnnrec.errors import GnnrecError
from gnnrec.seeds import generator


def tie_order(seed: int, num_items: int) -> Tensor:
    """Return the seeded random order of items that breaks ties, [i]."""
    return torch.from_numpy(generator(seed, "ties").permutation(num_items))


def top_items(scores: Tensor, k: int, order: Tensor, seen: tuple[Ints, Ints] | None = None) -> Tensor:
    """Return the k best items per user, [n, k] on the CPU, −1 where there are fewer than k candidates.

    Args:
        scores: [n, i], finite; overwritten at seen items.
        k: K.
        order: [i] random order of items, in which equal scores are looked at, so that no id is favoured.
        seen: (row, item) pairs to exclude.

    Raises:
        GnnrecError: a score is NaN or infinite; such scores would rank by position and look like a result.
    """
    check_finite(scores)
    if seen is not None:
        scores[torch.from_numpy(seen[0]), torch.from_numpy(seen[1])] = -torch.inf
    width = min(k + 1, scores.shape[1])
    value, item = scores.topk(width, dim=1)
    tied = torch.nonzero((value[:, 1:] == value[:, :-1]).any(1)).squeeze(1)
    if len(tied):
        order = order.to(scores.device)
        value[tied], item[tied] = _top_in_order(scores[tied], width, order)
    item[value == -torch.inf] = -1
    result = torch.full((len(scores), k), -1, dtype=torch.int64)
    result[:, : min(k, width)] = item[:, :k].cpu()
    return result


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


def _top_in_order(scores: Tensor, k: int, order: Tensor) -> tuple[Tensor, Tensor]:
    """Return (value, item), [n, k], columns put in random order first: whatever position decides then is fair."""
    value, position = scores[:, order].topk(k, dim=1)
    return value, order[position]


def hits(top: Tensor, user: Ints, item: Ints, num_rows: int) -> NDArray[np.bool_]:
    """Return [n, K]: whether the item at each rank is relevant, for relevant pairs (row of `top`, item)."""
    span = int(max(item.max(initial=0), int(top.max()) if top.numel() else 0)) + 2
    relevant = np.unique(user * span + item)
    listed = top.numpy()
    key = np.arange(num_rows)[:, None] * span + listed
    at = np.minimum(np.searchsorted(relevant, key), max(len(relevant) - 1, 0))
    found: NDArray[np.bool_] = (relevant[at] == key) & (listed >= 0) if len(relevant) else np.zeros(key.shape, bool)
    return found
