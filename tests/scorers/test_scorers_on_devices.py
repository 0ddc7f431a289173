"""Ranking on every device there is: lists are those of the CPU, and only they come back to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gnnrec.counters.counters import Counters
from gnnrec.encoders.tables import Embeddings
from gnnrec.evaluation import shortlist as lists
from gnnrec.evaluation.blend_choice import weigh
from gnnrec.evaluation.evaluate import Settings, Slice, evaluate_all, rank
from gnnrec.objectives.rating import Rating
from gnnrec.scorers.blend import BlendScorer, BlendWeights, Grid
from gnnrec.scorers.model import ModelScorer
from gnnrec.testing.worlds import random_events, world_of

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
USERS, ITEMS = 40, 300
MEASURE = Settings(topk=(20,), explicit=True)
SEEN, HELD = (random_events(900, USERS - 1, ITEMS, seed) for seed in (0, 1))
GRID = Grid(half_life=(100.0,))


def scorers(device):
    """Return a model and its blend with embeddings on `device`; the objective stays where it was made."""
    chance = torch.Generator().manual_seed(0)
    tables = [torch.randn(n, 8, generator=chance).to(device) for n in (USERS, ITEMS)]
    objective, counters = Rating(), Counters((100.0,))
    objective.grow(SEEN, USERS, ITEMS)
    counters.absorb(SEEN, USERS, ITEMS)
    has_edge = np.bincount(SEEN.user, minlength=USERS) > 0
    model = ModelScorer(Embeddings(*tables, *tables), objective, counters, has_edge)
    return {"model": model, "blend": BlendScorer(model, counters, BlendWeights(1.0, 0.5, 0.5, 100.0))}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["model", "blend"])
def test_scores_stay_on_the_device_and_lists_come_back(device, name):
    found, expected = scorers(device)[name], scorers("cpu")[name]
    user = np.array([0, 3, USERS - 1, USERS + 2])
    assert found.scores(user, ITEMS).device.type == device
    assert torch.allclose(found.scores(user, ITEMS + 5).cpu(), expected.scores(user, ITEMS + 5), atol=1e-4)
    world = world_of(SEEN, USERS, ITEMS)
    lists = rank(found, user, world, MEASURE)
    assert lists.device.type == "cpu"
    assert torch.equal(lists, rank(expected, user, world, MEASURE))
    pair = np.array([0, USERS + 3]), np.array([5, ITEMS + 1])
    assert np.allclose(found.predict(*pair), expected.predict(*pair), atol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_metrics_selection_and_blend_are_those_on_the_cpu(device, monkeypatch):
    monkeypatch.setattr(lists.shortlist, "__defaults__", (24,))  # so that lists are short of the whole
    world, rows, chosen = world_of(SEEN, USERS, ITEMS), [], []
    for where in ("cpu", device):
        made = scorers(where)
        rows.append(evaluate_all(made, [Slice(HELD, world)], MEASURE)[0])
        model = made["model"]
        chosen.append(weigh(model, model.counters, HELD, world, replace(MEASURE, block=7), GRID).best)
    for name in ("model", "blend"):
        for one, other in zip(rows[0][name].rows, rows[1][name].rows, strict=True):
            assert one[:2] == other[:2]
            assert one[2] == pytest.approx(other[2], abs=1e-5)
    assert chosen[0] == chosen[1]
