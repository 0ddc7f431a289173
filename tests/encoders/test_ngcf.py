"""NGCF against the paper's sum over edges, written out."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from gnnrec.core.errors import GnnrecError
from gnnrec.encoders.chance import dropped
from gnnrec.encoders.ngcf import NGCF
from gnnrec.testing.encoders import ITEMS, USERS, EncoderContract, graph, grown


class TestNGCF(EncoderContract):
    make = staticmethod(lambda: NGCF(8, 2, dropout=0.0))


def edge_by_edge(encoder, g):
    """Return the read-out by equations 3 to 9 of the paper, one edge at a time."""
    degree_user, degree_item = g.degrees
    user, item = encoder.user.weight.double(), encoder.item.weight.double()
    read_out = [[user], [item]]
    for own, both in zip(encoder.own, encoder.both, strict=True):
        w1, w2 = own.double().T, both.double().T
        sums = user @ w1.T, item @ w1.T
        for u, i in zip(*g.edges(), strict=True):
            p = 1 / (degree_user[u] * degree_item[i]) ** 0.5
            sums[0][u] += p * (w1 @ item[i] + w2 @ (item[i] * user[u]))
            sums[1][i] += p * (w1 @ user[u] + w2 @ (user[u] * item[i]))
        user, item = (F.leaky_relu(s, 0.2) for s in sums)
        for side, e in zip(read_out, (user, item), strict=True):
            side.append(e / e.norm(dim=1, keepdim=True))
    return [torch.cat(side, dim=1) for side in read_out]


@torch.no_grad()
def test_it_is_the_papers_sum_over_edges():
    encoder, g = grown(lambda: NGCF(8, 2).eval()), graph()
    z = encoder(g)
    assert z.user.shape == (USERS, 24)
    for found, expected in zip((z.user, z.item), edge_by_edge(encoder, g), strict=True):
        assert torch.allclose(found.double(), expected, atol=1e-5)


def test_layers_are_those_of_the_read_out():
    encoder, g = grown(lambda: NGCF(8, 2).eval()), graph()
    layers = encoder.by_layer(g)
    assert len(layers) == 3
    assert torch.equal(torch.cat([layers[0].item, *(F.normalize(y.item) for y in layers[1:])], dim=1), encoder(g).item)


def test_dropout_is_drawn_anew_in_training_again_with_the_same_seed_and_never_in_serving():
    encoder, twin, g = grown(lambda: NGCF(8, 2, dropout=0.5)), grown(lambda: NGCF(8, 2, dropout=0.5)), graph()
    first, second = encoder(g), encoder(g)
    assert not torch.equal(first.user, second.user)
    assert torch.equal(twin(g).user, first.user)
    twin.load_state_dict(encoder.state_dict())  # a resumed run draws on
    assert torch.equal(twin(g).user, encoder(g).user)
    assert torch.equal(encoder.eval()(g).user, encoder(g).user)


@pytest.mark.parametrize("rows", [False, True])
def test_what_is_kept_is_scaled_so_that_the_mean_stays(rows):
    x = dropped(torch.ones(20_000, 3), 0.3, torch.Generator().manual_seed(0), rows)
    assert sorted(x.unique().tolist()) == pytest.approx([0, 1 / 0.7])
    assert x.mean() == pytest.approx(1, abs=0.02)
    assert bool((x == x[:, :1]).all()) == rows


def test_weights_depend_on_the_seed():
    first, again, other = (NGCF(8, 2, seed=s).own[0] for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_share_that_leaves_nothing_is_refused():
    with pytest.raises(GnnrecError, match=r"encoder.dropout=1 must be in \[0, 1\)"):
        NGCF(dropout=1)


def test_no_layer_leaves_the_tables():
    encoder = grown(lambda: NGCF(8, 0))
    assert encoder(graph()).item.shape == (ITEMS, 8)
