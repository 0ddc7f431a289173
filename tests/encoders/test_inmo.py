"""INMO against its formula written out; its templates stay those of the base, and new nodes have a place at once."""

from __future__ import annotations

import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gnnrec.core.errors import GnnrecError
from gnnrec.encoders.base import NewNodes
from gnnrec.encoders.inmo import INMO
from gnnrec.learner import Learner
from gnnrec.objectives.bpr import BPR
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.strategies.full_retrain import FullRetrain
from gnnrec.testing.encoders import ITEMS, USERS, EncoderContract, graph
from gnnrec.testing.worlds import FIT, MEASURE, Game, differing, interactions, simulated


def based(**options):
    """Return an encoder whose templates are among the nodes of `graph()`."""
    encoder, none = INMO(8, 2, **options), torch.empty(0, 8)
    keys = np.arange(USERS, dtype=np.uint64), np.arange(ITEMS, dtype=np.uint64)
    encoder.grow(NewNodes(none, none, *keys, None, graph()))
    return encoder


class TestINMO(EncoderContract):
    """Growing with the learner; elsewhere there are no templates, and rows come from one vector for all."""

    make = staticmethod(lambda: INMO(8, 2))


class TestINMOWithTemplates(EncoderContract):
    make = staticmethod(based)


class TestINMOWithFewTemplates(EncoderContract):
    make = staticmethod(lambda: based(share=0.4))


def written_out(encoder, g, alpha):
    """Return x by the formula, node by node."""
    templates = encoder.template_user.tolist(), encoder.template_item.tolist()
    user, item = (x.tolist() for x in g.edges())
    rows = []
    for side, count in ((0, g.num_users), (1, g.num_items)):
        table, every = ((encoder.of_items, encoder.all_users), (encoder.of_users, encoder.all_items))[side]
        for node in range(count):
            near = [e[1 - side] for e in zip(user, item, strict=True) if e[side] == node]
            known = [templates[1 - side].index(n) for n in near if n in templates[1 - side]]
            total = every + sum((table.weight[k] for k in known), torch.zeros(8))
            rows.append(total / (len(known) + 1) ** alpha)
    return torch.stack(rows)


@torch.no_grad()
@pytest.mark.parametrize("share", [1.0, 0.4])
def test_rows_are_the_formula_and_the_read_out_is_lightgcns(share):
    encoder, g = based(share=share, alpha=0.7), graph()
    x = written_out(encoder, g, 0.7)
    z = encoder(g)
    assert torch.allclose(torch.cat([z.input_user, z.input_item]), x, atol=1e-6)
    layers = [x.tensor_split([USERS])]
    for _ in range(2):
        layers.append(g.propagate(*layers[-1]))
    assert torch.allclose(z.user, sum(y[0] for y in layers) / 3, atol=1e-6)
    assert torch.allclose(z.item, sum(y[1] for y in layers) / 3, atol=1e-6)


def test_templates_are_the_nodes_with_most_edges():
    encoder, (degree, _) = based(share=0.25), graph().degrees
    assert len(encoder.template_user) == USERS // 4
    rest = np.setdiff1d(np.arange(USERS), encoder.template_user.numpy())
    assert degree[encoder.template_user.numpy()].min() >= degree[rest].max()


@torch.no_grad()
def test_a_new_user_has_a_place_with_its_first_edge_and_no_new_parameter():
    encoder, before = based(), dict(based().named_parameters())
    g = graph().extend(interactions([(USERS, 3)]), USERS + 1, ITEMS)
    none = torch.empty(0, 8)
    encoder.grow(NewNodes(none, none, np.array([99], np.uint64), np.empty(0, np.uint64), None, g))
    assert {n: p.shape for n, p in encoder.named_parameters()} == {n: p.shape for n, p in before.items()}
    expected = (encoder.of_items.weight[3] + encoder.all_users) / 2**0.5
    assert torch.allclose(encoder(g).input_user[USERS], expected)


def test_exponent_goes_to_one_with_the_steps_and_is_kept():
    encoder, step = based(anneal=0.5), SimpleNamespace(batch=SimpleNamespace(**batch((0, 0))))
    assert encoder.exponent == 0.5
    encoder.auxiliary(step)
    encoder.auxiliary(step)
    assert encoder.exponent == 1 - 0.5 * 0.25
    twin = based(anneal=0.5)
    twin.load_state_dict(encoder.state_dict())
    assert twin.exponent == encoder.exponent


def batch(*pairs):
    user, item = (torch.tensor(c) for c in zip(*pairs, strict=True))
    return {"user": user, "item": item, "positive": torch.ones(len(user), dtype=torch.bool)}


def test_the_loss_of_the_templates_is_bpr_over_events_among_them():
    encoder = based(share=0.25, weight=0.5)
    inside = int(encoder.template_user[1]), int(encoder.template_item[2])
    outside = int(np.setdiff1d(np.arange(USERS), encoder.template_user.numpy())[0]), inside[1]
    bad = torch.randint(len(encoder.of_items), (1,), generator=copy.deepcopy(encoder.chance).generator())
    found = encoder.auxiliary(SimpleNamespace(batch=SimpleNamespace(**batch(inside, outside))))
    t, p = encoder.of_users.weight[1], encoder.of_items.weight[2] - encoder.of_items.weight[int(bad)]
    assert found.item() == pytest.approx(0.5 * torch.nn.functional.softplus(-(t @ p)).item(), rel=1e-5)
    assert encoder.auxiliary(SimpleNamespace(batch=SimpleNamespace(**batch(outside)))) == 0.0


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("rows", ["all", "touched"])
def test_a_run_that_was_cut_off_goes_on_to_the_same_bytes(rows, tmp_path):
    fit = replace(FIT, rows=rows)
    game = Game(simulated(), lambda: Learner(INMO(8, 2, anneal=0.99), BPR(), fit, measure=MEASURE))
    whole = game.play(FineTune(), tmp_path / "whole")
    game.play(FineTune(), tmp_path / "torn", until=2)
    assert not differing(whole.prints[3], game.play(FineTune(), tmp_path / "torn").prints[3])
    base = game.stream.increments[0].observed
    assert len(whole.learner.encoder.of_users) <= base.num_users
    assert whole.learner.seen.num_users > base.num_users


@pytest.mark.usefixtures("one_thread")
def test_a_cold_restart_chooses_templates_among_all_it_knows():
    game = Game(simulated(), lambda: Learner(INMO(8, 2), BPR(), FIT, measure=MEASURE))
    learner = game.play(FullRetrain(), until=2).learner
    assert len(learner.encoder.of_users) > game.stream.increments[0].observed.num_users


@pytest.mark.parametrize("option", [{"share": 0}, {"share": 1.5}, {"anneal": 0}])
def test_shares_outside_are_refused(option):
    with pytest.raises(GnnrecError, match="must be above 0 and at most 1"):
        INMO(**option)
