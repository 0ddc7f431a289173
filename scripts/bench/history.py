"""Does a step of fine-tuning cost what the increment costs, or what the history costs?

Twice: with nodes growing beside their edges, as where users come and go, and on the same nodes, whose neighbourhoods then
hold ten times as many edges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from bench import worlds
from bench.extend import grown, some_events
from bench.timing import Line, absolute, bootstrap, seconds
from gnnrec.data.types import Interactions
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.models.encoders import Encoder
from gnnrec.models.lightgcn import LightGCN
from gnnrec.models.objectives import BPR, Batch
from gnnrec.models.touched import Touched
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
    times: dict[tuple[str, int], list[float]] = {}
    for edges in sizes:
        graph, nodes = grown(edges, fixed)
        new = some_events(np.random.default_rng(1), nodes, NEW)
        graph = graph.extend(new, nodes, nodes)
        encoder = LightGCN(WIDTH, LAYERS)
        encoder.grow(*worlds.tables(nodes, nodes, WIDTH))
        index = seconds(lambda g=graph, e=encoder: _propagated(e, g))
        for rows, make in ROWS.items():
            begin = seconds(lambda g=graph, e=encoder: _propagated(e, g))
            trained: list[Encoder | Touched] = []
            start = seconds(lambda m=make, t=trained, e=encoder, g=graph, n=new: t.append(m(e, g, n)))
            times[rows, edges] = _steps(trained[0], graph, new, 20 if rows.endswith("touched") and not quick else 6)
            inner = f"{_inner(trained[0], graph):,} edges within what is trained"
            once = f"once: {start:.2f} s to begin, {begin:.2f} s to serve, {index:.2f} s index"
            note = f"{NEW:,} new events, d={WIDTH}, {2 * nodes:,} nodes, {inner}; {once}"
            yield absolute(NAME, f"step after {edges:,} edges, {how}, {rows}", times[rows, edges], note)
        del graph, encoder, trained
    for rows, target in (("fit.rows=touched", 1.3), ("fit.rows=all", None)):
        large, small = (times[rows, e] for e in reversed(sizes))
        what = f"step with ten times the history, {how}, {rows}"
        yield bootstrap(NAME, what, large, small, target)


def _inner(trained: Encoder | Touched, graph: BipartiteGraph) -> int:
    return trained.within.num_edges if isinstance(trained, Touched) else graph.num_edges


def _touched(encoder: Encoder, graph: BipartiteGraph, new: Interactions) -> Touched:
    made = encoder.touched(graph, *(torch.from_numpy(np.unique(c)) for c in (new.user, new.item)))
    assert made is not None
    return made


@torch.no_grad()
def _propagated(encoder: Encoder, graph: BipartiteGraph) -> None:
    encoder(graph)


def _steps(trained: Encoder | Touched, graph: BipartiteGraph, new: Interactions, count: int) -> list[float]:
    """Return seconds of each step, its batch drawn beforehand."""
    objective, optimiser = BPR(), torch.optim.Adam(trained.parameters(), lr=0.01, fused=True)
    batches = EpochBatches(new, graph, BATCH, None, 0)
    drawn_batches = [batch for _ in range(-(-count // len(batches)) + 1) for batch in batches]

    def step(batch: Batch) -> None:
        optimiser.zero_grad()
        objective(trained.rows(graph, *objective.nodes(batch)), batch).backward()
        optimiser.step()

    step(drawn_batches[0])
    return [seconds(lambda b=batch: step(b)) for batch in drawn_batches[1 : count + 1]]
