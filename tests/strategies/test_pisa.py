"""PISA: its contract and its terms by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
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


def test_pisa_pulls_who_drifts_to_the_forward_model_and_others_to_the_old_one():
    # With one centre everybody's share is 1 and nobody drifts: w = .5 for both, and both count on either side.
    forward = embeddings(OLD[0].flip(0), OLD[1])
    near = Neighbours.of(teacher(), graph(LATER), True, 10)
    strategy = PISA(strength=2.0, share=1.0, temperature=1.0, clusters=1)
    strategy = prepared(strategy, _forward=forward, _old=near, _new=near, _index=1)
    z, half = NEW[0], torch.tensor([0.5, 0.5])
    cosine = F.normalize(OLD[1], dim=1) @ F.normalize(z, dim=1).T
    loss = cosine.logsumexp(1, keepdim=True) - cosine  # of each item as an anchor of each user
    beside = (0.5 * loss[0, 0] + 0.5 * loss[:, 1].mean()) / 2  # user 0's item and user 1's two, alike in both models
    expected = strategy._pulled(forward.user, z, half) + strategy._pulled(OLD[0], z, half) + 2 * beside
    assert strategy.penalty(step([(0, 0), (1, 1)])).item() == pytest.approx(2 * float(expected), rel=1e-5)


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
