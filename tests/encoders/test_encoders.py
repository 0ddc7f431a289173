"""All encoders under the contract, and each against its formula."""

from __future__ import annotations

import copy

import pytest
import torch

from gnnrec.core.errors import GnnrecError
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.encoders.mf import MF
from gnnrec.encoders.pyg import PyG
from gnnrec.testing.encoders import ITEMS, USERS, EncoderContract, graph, grown


class TestLightGCN(EncoderContract):
    make = staticmethod(lambda: LightGCN(8, 2))


class TestLightGCNWithoutLayers(EncoderContract):
    make = staticmethod(lambda: LightGCN(8, 0))


class TestMF(EncoderContract):
    make = staticmethod(lambda: MF(8))


class TestSAGEConv(EncoderContract):
    make = staticmethod(lambda: PyG("SAGEConv", 8))


class TestGATConv(EncoderContract):
    make = staticmethod(lambda: PyG("GATConv", 8))


class TestLGConv(EncoderContract):
    make = staticmethod(lambda: PyG("LGConv", 8))


class TestGCNConv(EncoderContract):
    make = staticmethod(lambda: PyG("GCNConv", 8, layers=1))


def test_mf_ignores_the_graph():
    encoder = grown(lambda: MF(8))
    z, empty = encoder(graph()), encoder(graph().empty(USERS, ITEMS))
    assert torch.equal(z.user, empty.user)
    assert torch.equal(z.user, encoder.user.weight)
    assert encoder.layers == 0


def test_lightgcn_is_the_mean_over_layers_of_the_dense_normalised_product():
    encoder, g = grown(lambda: LightGCN(8, 3)), graph()
    a = torch.zeros(USERS, ITEMS, dtype=torch.float64)
    a[g.edges()] = 1
    a = a / a.sum(1, keepdim=True).sqrt() / a.sum(0, keepdim=True).sqrt()
    full = torch.zeros(USERS + ITEMS, USERS + ITEMS, dtype=torch.float64)
    full[:USERS, USERS:], full[USERS:, :USERS] = a, a.T
    x = torch.cat([encoder.user.weight, encoder.item.weight]).double()
    expected = sum(torch.linalg.matrix_power(full, k) @ x for k in range(4)) / 4
    z = encoder(g)
    assert torch.allclose(torch.cat([z.user, z.item]).double(), expected, atol=1e-6)


def test_lightgcn_equals_its_convolution_in_pyg_where_no_layer_has_a_relu():
    ours, theirs = grown(lambda: LightGCN(8, 1))(graph()), grown(lambda: PyG("LGConv", 8, layers=1))(graph())
    assert torch.allclose(ours.user, theirs.user, atol=1e-6)
    assert torch.allclose(ours.item, theirs.item, atol=1e-6)


@pytest.mark.parametrize("conv", ["SAGEConv", "GATConv", "LGConv", "GCNConv"])
@pytest.mark.parametrize("side", ["user", "item"])
def test_messages_flow_both_ways(conv, side):
    make = lambda: PyG(conv, 8, layers=1)  # noqa: E731
    g, plain, moved = graph(), grown(make), grown(make)
    with torch.no_grad():
        getattr(moved, side).weight[0] += 3.0
    other = {"user": "item", "item": "user"}[side]
    changed = (getattr(plain(g), other) != getattr(moved(g), other)).any(dim=1)
    user, item = g.edges()
    expected = torch.zeros(len(changed), dtype=torch.bool)
    expected[item[user == 0] if side == "user" else user[item == 0]] = True
    assert torch.equal(changed, expected)


def test_a_copy_shares_no_edges_and_reads_the_same():
    encoder, g = grown(lambda: PyG("SAGEConv", 8)), graph()
    z = encoder(g)
    twin = copy.deepcopy(encoder)
    assert encoder._cache is not None
    assert twin._cache is None
    assert all(torch.equal(a, b) for a, b in zip(twin(g), z, strict=True))


def test_convolution_weights_depend_on_the_seed_and_not_on_what_ran_before():
    first = PyG("SAGEConv", 8, seed=1).convolutions.state_dict()
    torch.rand(7)
    again, other = (PyG("SAGEConv", 8, seed=s).convolutions.state_dict() for s in (1, 2))
    assert all(torch.equal(first[n], again[n]) for n in first)
    assert not torch.equal(first["0.lin_l.weight"], other["0.lin_l.weight"])


@pytest.mark.parametrize(("wrong", "right"), [("SAGEConvv", "SAGEConv"), ("GatConv", "GATConv"), ("Linear", "Conv")])
def test_unknown_convolution_names_the_nearest(wrong, right):
    with pytest.raises(GnnrecError, match=right) as error:
        PyG(wrong)
    assert "\n" not in str(error.value)


def test_impossible_options_say_what_to_set():
    with pytest.raises(GnnrecError, match=r"does not map \[n, 8\] to \[n, 8\].*encoder\.options"):
        PyG("SAGEConv", 8, options={"nonsense": 1})


class _Doubled(LightGCN):
    def forward(self, graph):
        z = super().forward(graph)
        return z._replace(user=2 * z.user)


class _DoubledWhole(_Doubled):
    def rows(self, graph, users, items):
        return self(graph)

    def touched(self, graph, users, items):
        return None


def test_a_read_out_that_its_inherited_rows_do_not_follow_is_refused_when_built():
    with pytest.raises(GnnrecError, match="_Doubled overrides forward and inherits rows and touched of LightGCN"):
        _Doubled(8, 2)


class TestDoubledWhole(EncoderContract):
    make = staticmethod(lambda: _DoubledWhole(8, 2))


def test_other_weights_of_the_layers_need_no_other_rows():
    class Last(LightGCN):
        weights = property(lambda self: torch.tensor([0.0, 0.0, 1.0]))

    assert Last(8, 2).layers == 2


@pytest.mark.parametrize(
    ("conv", "options", "said"),
    [
        ("GATConv", {"heads": 2}, r"it gives \[n, 16\]; encoder.options=\{concat: false\}"),
        ("GINConv", {}, "such as SAGEConv"),
        ("RGCNConv", {}, "num_relations"),
        ("MessagePassing", {}, "is not a convolution"),
        ("SAGEConv", {"aggr": "no_such"}, "no_such"),
    ],
)
def test_a_convolution_of_another_shape_is_refused_when_it_is_built(conv, options, said):
    with pytest.raises(GnnrecError, match=said) as error:
        PyG(conv, 8, options=options)
    assert "\n" not in str(error.value)


def test_trying_a_convolution_leaves_nothing_in_it():
    encoder = PyG("GCNConv", 8, options={"cached": True})
    assert encoder.convolutions[0]._cached_edge_index is None
    heads = PyG("GATConv", 8, options={"heads": 2, "concat": False})
    twin = PyG("GATConv", 8, options={"heads": 2, "concat": False})
    assert torch.equal(heads.convolutions[0].att_src, twin.convolutions[0].att_src)
