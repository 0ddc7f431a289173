"""GC-MC's decoder against its formula, and as the expectation that it ranks by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Interactions
from gnnrec.objectives.gcmc import RatingLevels
from gnnrec.testing.objectives import ITEMS, USERS, WIDTH, ObjectiveContract, batch, embeddings
from gnnrec.testing.worlds import random_events


class TestGCMC(ObjectiveContract):
    make = staticmethod(RatingLevels)


class TestGCMCWithLevels(ObjectiveContract):
    make = staticmethod(lambda: RatingLevels(levels=[1, 3, 5], bases=3))


def grown(**options):
    objective = RatingLevels(width=WIDTH, **options)
    objective.grow(random_events(25, USERS, ITEMS), USERS, ITEMS)
    return objective.double()


@torch.no_grad()
def test_loss_is_the_cross_entropy_of_bilinear_forms():
    objective, z, events = grown(l2=0.0), embeddings(), batch()
    total = 0.0
    for u, i, value in zip(events.user, events.item, events.value, strict=True):
        forms = [sum(a * p for a, p in zip(row, objective.base, strict=True)) for row in objective.share]
        logits = torch.stack([z.user[u] @ q @ z.item[i] for q in forms])
        total -= logits.log_softmax(0)[int(value) - 1]
    assert objective(z, events).item() == pytest.approx(float(total) / len(events.user))


@torch.no_grad()
def test_value_is_the_expectation_and_scores_are_values():
    objective, z, user = grown(), embeddings(), torch.tensor([2, 0])
    pairs = [(u, i) for u in user.tolist() for i in range(ITEMS)]
    at = [torch.tensor(c) for c in zip(*pairs, strict=True)]
    forms = torch.einsum("rs,sde,nd,ne->nr", objective.share, objective.base, z.user[at[0]], z.item[at[1]])
    expected = forms.softmax(1) @ torch.arange(1.0, 6.0, dtype=torch.float64)
    assert torch.allclose(objective.predict(z, *at), expected)
    assert torch.allclose(objective.scores(z, user).flatten(), expected)
    objective.trust.fill_(0.4)
    assert torch.allclose(objective.scores(z, user).flatten(), objective.predict(z, *at))
    bias = objective.bias(*at)
    assert torch.allclose(objective.predict(z, *at), bias + 0.4 * (expected - bias))


def test_large_forms_stay_finite_in_scores():
    objective, z = grown(), embeddings()
    z = z._replace(user=z.user * 1e3)
    user, item = torch.arange(USERS).repeat_interleave(ITEMS), torch.arange(ITEMS).repeat(USERS)
    scores = objective.scores(z, torch.arange(USERS))
    assert torch.allclose(scores.flatten(), objective.predict(z, user, item))


def test_levels_are_those_of_the_first_events_and_stay():
    objective = grown()
    assert objective.values.tolist() == [1, 2, 3, 4, 5]
    later = random_events(5, USERS, ITEMS)
    objective.grow(replace(later, value=later.value + 0.5), USERS + 1, ITEMS)
    assert objective.values.tolist() == [1, 2, 3, 4, 5]


def test_a_node_without_a_row_is_expected_by_biases():
    objective = grown()
    unknown = objective.prior(np.array([USERS + 3]), np.array([ITEMS + 3]))
    assert unknown.item() == pytest.approx(float(objective.bias.mean))


def test_one_level_and_levels_that_do_not_ascend_are_refused():
    events = random_events(5, USERS, ITEMS)
    with pytest.raises(GnnrecError, match="there are 1: take an objective that ranks"):
        RatingLevels().grow(replace(events, value=np.ones(5)), USERS, ITEMS)
    with pytest.raises(GnnrecError, match="must ascend"):
        RatingLevels(levels=[3, 1])
    RatingLevels().grow(Interactions.empty(), 0, 0)
