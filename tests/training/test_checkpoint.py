"""A fit that is cut off between or within epochs goes on to the bytes of one that was not."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
import torch
from torch import nn

from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.learner import Learner
from gnnrec.objectives.joint import Joint
from gnnrec.testing.worlds import FIT, MEASURE, simulated
from gnnrec.training import checkpoint
from gnnrec.training.checkpoint import Earlier, FitCheckpoint

BASE = simulated().increments[0].observed


class Dropping(LightGCN):
    """A LightGCN whose rows are dropped at random, from torch's own generator."""

    def rows(self, graph, user, item):
        z = super().rows(graph, user, item)
        return type(z)(z._users, z._items, z._rows._replace(user=nn.functional.dropout(z._rows.user, 0.3)), z._compute)


class Annealed(LightGCN):
    """A LightGCN whose auxiliary loss follows the steps and epochs taken."""

    def touched(self, graph, users, items):
        return None

    def auxiliary(self, step):
        return 1e-3 * (step.step + 10 * step.epoch) * step.z.users(step.batch.user).square().sum()


class Cut(BaseException):
    """Stands for a kill."""


def fitted(path=None, cut=None, fit=FIT, encoder=LightGCN, valid=BASE.valid, told=None):
    """Return a learner after one fit, which ends at epoch `cut` as by a kill."""
    learner = Learner(encoder(8, 2), Joint(width=8), fit, measure=MEASURE)
    learner.extend(replace(BASE, valid=valid))
    learner.checkpoint = None if path is None else FitCheckpoint(path)

    def on_epoch(epoch, loss, value):
        if told is not None:
            told.append(epoch)
        if epoch == cut:
            raise Cut

    learner.on_epoch = on_epoch
    try:
        learner.fit(BASE.train)
    except Cut:
        return None
    return learner


def same(a, b):
    (x, y), moments = (a.state_dict(), b.state_dict()), (a.fits.moments, b.fits.moments)
    assert set(x) == set(y)
    assert [n for n in x if x[n].numpy().tobytes() != y[n].numpy().tobytes()] == []
    assert moments[0].keys() == moments[1].keys()
    logs = [replace(x.log, seconds=0.0, earlier=Earlier()) for x in (a, b)]
    assert logs[0] == logs[1]


LONG = replace(FIT, max_epochs=8, patience=8)
STEPS = replace(LONG, budget="equal", steps=50)
KINDS = {
    "converge": {"fit": LONG},
    "stops early": {"fit": replace(LONG, lr=0.5, patience=3)},
    "carries moments": {"fit": replace(LONG, optimiser_state="carry")},
    "equal steps": {"fit": STEPS},
    "without valid": {"fit": replace(LONG, epochs_without_valid=6), "valid": BASE.valid.take(slice(0, 0))},
    "dropout": {"fit": LONG, "encoder": Dropping},
    "annealed": {"fit": LONG, "encoder": Annealed},
}


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cuts", [(2,), (3, 4, 6)])
def test_a_fit_that_is_cut_off_ends_with_the_same_bytes(tmp_path, monkeypatch, kind, cuts):
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", float("inf"))
    whole, path, told = fitted(**KINDS[kind]), tmp_path / "fit", []
    for cut in cuts:
        if cut <= len(whole.log.epochs):
            assert fitted(path, cut, **KINDS[kind]) is None
    found = fitted(path, told=told, **KINDS[kind])
    same(found, whole)
    assert found.log.earlier.seconds > 0
    assert told[0] == max(c for c in cuts if c <= len(whole.log.epochs))
    assert found.log.seconds > found.log.earlier.seconds


def test_nothing_is_written_before_it_is_time(tmp_path):
    assert fitted(tmp_path / "fit", 3, LONG) is None
    assert not (tmp_path / "fit").exists()


@pytest.mark.usefixtures("one_thread")
def test_a_damaged_checkpoint_is_said_and_the_fit_begins_again(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    path, told = tmp_path / "fit", []
    fitted(path, 3, LONG)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        found = fitted(path, fit=LONG, told=told)
    same(found, fitted(fit=LONG))
    assert told[0] == 1
    assert "damaged" in caplog.text


def test_a_checkpoint_without_a_line_is_damaged_too(tmp_path, caplog):
    (tmp_path / "fit").write_bytes(b"nothing")
    with caplog.at_level(logging.WARNING):
        same(fitted(tmp_path / "fit"), fitted())
    assert "damaged" in caplog.text


def test_the_dropout_of_these_tests_draws(tmp_path):
    torch.manual_seed(0)
    plain, dropping = fitted(fit=STEPS), fitted(fit=STEPS, encoder=Dropping)
    assert not torch.equal(plain.encoder.user.weight, dropping.encoder.user.weight)
