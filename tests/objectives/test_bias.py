"""Biases against the normal equations."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gnnrec.objectives import bias as module
from gnnrec.objectives.bias import Biases, BiasTerms, ridge
from gnnrec.testing.worlds import interactions, random_events

USERS, ITEMS = 25, 15


def solved(events, prior, shrinkage):
    """Return the minimiser by numpy's least squares: one row per event, one per penalised bias."""
    n, nodes = len(events), USERS + ITEMS
    design = np.zeros((n, nodes))
    design[np.arange(n), events.user] = design[np.arange(n), USERS + events.item] = 1
    before = np.concatenate([prior.user, prior.item])
    rows = np.concatenate([design, np.sqrt(shrinkage) * np.eye(nodes)])
    target = np.concatenate([events.value - events.value.mean(), np.sqrt(shrinkage) * before])
    return np.linalg.lstsq(rows, target, rcond=None)[0]


def priors():
    rng = np.random.default_rng(4)
    nothing = Biases(0.0, np.zeros(USERS), np.zeros(ITEMS))
    return [nothing, Biases(3.0, rng.normal(size=USERS), rng.normal(size=ITEMS))]


@pytest.mark.parametrize("shrinkage", [0.5, 5.0])
@pytest.mark.parametrize("prior", priors(), ids=["pulled to zero", "pulled to a prior"])
def test_ridge_solves_the_normal_equations(prior, shrinkage, monkeypatch):
    events = random_events(200, USERS, ITEMS)
    expected = solved(events, prior, shrinkage)
    quick = ridge(events, prior, shrinkage)
    # Few passes leave a shift between users and items, which cancels in every pair.
    pairs = expected[:USERS, None] + expected[None, USERS:]
    assert np.allclose(quick.user[:, None] + quick.item[None], pairs, atol=0.01)
    monkeypatch.setattr(module, "PASSES", 3000, raising=False)
    found = ridge(events, prior, shrinkage)
    assert found.mean == events.value.mean()
    assert np.allclose(np.concatenate([found.user, found.item]), expected, atol=1e-6)


def test_default_passes_come_within_a_thousandth_at_the_default_shrinkage():
    events, prior = random_events(200, USERS, ITEMS), priors()[0]
    found = ridge(events, prior, 5.0)
    assert np.allclose(np.concatenate([found.user, found.item]), solved(events, prior, 5.0), atol=1e-3)


def test_nodes_without_events_keep_the_prior_and_no_events_change_nothing():
    prior = priors()[1]
    found = ridge(interactions([(0, 0), (1, 0)], [5, 1]), prior, 5.0)
    assert np.array_equal(found.user[2:], prior.user[2:])
    assert np.array_equal(found.item[1:], prior.item[1:])
    assert found.user[0] != prior.user[0]
    assert ridge(interactions([]), prior, 5.0) is prior


def test_growing_solves_new_biases_and_leaves_old_ones_and_the_mean():
    terms, first = BiasTerms(), random_events(100, 20, 10)
    terms.grow(first, 20, 10)
    assert terms.mean.item() == pytest.approx(first.value.mean())
    old = terms.user.weight.clone(), terms.item.weight.clone(), terms.mean.clone()
    terms.grow(interactions([(20, 0), (20, 1), (3, 10)], [5, 5, 1]), 22, 11)
    assert torch.equal(terms.user.weight[:20], old[0])
    assert torch.equal(terms.item.weight[:10], old[1])
    assert torch.equal(terms.mean, old[2])
    assert terms.user.weight[20] > 0
    assert terms.user.weight[20] > terms.item.weight[10]


def test_a_new_user_who_rates_like_nobody_else_is_predicted_higher_than_the_mean():
    terms = BiasTerms(shrinkage=1.0)
    terms.grow(random_events(100, 20, 10), 20, 10)
    terms.grow(interactions([(20, i) for i in range(10)], [5.0] * 10), 21, 10)
    found = terms(torch.full((10,), 20), torch.arange(10)).mean()
    assert 4.3 < found <= 5.05


def test_numbers_without_a_row_add_nothing():
    terms = BiasTerms()
    terms.grow(random_events(100, 20, 10), 20, 10)
    pairs = [(3, 4), (99, 4), (3, 99), (99, 99)]
    user, item = (np.array([p[c] for p in pairs]) for c in (0, 1))
    mean, u, i = terms.mean, terms.user.weight[3, 0], terms.item.weight[4, 0]
    assert torch.allclose(terms.partial(user, item), torch.stack([mean + u + i, mean + i, mean + u, mean]))


def test_every_item_at_once_equals_pair_by_pair():
    terms = BiasTerms()
    terms.grow(random_events(100, 20, 10), 20, 10)
    user = torch.tensor([0, 7])
    pairs = [terms(user, torch.full((2,), i)) for i in range(10)]
    assert torch.allclose(terms.all_items(user), torch.stack(pairs, dim=1))


def test_absorbing_for_the_first_time_is_the_ridge_on_all_events():
    events, terms = random_events(100, 20, 10), BiasTerms(shrinkage=2.0)
    terms.grow(events, 20, 10)
    terms.absorb(events)
    expected = ridge(events, Biases(0.0, np.zeros(20), np.zeros(10)), 2.0)
    assert np.allclose(terms.user.weight[:, 0], expected.user, atol=1e-6)
    assert np.allclose(terms.item.weight[:, 0], expected.item, atol=1e-6)
    assert int(terms.user_count.weight.sum()) == 100


def test_earlier_events_pull_with_their_number_up_to_the_memory():
    terms = BiasTerms(shrinkage=1.0, memory=4.0)
    terms.grow(interactions([(0, 0)] * 10, [4.0] * 10), 1, 1)
    terms.absorb(interactions([(0, 0)] * 10, [4.0] * 10))
    terms.user.replace(torch.tensor([[1.0]]))
    events = interactions([(0, 0)], [2.0])
    terms.absorb(events, mean=4.0)
    expected = ridge(events, Biases(4.0, np.ones(1), np.zeros(1)), 1.0 + 4.0, mean=4.0)
    assert terms.user.weight.item() == pytest.approx(expected.user[0], abs=1e-6)
    assert terms.mean.item() == 4.0
