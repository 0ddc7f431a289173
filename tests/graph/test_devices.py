"""The same code on every device there is: products against the dense formula, fits against those on the CPU, no waiting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gnnrec.encoders.base import NewNodes
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.encoders.mf import MF
from gnnrec.encoders.pyg import PyG
from gnnrec.graph import bipartite
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.learner import Learner
from gnnrec.objectives.base import Batch
from gnnrec.objectives.bpr import BPR
from gnnrec.objectives.joint import Joint
from gnnrec.objectives.rating import Rating
from gnnrec.objectives.softmax import Softmax
from gnnrec.testing.worlds import FIT, MEASURE, random_events, simulated
from gnnrec.training.module import embedded
from gnnrec.training.step import Terms

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
STREAM = simulated()
USERS, ITEMS = 40, 30


def grown(monkeypatch):
    """Return a graph of two segments."""
    monkeypatch.setattr(bipartite, "MERGE_RATIO", 0)
    first = BipartiteGraph.empty().extend(random_events(300, 30, 20, 0), 30, 20)
    return first.extend(random_events(25, USERS, ITEMS, 1), USERS, ITEMS)


@pytest.mark.parametrize("device", DEVICES)
def test_products_and_gradients_are_those_of_the_dense_formula(device, monkeypatch):
    graph = grown(monkeypatch)
    a = torch.zeros(USERS, ITEMS, dtype=torch.float64)
    a[graph.edges()] = 1
    a = a / torch.outer(a.sum(1).clamp(min=1), a.sum(0).clamp(min=1)).sqrt()
    chance = torch.Generator().manual_seed(0)
    user, item = (torch.randn(n, 5, generator=chance, dtype=torch.float64).requires_grad_() for n in (USERS, ITEMS))
    weights = torch.tensor([0.4, 0.3, 0.3], dtype=torch.float64)
    expected = 0.4 * user + 0.3 * a @ item + 0.3 * a @ (a.T @ user)
    found, _ = graph.to(device).polynomial(user.to(device), item.to(device), weights)
    assert torch.allclose(found.cpu(), expected, atol=1e-12)
    draw = torch.randn(expected.shape, generator=chance, dtype=torch.float64)
    pairs = (torch.autograd.grad((z.cpu() * draw).sum(), (user, item)) for z in (found, expected))
    assert all(torch.allclose(x, y, atol=1e-12) for x, y in zip(*pairs, strict=True))


KINDS = {
    "lightgcn": (lambda: LightGCN(8, 2), lambda: Joint(width=8), {}),
    "softmax": (lambda: LightGCN(8, 2), Softmax, {}),
    "touched": (lambda: LightGCN(8, 2), BPR, {"rows": "touched"}),
    "mf": (lambda: MF(8), Rating, {}),
    "pyg": (lambda: PyG("SAGEConv", 8, 1), BPR, {}),
    "carried": (lambda: LightGCN(8, 2), BPR, {"optimiser_state": "carry"}),
}


def fitted(kind, accelerator):
    """Return the weights after two increments; the second learner goes on from the state of the first."""
    encoder, objective, options = KINDS[kind]
    settings = replace(FIT, max_epochs=2, **options)

    def fresh():
        return Learner(
            encoder(), objective(), settings, measure=MEASURE, trainer={"accelerator": accelerator, "devices": 1}
        )

    learner = fresh()
    for t, increment in enumerate(STREAM.increments[:2]):
        if t:
            state, learner = learner.state_dict(), fresh()
            learner.follow([i.observed for i in STREAM.increments[:t]])
            learner.load_state_dict(state)
        learner.extend(increment.observed)
        learner.fit(increment.observed.train)
        learner.absorb(increment.observed)
    return learner.state_dict()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("device", DEVICES)
def test_a_fit_ends_where_that_on_the_cpu_ends(kind, device):
    accelerator = {"cpu": "cpu", "cuda": "gpu"}[device]
    found, expected = fitted(kind, accelerator), fitted(kind, "cpu")
    assert all(x.device.type == "cpu" for x in found.values())
    assert found.keys() == expected.keys()
    for name, x in expected.items():
        assert torch.allclose(found[name].double(), x.double(), atol=2e-3, rtol=1e-3), name


@pytest.mark.parametrize("kind", ["lightgcn", "softmax", "mf"])
@pytest.mark.parametrize("device", DEVICES)
def test_no_step_waits_for_the_device(kind, device, monkeypatch):
    graph, (encoder, objective, _) = grown(monkeypatch).to(device), KINDS[kind]
    encoder, objective = encoder(), objective()
    encoder.grow(NewNodes.of(torch.randn(USERS, 8), torch.randn(ITEMS, 8)))
    objective.grow(random_events(300, 30, 20, 0), USERS, ITEMS)
    encoder, objective = encoder.to(device), objective.to(device)
    optimiser = torch.optim.Adam([*encoder.parameters(), *objective.parameters()], fused=True)
    rng = np.random.default_rng(0)
    user, item, negative = (torch.from_numpy(rng.integers(0, n, 16)) for n in (USERS, ITEMS, ITEMS))
    columns = user, item, torch.ones(16), torch.ones(16, dtype=torch.bool), negative, torch.arange(4)
    batch = Batch(*(column.to(device) for column in columns))

    def step():
        optimiser.zero_grad()
        objective(embedded(encoder, graph, objective, batch, Terms()), batch).backward()
        optimiser.step()

    step()  # the first makes the matrices
    if device == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    assert all(torch.isfinite(p).all() for p in encoder.parameters())
