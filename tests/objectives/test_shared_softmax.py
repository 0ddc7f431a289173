"""The softmax over shared negatives against the same formula left to autograd, values and gradients."""

import numpy as np
import pytest
import torch

from gnnrec.core.errors import GnnrecError
from gnnrec.objectives import shared_softmax
from gnnrec.objectives.base import Batch


def drawn(n, m, items, dtype=torch.float64, seed=0):
    rng = np.random.default_rng(seed)
    shared = torch.from_numpy(np.sort(rng.choice(items, m, replace=False)))
    item, value = torch.from_numpy(rng.integers(0, items, n)), torch.from_numpy(rng.random(n) + 0.5)
    batch = Batch(item, item, value, torch.from_numpy(rng.random(n) < 0.8), item, shared)
    user, rows, good = (torch.from_numpy(rng.normal(size=s)).to(dtype) for s in ((n, 5), (m, 5), (n,)))
    return [x.requires_grad_() for x in (user, rows, good)], torch.from_numpy(rng.normal(size=m)), batch


def plain(user, rows, good, offset, batch, weighted):
    others = user @ rows.T + offset
    others = others.masked_fill(batch.item[:, None] == batch.shared[None], -torch.inf)
    share = torch.cat([good[:, None], others], 1).log_softmax(1)[:, 0]
    weight = batch.positive * (batch.value if weighted else 1.0)
    return -(share * weight).sum() / weight.sum()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n", "m", "items"), [(1, 1, 2), (7, 3, 4), (300, 40, 60), (130, 60, 60)])
def test_value_and_gradients_are_those_of_the_formula(monkeypatch, n, m, items, weighted):
    monkeypatch.setattr(shared_softmax, "IN_CACHE", 1)  # many blocks
    given, offset, batch = drawn(n, m, items)
    batch = batch._replace(positive=batch.positive.index_fill(0, torch.tensor([0]), True))
    found = shared_softmax.softmax_loss(*given, offset, batch, weighted)
    expected = plain(*given, offset, batch, weighted)
    torch.testing.assert_close(found, expected)
    for ours, theirs in zip(*(torch.autograd.grad(3 * x, given) for x in (found, expected)), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_scores_far_apart_neither_overflow_nor_vanish():
    (user, rows, good), offset, batch = drawn(50, 20, 30, torch.float32)
    given = [(400 * x).detach().requires_grad_() for x in (user, rows, good)]
    found = shared_softmax.softmax_loss(*given, offset.float(), batch, weighted=False)
    torch.testing.assert_close(found, plain(*given, offset.float(), batch, weighted=False))
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(found, given))


def test_without_a_positive_or_a_sample_the_loss_is_0():
    given, offset, batch = drawn(6, 4, 9)
    nobody = batch._replace(positive=torch.zeros(6, dtype=torch.bool))
    assert shared_softmax.softmax_loss(*given, offset, nobody, weighted=False) == 0
    alone = batch._replace(shared=batch.shared[:0])
    found = shared_softmax.softmax_loss(given[0], given[1][:0], given[2], offset[:0], alone, weighted=False)
    assert found == 0


def test_a_graph_of_its_gradients_is_refused():
    given, offset, batch = drawn(6, 4, 9)
    loss = shared_softmax.softmax_loss(*given, offset, batch, weighted=False)
    with pytest.raises(GnnrecError, match="first derivatives only"):
        torch.autograd.grad(loss, given, create_graph=True)


def test_half_precision_is_summed_in_single():
    given, offset, batch = drawn(40, 20, 30, torch.float32)
    half = [x.detach().bfloat16().requires_grad_() for x in given[:2]]
    with torch.autocast("cpu", torch.bfloat16):
        loss = shared_softmax.softmax_loss(*half, given[2], offset.float(), batch, weighted=False)
    assert loss.dtype == torch.float32
    expected = plain(*(x.float() for x in half), given[2], offset.float(), batch, weighted=False)
    torch.testing.assert_close(loss, expected)
    assert all(g.dtype == torch.bfloat16 for g in torch.autograd.grad(loss, half))
