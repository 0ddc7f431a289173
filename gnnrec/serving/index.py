"""An index of items by product, for whoever searches outside of `gnnrec serve`: faiss, an extra.

An item is [y_i, b_i, r_i] and a user [x_u, 1, 0], with r such that all items are of one length: then the nearest by distance
are those of the largest product, which is the model's score but for the user's bias (Bachrach et al., RecSys 2014). A graph of
neighbours searched by the product itself loses what is far from the popular: of a hundred items it found two thirds.
Letters: u users, i items, d width.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnnrec.core.errors import GnnrecError, nearest
from gnnrec.serving.bundle import Bundle

KINDS = ("faiss",)
LINKS, BUILT, SEARCHED = 32, 100, 128
"""Of the graph that is searched: links of an item, candidates as it is built and as it is searched."""
MEASURED, CUTS = 1000, (10, 100)
"""Users by whom recall is measured, and at which lengths."""


def with_index(bundle: Bundle, kind: str | None) -> Bundle:
    """Return a bundle with an index and its recall against exact search; None: as it is.

    Raises:
        GnnrecError: the library is not installed, or there is no such index.
    """
    if kind is None:
        return bundle
    if kind not in KINDS:
        raise GnnrecError(f"--index {kind} is not known{nearest(kind, KINDS)}")
    faiss = _faiss()
    user, item = _extended(bundle)
    index = faiss.IndexHNSWFlat(item.shape[1], LINKS)
    index.hnsw.efConstruction, index.hnsw.efSearch = BUILT, SEARCHED
    index.add(item.numpy())
    found = _recall(index, user, item)
    content = faiss.serialize_index(index).tobytes()
    return replace(bundle, index=content, manifest=replace(bundle.manifest, index=found))


def _faiss() -> Any:
    try:
        import faiss
    except ImportError:
        raise GnnrecError("--index faiss needs faiss: pip install 'gnnrec[faiss]'") from None
    return faiss


def _extended(bundle: Bundle) -> tuple[Tensor, Tensor]:
    f = bundle.factors
    one, item = torch.ones(len(f.user), 1), torch.cat([f.item, f.item_bias[:, None]], 1)
    square = item.square().sum(1, keepdim=True)
    rest = (square.max() - square).clamp(min=0).sqrt() if len(item) else square
    return torch.cat([f.user, one, torch.zeros_like(one)], 1), torch.cat([item, rest], 1)


def _recall(index: Any, user: Tensor, item: Tensor) -> dict[str, float]:
    """Return which share of the items with the largest products the index finds."""
    sample = np.unique(np.linspace(0, max(len(user) - 1, 0), min(MEASURED, len(user))).astype(np.int64))
    asked, found = user[sample], {}
    for k in CUTS:
        if not len(sample) or k > len(item):
            continue
        exact = (asked @ item.T).topk(k, dim=1).indices.numpy()
        near = index.search(asked.numpy(), k)[1]
        hits = [len(np.intersect1d(a, b)) for a, b in zip(exact, near, strict=True)]
        found[f"recall@{k}"] = float(np.mean(hits)) / k
    return found
