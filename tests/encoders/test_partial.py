"""Training some rows against a cached propagation: exact where it must be, and others stay as they were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gnnrec.core.errors import GnnrecError
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.encoders.mf import MF
from gnnrec.encoders.pyg import PyG
from gnnrec.encoders.tables import SomeEmbeddings
from gnnrec.learner import Learner
from gnnrec.objectives.base import Batch
from gnnrec.objectives.bpr import BPR
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.strategies.full_retrain import WarmRetrain
from gnnrec.testing.encoders import ITEMS, USERS, graph, grown
from gnnrec.testing.worlds import FIT, MEASURE, Game, random_events, simulated
from gnnrec.training.settings import FitSettings

ENCODERS = {"lightgcn": lambda: LightGCN(8, 3), "mf": lambda: MF(8)}
TOUCHED = replace(FIT, rows="touched")


def some_batch(seed=0, users=USERS):
    events = random_events(16, users, ITEMS, seed)
    negative = torch.from_numpy(np.random.default_rng(seed).integers(0, ITEMS, 16))
    columns = (torch.from_numpy(c) for c in (events.user, events.item, events.value))
    return Batch(*columns, torch.ones(16, dtype=torch.bool), negative)


@pytest.mark.parametrize("make", ENCODERS.values(), ids=ENCODERS)
def test_with_every_node_it_is_training_as_usual(make):
    encoder, g, everything = grown(make), graph(), (torch.arange(USERS), torch.arange(ITEMS))
    touched, objective = encoder.touched(g, *everything), BPR()
    with torch.no_grad():  # away from the start, so that the second term counts
        for table, other in ((touched.user, encoder.user), (touched.item, encoder.item)):
            table.add_(torch.randn(table.shape, generator=torch.Generator().manual_seed(3)))
            other.replace(table)
    batch = some_batch()
    losses = [objective(x.rows(g, *objective.nodes(batch)), batch) for x in (touched, encoder)]
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-5)
    one = torch.autograd.grad(losses[0], (touched.user, touched.item))
    other = torch.autograd.grad(losses[1], (encoder.user.weight, encoder.item.weight))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(one, other, strict=True))


def test_rows_of_matrix_factorisation_are_exact_whichever_are_trained():
    encoder, g = grown(lambda: MF(8)), graph()
    users, items = torch.tensor([0, 3, 19]), torch.tensor([2, 13])
    touched = encoder.touched(g, users, items)
    with torch.no_grad():
        touched.user.mul_(2)
        encoder.user.replace(encoder.user.weight.index_copy(0, users, touched.user))
    assert all(torch.equal(a, b) for a, b in zip(touched(g), encoder(g), strict=True))


def test_only_messages_along_edges_among_the_trained_rows_move():
    encoder, g = grown(lambda: LightGCN(8, 1)), graph()
    start = encoder(g)
    users, items = torch.tensor([0, 3, 19]), torch.tensor([2, 13])
    touched = encoder.touched(g, users, items)
    with torch.no_grad():
        touched.item.add_(1.0)
        encoder.item.replace(encoder.item.weight.index_copy(0, items, touched.item))
    found, exact = touched(g), encoder(g)
    assert torch.allclose(found.user[users], exact.user[users], atol=1e-6)
    others = np.setdiff1d(np.arange(USERS), users.numpy())
    assert torch.equal(found.user[others], start.user[others])
    assert not torch.allclose(exact.user[others], start.user[others])


def test_rows_outside_are_read_and_get_no_gradient():
    encoder, g = grown(lambda: LightGCN(8, 2)), graph()
    touched, batch = encoder.touched(g, torch.arange(USERS), torch.tensor([2, 13])), some_batch()
    z = touched.rows(g, *BPR().nodes(batch))
    assert torch.allclose(z.items(batch.item), encoder(g).items(batch.item), atol=1e-6)
    BPR()(z, batch).backward()
    assert touched.item.grad.shape == (2, 8)
    assert encoder.item.weight.grad is None
    assert torch.allclose(z.item, touched(g).item)


def learner(make, settings):
    return Learner(make(), BPR(), settings, base_fit=FIT, measure=replace(MEASURE, explicit=False))


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("make", ENCODERS.values(), ids=ENCODERS)
def test_an_update_moves_the_rows_of_its_events_alone(make):
    game = Game(simulated(), lambda: learner(make, replace(TOUCHED, budget="equal", steps=5)))
    before = game.base.weights["encoder.user.weight"]
    played = game.play(FineTune(), until=1)
    after = played.learner.encoder.user.weight.detach()
    moved = (after[: len(before)] != before).any(1).numpy()
    trained = np.unique(game.stream.increments[1].observed.train.user)
    assert moved.any()
    assert set(np.flatnonzero(moved)) <= set(trained)
    assert len(after) == played.learner.seen.num_users


@pytest.mark.usefixtures("one_thread")
def test_warm_retraining_of_touched_rows_is_warm_retraining():
    """Every absorbed node has a training event in this stream's history, so nothing is left out."""
    rows = {}
    for settings in (FIT, TOUCHED):
        played = Game(simulated(), lambda s=settings: learner(ENCODERS["lightgcn"], s)).play(WarmRetrain(), until=1)
        rows[settings.rows] = played.learner.encoder.user.weight.detach()
    trained = np.unique(np.concatenate([i.observed.train.user for i in simulated().increments[:2]]))
    assert torch.allclose(rows["all"][trained], rows["touched"][trained], atol=2e-2)


def test_rows_that_were_not_asked_for_are_right_all_the_same():
    g, encoder = graph(), grown(ENCODERS["lightgcn"])
    z, whole = encoder.rows(g, torch.tensor([0, 5]), torch.tensor([2])), encoder(g)
    assert isinstance(z, SomeEmbeddings)
    for at in ([5, 0, 5], [3], [0, 19], []):
        at = torch.tensor(at, dtype=torch.int64)
        assert torch.allclose(z.users(at), whole.users(at), atol=1e-6)
        assert torch.allclose(z.input_users(at), whole.input_users(at))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_train(dtype):
    g, encoder = graph(), grown(ENCODERS["lightgcn"])
    touched = encoder.touched(g, torch.arange(4), torch.arange(3)).to(dtype)
    touched(g).user.square().sum().backward()
    assert touched.user.grad.dtype == dtype
    assert torch.isfinite(touched.user.grad).all()


@pytest.mark.usefixtures("one_thread")
def test_an_encoder_that_is_not_linear_trains_whole():
    make = lambda: PyG("SAGEConv", 8)  # noqa: E731
    states = [
        Game(simulated(), lambda s=s: learner(make, s)).play(FineTune(), until=1).prints[1] for s in (FIT, TOUCHED)
    ]
    assert states[0] == states[1]


def test_settings_that_contradict_are_refused():
    with pytest.raises(GnnrecError, match="optimiser_state=reset"):
        FitSettings(rows="touched", optimiser_state="carry")
    with pytest.raises(GnnrecError, match="touched"):
        FitSettings(rows="touchd")
