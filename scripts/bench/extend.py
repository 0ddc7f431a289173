"""Does absorbing 10,000 edges cost what they cost, or what the graph costs?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench import worlds
from bench.timing import Line, bootstrap, seconds
from gnnrec.data.types import Interactions
from gnnrec.graph.bipartite import MERGE_RATIO, BipartiteGraph
from gnnrec.graph.segment import Segment

NAME, NEW, WARM = "extend", 10_000, 3
EDGES_PER_NODE = 20


def run(quick: bool) -> Iterator[Line]:
    """Yield the lines of this benchmark."""
    sizes = (100_000, 1_000_000) if quick else (1_000_000, 100_000_000)
    rounds = 20 if quick else 60
    graphs, nodes, streams = {}, {}, {}
    for edges in sizes:
        graphs[edges], nodes[edges] = grown(edges)
        streams[edges] = increments(rounds + WARM, nodes[edges], seed=1)
    times: dict[int, list[float]] = {edges: [] for edges in sizes}
    for n in range(rounds + WARM):
        for edges in sizes if n % 2 == 0 else sizes[::-1]:
            begun, fresh, count = graphs[edges], next(streams[edges]), nodes[edges]
            made: list[BipartiteGraph] = []
            times[edges].append(seconds(lambda g=begun, f=fresh, c=count, m=made: m.append(g.extend(f, c, c))))
            graphs[edges] = made[0]
    times = {edges: found[WARM:] for edges, found in times.items()}
    for edges in sizes:
        yield from _lines(edges, graphs[edges], nodes[edges], times[edges])
    small, large = (times[e] for e in sizes)
    yield bootstrap(NAME, f"median at {sizes[1]:,} / median at {sizes[0]:,}", large, small, 1.5)
    yield Line(NAME, "mean / mean", float(np.mean(large) / np.mean(small)), "×")


def _lines(edges: int, graph: BipartiteGraph, nodes: int, times: list[float]) -> Iterator[Line]:
    """Yield the absolute times of one size."""
    largest = graph.segments[0]
    middle, mean = 1e3 * float(np.median(times)), 1e3 * float(np.mean(times))
    grown_by = f"{2 * nodes:,} nodes, {len(times)} increments, {len(graph.segments)} segments"
    note = f"{grown_by}; index and values come with the next propagation"
    yield Line(NAME, f"extend by {NEW:,} edges at {edges:,}, median", middle, "ms", note=note)
    yield Line(NAME, f"extend by {NEW:,} edges at {edges:,}, mean with merges", mean, "ms")
    every, merge = largest.num_edges // MERGE_RATIO // NEW, seconds(lambda: _merge(largest))
    note = f"{merge:.2f} s, merged with a quarter of its size and filtered, every {every:,} increments"
    yield Line(NAME, f"merges of the largest segment at {edges:,}, per increment", 1e3 * merge / every, "ms", note=note)


def _merge(segment: Segment) -> None:
    """Merge a segment with one of a quarter of its size and make the filter, as a long stream does again and again."""
    other = Segment(segment.keys[::MERGE_RATIO] | (1 << 31))  # the same users, items that are not there
    segment.union(other).has(segment.keys[:1])


def grown(edges: int, nodes: int | None = None) -> tuple[BipartiteGraph, int]:
    """Return a power-law graph, made in pieces of bounded memory, and its number of users and of items.

    Args:
        edges: of the graph.
        nodes: users, and as many items; None: a user and an item for every `2 · EDGES_PER_NODE` edges.
    """
    nodes = nodes or max(edges // EDGES_PER_NODE // 2, 1000)
    rng = np.random.default_rng(0)
    graph, piece = BipartiteGraph.empty(), 5_000_000
    while graph.num_edges < edges:
        size = min(piece, edges - graph.num_edges)
        graph = graph.extend(some_events(rng, nodes, size), nodes, nodes)
    return graph, nodes


def increments(count: int, nodes: int, seed: int) -> Iterator[Interactions]:
    """Yield increments of `NEW` drawn events."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield some_events(rng, nodes, NEW)


def some_events(rng: np.random.Generator, nodes: int, size: int) -> Interactions:
    """Return events of power-law users and items."""
    return worlds.events(worlds.power(rng, nodes, size), worlds.power(rng, nodes, size))
