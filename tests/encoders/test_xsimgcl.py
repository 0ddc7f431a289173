"""XSimGCL against dense products, its noise and its contrast by their definitions."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from gnnrec.core.errors import GnnrecError
from gnnrec.encoders.xsimgcl import XSimGCL, info_nce
from gnnrec.learner import Learner
from gnnrec.objectives.bpr import BPR
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.testing.encoders import ITEMS, USERS, EncoderContract, graph, grown
from gnnrec.testing.worlds import FIT, MEASURE, Game, differing, simulated


class TestXSimGCL(EncoderContract):
    make = staticmethod(lambda: XSimGCL(8, 2).eval())


class TestXSimGCLWithoutNoise(EncoderContract):
    make = staticmethod(lambda: XSimGCL(8, 2, noise=0.0, weight=0.0))


class TestXSimGCLWithNoise:
    """What the contract asks of a fit; its other tests compare passes, which noise makes differ."""

    make = staticmethod(lambda: XSimGCL(8, 2, noise=0.2, weight=0.05))
    _fitted, _learner = EncoderContract._fitted, EncoderContract._learner
    test_loss_falls = EncoderContract.test_loss_falls
    test_finds_two_communities = EncoderContract.test_finds_two_communities


def dense(g):
    """Return P, [u + i, u + i]."""
    a = torch.zeros(USERS, ITEMS, dtype=torch.float64)
    a[g.edges()] = 1
    a = a / a.sum(1, keepdim=True).sqrt() / a.sum(0, keepdim=True).sqrt()
    full = torch.zeros(USERS + ITEMS, USERS + ITEMS, dtype=torch.float64)
    full[:USERS, USERS:], full[USERS:, :USERS] = a, a.T
    return full


def test_what_serves_is_the_mean_of_layers_1_to_l_of_the_dense_product():
    encoder, g = grown(lambda: XSimGCL(8, 3).eval()), graph()
    x = torch.cat([encoder.user.weight, encoder.item.weight]).double()
    expected = sum(torch.linalg.matrix_power(dense(g), k) @ x for k in (1, 2, 3)) / 3
    z = encoder(g)
    assert torch.allclose(torch.cat([z.user, z.item]).double(), expected, atol=1e-6)


def test_noise_has_its_length_and_the_signs_of_what_it_is_added_to():
    encoder, g = grown(lambda: XSimGCL(8, 1, noise=0.3)), graph()
    noisy, plain = encoder(g), encoder.eval()(g)
    for a, b in zip(noisy[:2], plain[:2], strict=True):
        assert torch.allclose((a - b).norm(dim=1), torch.tensor(0.3), atol=1e-5)
        assert ((a - b).sign() == b.sign()).all()


def test_noise_is_passed_on_and_drawn_anew_and_again_with_the_same_seed():
    encoder, twin, g = grown(lambda: XSimGCL(8, 2)), grown(lambda: XSimGCL(8, 2)), graph()
    layers = [torch.cat([y.user, y.item]).double() for y in encoder.by_layer(g)]
    second = layers[2] - dense(g) @ layers[1]
    assert torch.allclose(second.norm(dim=1), torch.tensor(0.2, dtype=torch.float64), atol=1e-5)
    first = twin(g)
    assert torch.allclose((layers[1] + layers[2])[:USERS].float() / 2, first.user, atol=1e-6)
    assert not torch.equal(twin(g).user, first.user)


def step(*events):
    user, item = (torch.tensor(c) for c in zip(*events, strict=True))
    return SimpleNamespace(batch=SimpleNamespace(user=user, item=item))


def test_the_contrast_is_of_one_layer_with_the_read_out_over_distinct_nodes():
    encoder, twin = (grown(lambda: XSimGCL(8, 3, contrast=2, weight=0.5)) for _ in range(2))
    g = graph()
    layers, z = twin.by_layer(g), encoder(g)
    found = encoder.auxiliary(step((3, 1), (3, 2), (7, 1), (0, 4)))
    total = 0.0
    for one, other, nodes in ((layers[2].user, z.user, [0, 3, 7]), (layers[2].item, z.item, [1, 2, 4])):
        for n in nodes:
            cosine = [float(F.cosine_similarity(one[n], other[m], dim=0).detach()) / 0.15 for m in nodes]
            own = cosine[nodes.index(n)]
            total += (math.log(sum(map(math.exp, cosine))) - own) / 3
    assert found.item() == pytest.approx(0.5 * total, rel=1e-4)
    assert encoder.auxiliary(step((3, 1))) == 0.0  # what a pass left is used once


def test_info_nce_of_equal_far_rows_is_nearly_nothing_and_of_alike_rows_the_log_of_their_number():
    assert info_nce(torch.eye(4), torch.eye(4), 0.05).item() == pytest.approx(0, abs=1e-6)
    assert info_nce(torch.ones(4, 2), torch.ones(4, 2), 0.05).item() == pytest.approx(math.log(4), rel=1e-5)


def test_the_contrast_is_part_of_the_gradient_and_copies_leave_its_views():
    encoder, g = grown(lambda: XSimGCL(8, 2)), graph()
    encoder(g)
    assert copy.deepcopy(encoder).auxiliary(step((3, 1))) == 0.0
    encoder.auxiliary(step((3, 1), (4, 2))).backward()
    assert encoder.user.weight.grad.any()
    assert encoder.item.weight.grad.any()


@pytest.mark.usefixtures("one_thread")
def test_a_run_that_was_cut_off_goes_on_to_the_same_bytes(tmp_path):
    fit = replace(FIT, max_epochs=2)
    game = Game(simulated(2), lambda: Learner(XSimGCL(8, 2), BPR(), fit, measure=replace(MEASURE, explicit=False)))
    whole = game.play(FineTune(), tmp_path / "whole")
    game.play(FineTune(), tmp_path / "torn", until=1)
    assert not differing(whole.prints[2], game.play(FineTune(), tmp_path / "torn").prints[2])


@pytest.mark.parametrize("contrast", [0, 3])
def test_a_layer_that_is_not_there_is_refused(contrast):
    with pytest.raises(GnnrecError, match=f"encoder.contrast={contrast} must be a layer: 1 to encoder.layers=2"):
        XSimGCL(layers=2, contrast=contrast)
