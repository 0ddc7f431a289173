"""Do seconds and memory grow with the edges, and no faster? Each size runs in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.timing import Line

NAME = "growth"
PROBE = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
import torch
from bench import extend
from gnnrec import memory
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.segment import edge_key
edges, nodes, threads = int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
memory.retain_large_blocks(); torch.set_num_threads(threads)
import numpy as np
rng = np.random.default_rng(0)
out = {}
events = [extend.drawn(rng, nodes, min(5_000_000, edges)) for _ in range(max(edges // 5_000_000, 1))]
keys = np.concatenate([edge_key(part.user, part.item) for part in events])
begin = time.perf_counter()
keys.sort()
out["sort"] = time.perf_counter() - begin
del keys
memory.reset_peak()
begin = time.perf_counter()
graph = BipartiteGraph.empty()
for part in events:
    graph = graph.extend(part, nodes, nodes)
out["build"] = time.perf_counter() - begin
del events, part
torch.manual_seed(0)
user, item = torch.randn(nodes, 32), torch.randn(nodes, 32)
begin = time.perf_counter()
graph.propagate(user, item)
out["index"] = time.perf_counter() - begin
begin = time.perf_counter()
user, item = graph.propagate(user, item, 3)
out["propagate"] = time.perf_counter() - begin
out["whole"] = out["build"] + out["index"] + out["propagate"]
out["edges"], out["peak"] = graph.num_edges, memory.peak()
print(json.dumps(out))
"""


def run(quick: bool) -> Iterator[Line]:
    """Yield the lines of this benchmark."""
    import torch

    sizes = (100_000, 300_000, 1_000_000) if quick else (1_000_000, 3_000_000, 10_000_000, 30_000_000, 100_000_000)
    nodes = 50_000 if quick else 2_500_000
    found = []
    for size in sizes:
        command = [
            sys.executable,
            "-c",
            PROBE,
            str(Path(__file__).parents[1]),
            str(size),
            str(nodes),
            str(torch.get_num_threads()),
        ]
        found.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
        one = found[-1]
        note = (
            f"build {one['build']:.2f} s, index and first pass {one['index']:.2f} s, 3 passes {one['propagate']:.2f} s"
        )
        yield Line(NAME, f"{one['edges']:,} edges, peak memory", one["peak"] / 2**30, "GiB", note=note)
    edges = np.array([f["edges"] for f in found], float)
    for what in ("build", "index", "propagate", "whole", "peak"):
        values = np.array([f[what] for f in found])
        whole = _slope(edges, values)
        # What the nodes cost is the same at every size; above the smallest, only edges are added.
        above = _slope(edges[1:] - edges[0], np.maximum(values[1:] - values[0], 1e-9))
        note = f"of all, fixed costs included: {whole:.2f}"
        yield Line(NAME, f"exponent of {what} in added edges", above, "", target="≤ 1.05", met=above <= 1.05, note=note)
    sort = _slope(edges, np.array([f["sort"] for f in found]))
    note = f"{found[0]['sort']:.3f} s to {found[-1]['sort']:.2f} s; what building cannot do without"
    yield Line(NAME, "exponent of sorting the keys once", sort, "", note=note)
    peak = found[-1]["peak"] / 2**30
    yield Line(
        NAME,
        "peak at the largest size",
        peak,
        "GiB",
        target="≤ 20 GiB",
        met=peak <= 20,
        note=f"{2 * nodes:,} nodes, d=32",
    )


def _slope(edges: np.ndarray, values: np.ndarray) -> float:
    return float(np.polyfit(np.log(edges), np.log(values), 1)[0])
