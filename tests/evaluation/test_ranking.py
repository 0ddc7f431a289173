"""Lists against a full lexicographic sort: by falling score, then by place in the random order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnrec.evaluation.evaluate import Settings, rank
from gnnrec.evaluation.ranking import places, tie_order, top_items
from gnnrec.testing.worlds import interactions, world_of


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    items=st.sampled_from([3, 30, 80, 200, 500]),
    k=st.sampled_from([1, 10, 50, 90]),
    levels=st.sampled_from([1, 3, 40, 10**6]),
    share=st.sampled_from([0.0, 0.3, 0.99]),
)
def test_lists_are_those_of_a_full_sort(seed, items, k, levels, share):
    rng = np.random.default_rng(seed)
    scores = torch.from_numpy(rng.integers(0, levels, (8, items))).float()
    seen, order = np.nonzero(rng.random((8, items)) < share), tie_order(seed, items)
    place = places(order)
    expected = torch.full((8, k), -1)
    for n in range(8):
        masked = set(seen[1][seen[0] == n].tolist())
        best = sorted((i for i in range(items) if i not in masked), key=lambda i: (-scores[n, i].item(), int(place[i])))
        expected[n, : len(best[:k])] = torch.tensor(best[:k], dtype=torch.int64)
    before = scores.clone()
    assert torch.equal(top_items(scores, k, order, seen), expected)
    assert torch.equal(scores, before)  # others rank the same scores by masks of their own


def inference(row):
    """Return two rows made in inference mode."""
    with torch.inference_mode():
        return row.repeat(2, 1)


class Constant:
    """Gives every user the same row, kept once: memory in which one user's row is every other's."""

    def __init__(self, row: torch.Tensor) -> None:
        self.row = row

    def scores(self, user, num_items):
        return self.row[:num_items].expand(len(user), -1)

    def predict(self, user, item):
        return None


@pytest.mark.parametrize(
    "make", [lambda row: row.expand(2, -1), inference, torch.nn.Parameter], ids=["row", "inference", "parameter"]
)
def test_scores_that_cannot_be_masked_in_place_are_ranked_all_the_same(make):
    scores = make(torch.arange(6.0)) if make is not torch.nn.Parameter else make(torch.arange(6.0).repeat(2, 1))
    seen = np.array([0, 1]), np.array([5, 4])
    assert top_items(scores, 2, torch.arange(6), seen).tolist() == [[4, 3], [5, 3]]
    assert scores.tolist() == [[0, 1, 2, 3, 4, 5]] * 2


def test_a_scorer_may_lend_what_it_keeps():
    kept = torch.arange(6.0)
    seen = interactions([(0, 5), (1, 4)])
    world = world_of(seen, 2, 6)
    found = rank(Constant(kept), np.arange(2), world, Settings(topk=(2,)))
    assert found.tolist() == [[4, 3], [5, 3]]
    assert kept.tolist() == [0, 1, 2, 3, 4, 5]
