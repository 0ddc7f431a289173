"""PISA: its contract and its terms by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax
from support.penalties import LATER, NEW, OLD, PAIRS, embeddings, graph, prepared, step, teacher
from torch.nn import functional as F

from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.objectives.bpr import BPR
from gnnrec.strategies.distil.pisa import PISA, largest
from gnnrec.strategies.distil.teacher import Neighbours, Teacher
from gnnrec.testing.strategies import StrategyContract
from gnnrec.testing.worlds import interactions


class TestPISA(StrategyContract):
    make = staticmethod(lambda: PISA(clusters=3, share=0.5))


def test_pisa_s_contrast_by_hand():
    # Cosines of old users with new ones: (1, 0) with (1, 1) and (0, 2): .7071, 0; (0, 1): .7071, 1.
    near = np.array([[math.sqrt(0.5), 0.0], [math.sqrt(0.5), 1.0]]) / 0.5
    loss = np.log(np.exp(near).sum(1)) - np.diag(near)
    found = PISA(temperature=0.5)._pulled(OLD[0], NEW[0], torch.tensor([0.4, 0.8]))
    assert float(found) == pytest.approx((np.array([0.4, 0.8]) * loss).mean(), rel=1e-5)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def pulled(anchors, z, own, weight):
    """Return the mean over users of weight · the mean over their anchors of −log of the share that is the user's own."""
    near = unit(anchors) @ unit(z).T
    loss = np.log(np.exp(near).sum(1)) - near[np.arange(len(near)), own]
    return np.mean([w * loss[np.array(own) == u].mean() for u, w in enumerate(weight)])


def test_pisa_pulls_who_drifts_to_the_forward_model_and_others_to_the_old_one():
    old_user, old_item, user = (x.double().numpy() for x in (*OLD, NEW[0]))
    ahead_user, ahead_item = np.array([[0.5, 2.0], [1.0, 0.2]]), np.array([[0.0, 1.0], [1.0, 0.5]])
    forward = embeddings(torch.tensor(ahead_user).float(), torch.tensor(ahead_item).float())
    near = Neighbours.of(teacher(), graph(LATER), True, 10)  # user 0 has item 0, user 1 both
    strategy = PISA(strength=2.0, share=0.5, temperature=1.0, clusters=2)
    centre = np.array([[3.0, 0.0], [0.0, 1.0]])
    given = {"_centres": (0, torch.tensor(centre).float()), "_index": 1}
    strategy = prepared(strategy, _forward=forward, _old=near, _new=near, **given)
    p, q = softmax(old_user @ centre.T, axis=1), softmax(user @ centre.T, axis=1)
    drift = np.array([jensenshannon(a, b) ** 2 for a, b in zip(p, q, strict=True)])
    w = 1 / (1 + np.exp(-(drift - drift.mean())))
    mover = int(drift.argmax())
    assert drift[mover] > 1.5 * drift[1 - mover]
    plastic, stable = np.zeros(2), np.zeros(2)
    plastic[mover], stable[1 - mover] = w[mover], 1 - w[1 - mover]
    own, item = [0, 1, 1], [0, 0, 1]
    expected = pulled(ahead_user, user, [0, 1], plastic) + pulled(ahead_item[item], user, own, plastic)
    expected += pulled(old_user, user, [0, 1], stable) + pulled(old_item[item], user, own, stable)
    assert strategy.penalty(step([(0, 0), (1, 1)])).item() == pytest.approx(2 * expected, rel=1e-5)


def test_pisa_finds_centres_of_the_present_items_in_every_epoch():
    near = Neighbours.of(teacher(), graph(LATER), True, 10)
    strategy = prepared(PISA(clusters=2), _forward=embeddings(*OLD), _old=near, _new=near, _index=1)
    for epoch, rows in ((0, NEW), (0, OLD), (1, OLD)):
        strategy.penalty(step([(0, 0), (1, 1)], rows, epoch))
        found = {tuple(x) for x in strategy._centres[1].tolist()}
        assert found == {tuple(x) for x in (NEW if epoch == 0 else OLD)[1].tolist()}


def test_pisa_keeps_the_weights_of_who_drifts_most():
    weight = torch.tensor([0.5, 0.6, 0.4, 0.45, 0.55])
    assert largest(weight, 0.4).tolist() == pytest.approx([0, 0.6, 0, 0, 0.55])
    assert largest(weight, 1.0).tolist() == weight.tolist()


def test_pisa_pulls_newcomers_to_their_new_items_alone():
    # User 1 was not known: of it there is the term over new neighbours, among all users of the batch.
    old = Teacher(embeddings(OLD[0][:1], OLD[1]), BPR(), BipartiteGraph.empty().extend(interactions([(0, 0)]), 1, 2))
    near, forward = Neighbours.of_events(interactions(PAIRS), 2, 5, torch.device("cpu")), embeddings(*OLD)
    strategy = PISA(strength=1.0, share=1.0, temperature=1.0, clusters=1, newcomers=0.25)
    strategy._teacher, strategy._forward, strategy._index = old, forward, 1
    strategy._old, strategy._new = Neighbours.of(old, graph(LATER), True, 5), near
    cosine = F.normalize(OLD[1], dim=1) @ F.normalize(NEW[0], dim=1).T
    loss = cosine.logsumexp(1, keepdim=True) - cosine
    # A single old user is nobody's contrast: its terms among old users are log 1 = 0.
    expected = (0.5 * loss[0, 0] + 0.25 * loss[:, 1].mean()) / 2
    assert strategy.penalty(step([(0, 0), (1, 1)])).item() == pytest.approx(float(expected), rel=1e-5)
