"""Sums over weighted edges against dense products, with first and second gradients."""

from __future__ import annotations

import numpy as np
import torch

from gnnrec.graph.sums import EdgeSums
from gnnrec.graph.taken import taken


def some():
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(7, 5)) * (rng.random((7, 5)) < 0.4)
    user, item = dense.nonzero()
    return EdgeSums(user, item, dense[user, item], dense.shape), torch.from_numpy(dense)


def test_sums_and_totals_are_those_of_the_dense_matrix():
    sums, dense = some()
    user, item = torch.randn(7, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    assert torch.allclose(sums.to_users(item), dense @ item)
    assert torch.allclose(sums.to_items(user), dense.T @ user)
    assert torch.allclose(sums.to_users(item.float()), (dense @ item).float(), atol=1e-5)
    for found, expected in zip(sums.totals, (dense.sum(1), dense.sum(0)), strict=True):
        assert np.allclose(found, expected)


def test_gradients_are_those_of_the_dense_product():
    sums, _ = some()
    item = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(sums.to_users, item)
    assert torch.autograd.gradgradcheck(lambda x: sums.to_users(x).square(), item)
    user = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(sums.to_items, user)


def test_no_edge_gives_zeros_and_products_are_counted():
    none = np.empty(0, np.int64)
    assert not EdgeSums(none, none, np.empty(0), (3, 0)).to_users(torch.empty(0, 2)).any()
    sums, dense = some()
    before = taken()
    sums.to_users(torch.ones(5, 2))
    assert taken() - before == int((dense != 0).sum())
