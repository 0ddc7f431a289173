"""How long is one training step, against the authors' way and PyG's, on the same graph and batch?"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from bench import large, peers, worlds
from bench.timing import Line, absolute, alternate, at_least, copy_bandwidth
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.training.sampling import EpochBatches

WIDTH, LAYERS, BATCH = 64, 3, 2048
NAME = "step"
ASKED = 3
"""Times the floor that a step may take."""


def run(quick: bool) -> Iterator[Line]:
    """Yield the lines of this benchmark."""
    torch.manual_seed(0)
    log = worlds.drawn(1_000, 2_000, 20_000, 0) if quick else worlds.gowalla()
    graph = BipartiteGraph.empty().extend(log.train, log.num_users, log.num_items)
    ours, authors, pyg = (kind(graph, WIDTH, LAYERS) for kind in (peers.Ours, peers.Authors, peers.Pyg))
    yield from _same(ours, authors, log)
    rng = np.random.default_rng(0)
    steps = {
        "gnnrec": _step(ours.loss, ours.encoder.parameters(), log, rng, fused=True),
        "authors": _step(authors.loss, authors.parameters(), log, rng, fused=False),
        "pyg": _step(pyg.loss, pyg.model.parameters(), log, rng, fused=False),
    }
    times = alternate(steps, rounds=3 if quick else 9, repeat={"gnnrec": 4, "authors": 2})
    where = f"{log.name}, d={WIDTH}, {LAYERS} layers, batch {BATCH}, {torch.get_num_threads()} threads"
    yield absolute(NAME, "step, gnnrec", times["gnnrec"], where)
    yield absolute(NAME, "step, authors' way (COO, autograd, Adam as it comes)", times["authors"])
    yield absolute(NAME, "step, PyG LightGCN on its edge_index", times["pyg"])
    yield at_least(NAME, "authors' step / gnnrec's", times["authors"], times["gnnrec"], 7)
    yield at_least(NAME, "PyG's step / gnnrec's", times["pyg"], times["gnnrec"], 25)
    yield _sampling(log, graph, float(np.median(times["gnnrec"])))
    yield _floor(graph, float(np.median(times["gnnrec"])))
    yield from large.lines(NAME, log, graph, WIDTH, LAYERS, float(np.median(times["authors"])))


def _step(
    loss: Callable[[peers.Batch], torch.Tensor],
    parameters: Iterator[torch.nn.Parameter],
    log: worlds.Log,
    rng: np.random.Generator,
    fused: bool,
) -> Callable[[], None]:
    optimiser = torch.optim.Adam(parameters, lr=1e-3, fused=fused or None)

    def step() -> None:
        batch = peers.batch_of(log.train, log.num_items, BATCH, rng)
        optimiser.zero_grad()
        loss(batch).backward()
        optimiser.step()

    return step


def _same(ours: peers.Ours, authors: peers.Authors, log: worlds.Log) -> Iterator[Line]:
    """Loss and gradients from the same weights on the same batch."""
    with torch.no_grad():
        authors.user.copy_(ours.encoder.user.weight)
        authors.item.copy_(ours.encoder.item.weight)
    batch = peers.batch_of(log.train, log.num_items, BATCH, np.random.default_rng(1))
    losses, grads = [], []
    for loss, tables in (
        (ours.loss, (ours.encoder.user.weight, ours.encoder.item.weight)),
        (authors.loss, (authors.user, authors.item)),
    ):
        value = loss(batch)
        losses.append(float(value.detach()))
        grads.append(torch.cat(torch.autograd.grad(value, tables)))
    yield _difference("loss", abs(losses[0] - losses[1]) / abs(losses[1]))
    yield _difference("gradients", float((grads[0] - grads[1]).norm() / grads[1].norm()))


def _difference(what: str, value: float) -> Line:
    what += ": relative difference to the authors' way"
    return Line(NAME, what, value, "", target="≤ 1e-5", met=value <= 1e-5, exact=True)


def _sampling(log: worlds.Log, graph: BipartiteGraph, step: float) -> Line:
    batches = EpochBatches(log.train, graph, BATCH, None, 0)
    times = alternate({"epoch": lambda: sum(len(b.user) for b in batches)}, rounds=3)["epoch"]
    share = float(np.median(times)) / len(batches) / step * 100
    note = "order, negatives and tensors of an epoch, per step"
    return Line(NAME, "sampling, share of a step", share, "%", target="< 5 %", met=share < 5, note=note)


def _floor(graph: BipartiteGraph, step: float) -> Line:
    total = compulsory(graph, LAYERS - 1)
    floor = total / copy_bandwidth()
    note = f"{total / 1e6:.0f} MB compulsory traffic (matrices, tables, Adam) at copy bandwidth: {1e3 * floor:.1f} ms"
    return Line(
        NAME, "step / bandwidth floor", step / floor, "×", target=f"≤ {ASKED}×", met=step <= ASKED * floor, note=note
    )


def compulsory(graph: BipartiteGraph, passes: int) -> int:
    """Return the bytes that must move at least once per step: the passes over the whole graph both ways, the tables they
    read and write, Adam.
    """
    table = 4 * WIDTH * (graph.num_users + graph.num_items)
    one_pass = 2 * graph.num_edges * 8 + 3 * table
    adam = 7 * table
    return 2 * passes * one_pass + adam
