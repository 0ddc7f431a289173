"""Does a step of fine-tuning cost what the increment costs, or what the history costs?

Twice: with nodes growing beside their edges, as where users come and go, and on the same nodes, whose neighbourhoods then
hold ten times as many edges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle

import numpy as np
import torch

from bench import worlds
from bench.extend import grown, some_events
from bench.timing import Line, Work, absolute, alternate, at_most, seconds
from gnnrec.data.types import Interactions
from gnnrec.encoders.base import Encoder, NewNodes
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.encoders.partial import Touched
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.objectives.bpr import BPR
from gnnrec.training.sampling import EpochBatches

NAME, NEW, WIDTH, LAYERS, BATCH = "history", 10_000, 32, 3, 2048
ROWS: dict[str, Callable[[Encoder, BipartiteGraph, Interactions], Encoder | Touched]] = {
    "fit.rows=touched": lambda encoder, graph, new: _touched(encoder, graph, new),
    "fit.rows=all": lambda encoder, graph, new: encoder,
}


def run(quick: bool) -> Iterator[Line]:
    """Yield the lines of this benchmark."""
    sizes = (50_000, 500_000) if quick else (1_000_000, 10_000_000)
    yield from _pair(sizes, None, "nodes grow too", quick)
    yield from _pair(sizes, sizes[1] // 40, "the same nodes", quick)


def _pair(sizes: tuple[int, int], fixed: int | None, how: str, quick: bool) -> Iterator[Line]:
    """Yield the lines of two histories: of as many users and as many items as `fixed` says; None: growing with the edges."""
    begun = {edges: dict(_begun(edges, fixed)) for edges in sizes}
    for rows, target in (("fit.rows=touched", 1.3), ("fit.rows=all", None)):
        works: dict[str, Work] = {str(edges): begun[edges][rows][0] for edges in sizes}
        few = quick or target is None
        times = alternate(works, rounds=3 if few else 9, repeat=dict.fromkeys(works, 2 if few else 20))
        for edges in sizes:
            yield absolute(NAME, f"step after {edges:,} edges, {how}, {rows}", times[str(edges)], begun[edges][rows][1])
        small, large = times.values()
        what = f"step with ten times the history, {how}, {rows}"
        yield at_most(NAME, what, large, small, target)


def _begun(edges: int, fixed: int | None) -> Iterator[tuple[str, tuple[Work, str]]]:
    """Yield what trains which rows after a history of `edges`: a step of it, and what it rests on."""
    graph, nodes = grown(edges, fixed)
    new = some_events(np.random.default_rng(1), nodes, NEW)
    graph = graph.extend(new, nodes, nodes)
    encoder = LightGCN(WIDTH, LAYERS)
    encoder.grow(NewNodes.of(*worlds.tables(nodes, nodes, WIDTH)))
    index = seconds(lambda: _propagated(encoder, graph))
    serve = seconds(lambda: _propagated(encoder, graph))
    for rows, make in ROWS.items():
        trained: list[Encoder | Touched] = []
        start = seconds(lambda m=make, t=trained: t.append(m(encoder, graph, new)))
        inner = f"{_inner(trained[0], graph):,} edges within what is trained"
        once = f"once: {start:.2f} s to begin, {serve:.2f} s to serve, {index:.2f} s index"
        note = f"{NEW:,} new events, d={WIDTH}, {2 * nodes:,} nodes, {inner}; {once}"
        yield rows, (_step(trained[0], graph, new), note)


def _inner(trained: Encoder | Touched, graph: BipartiteGraph) -> int:
    return trained.within.num_edges if isinstance(trained, Touched) else graph.num_edges


def _touched(encoder: Encoder, graph: BipartiteGraph, new: Interactions) -> Touched:
    made = encoder.touched(graph, *(torch.from_numpy(np.unique(c)) for c in (new.user, new.item)))
    assert made is not None
    return made


@torch.no_grad()
def _propagated(encoder: Encoder, graph: BipartiteGraph) -> None:
    encoder(graph)


def _step(trained: Encoder | Touched, graph: BipartiteGraph, new: Interactions) -> Work:
    """Return what takes a step, its batch drawn beforehand."""
    objective, optimiser = BPR(), torch.optim.Adam(trained.parameters(), lr=0.01, fused=True)
    batches = cycle(list(EpochBatches(new, graph, BATCH, None, 0)))

    def step() -> None:
        batch = next(batches)
        optimiser.zero_grad()
        objective(trained.rows(graph, *objective.nodes(batch)), batch).backward()
        optimiser.step()

    return step
