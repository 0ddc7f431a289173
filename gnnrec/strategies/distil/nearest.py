"""Nearest rows by cosine.

Letters: n rows, m others, d width, k nearest.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gnnrec.strategies.distil.teacher import Neighbours

BLOCK = 1024
"""Rows whose nearest are looked for at a time."""


@torch.no_grad()
def nearest_rows(rows: Tensor, most: int) -> Neighbours:
    """Return the `most` other rows with the highest cosine for each row [n, d]; fewer where there are not so many."""
    unit, count = F.normalize(rows, dim=1), min(most, max(len(rows) - 1, 0))
    found = []
    for start in range(0, len(rows), BLOCK):
        near = unit[start : start + BLOCK] @ unit.T
        own = torch.arange(len(near), device=rows.device)
        near[own, start + own] = -torch.inf
        found.append(near.topk(count, dim=1).indices)
    target = torch.cat(found).flatten() if found else torch.empty(0, dtype=torch.int64, device=rows.device)
    return Neighbours(torch.arange(len(rows) + 1, device=rows.device) * count, target)


@torch.no_grad()
def nearest_of(rows: Tensor, others: Tensor, most: int) -> Tensor:
    """Return the places of the `most` others [m, d] with the highest cosine for each row [n, d], [n, k]."""
    unit, every = F.normalize(rows, dim=1), F.normalize(others, dim=1)
    count = min(most, len(others))
    found = [(part @ every.T).topk(count, dim=1).indices for part in torch.split(unit, BLOCK)]
    return torch.cat(found) if found else torch.empty(0, count, dtype=torch.int64, device=rows.device)
