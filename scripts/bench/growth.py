"""Do seconds and memory grow with the edges, and no faster? Each size runs in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import OptimizeWarning, curve_fit

from bench.timing import Line

NAME = "growth"
Found = dict[str, float | None]
PROBE = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
import torch
from bench import extend
from gnnrec.core import allocator
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.keys import edge_key
edges, nodes, threads = int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
allocator.retain_large_blocks(); torch.set_num_threads(threads)
import numpy as np
rng = np.random.default_rng(0)
out = {}
events = [extend.some_events(rng, nodes, edges // 20) for _ in range(20)]
keys = np.concatenate([edge_key(part.user, part.item) for part in events])
begin = time.perf_counter()
keys.sort()
out["sort"] = time.perf_counter() - begin
del keys
allocator.reset_peak()
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
def passes():
    begin = time.perf_counter()
    graph.propagate(user, item, 3)
    return time.perf_counter() - begin
# Most of its time on few edges is the system's, clearing pages for tables of all nodes, and that varies.
out["propagate"] = sorted(passes() for _ in range(5))[2]
out["whole"] = out["build"] + out["index"] + out["propagate"]
out["edges"], out["peak"] = graph.num_edges, allocator.peak()
print(json.dumps(out))
"""


def run(quick: bool) -> Iterator[Line]:
    """Yield the lines of this benchmark."""
    sizes = (100_000, 300_000, 1_000_000) if quick else (1_000_000, 3_000_000, 10_000_000, 30_000_000, 100_000_000)
    nodes = 50_000 if quick else 2_500_000
    found = []
    for size in sizes:
        found.append(_probe(size, nodes))
        one = found[-1]
        note = (
            f"build {one['build']:.2f} s, index and first pass {one['index']:.2f} s, 3 passes {one['propagate']:.2f} s"
        )
        yield Line(NAME, f"{one['edges']:,.0f} edges, peak memory", _gib(one), "GiB", note=note)
    for what in ("build", "index", "propagate", "whole", "peak"):
        yield _exponent(what, found, 1.05)
    yield _exponent("sort", found, None)
    peak = _gib(found[-1])
    note = f"{2 * nodes:,} nodes, d=32, in 20 increments"
    met = None if peak is None else peak <= 20
    yield Line(NAME, "peak at the largest size", peak, "GiB", target="≤ 20 GiB", met=met, note=note)


def _probe(size: int, nodes: int) -> Found:
    """Return seconds and peak of one size, measured in a process of its own."""
    sizes = (str(size), str(nodes), str(torch.get_num_threads()))
    command = [sys.executable, "-c", PROBE, str(Path(__file__).parents[1]), *sizes]
    found: Found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


def _exponent(what: str, found: list[Found], target: float | None) -> Line:
    """Fit seconds or bytes = fixed + b · edges^x, errors relative: what the nodes cost is the same at every size."""
    title = f"exponent of {what}"
    if any(f[what] is None for f in found):
        return Line(NAME, title, None, "", note="this system does not tell the peak of a process")
    edges, values = (np.array([f[key] for f in found], float) for key in ("edges", what))
    fixed, found_x = _fitted(edges, values)
    unit = "GiB" if what == "peak" else "s"
    first, last, fixed = (x / 2**30 if what == "peak" else x for x in (values[0], values[-1], fixed))
    note = f"{first:.3f} {unit} to {last:.2f} {unit}, of which fixed {fixed:.3f} {unit}"
    if target is None:
        note += "; sorting the keys once, which building cannot do without"
        return Line(NAME, title, found_x, "", note=note)
    return Line(NAME, title, found_x, "", target=f"≤ {target:g}", met=found_x <= target, note=note)


def _gib(found: Found) -> float | None:
    peak = found["peak"]
    return None if peak is None else peak / 2**30


def _fitted(edges: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Return what is fixed and the exponent."""
    scaled = edges / edges[0]

    def law(e: np.ndarray, fixed: float, part: float, x: float) -> np.ndarray:
        return np.log(np.exp(fixed) + np.exp(part) * e**x)

    begin = (np.log(values[0] / 2), np.log(values[-1] / scaled[-1]), 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)  # where nothing is fixed, its logarithm has no bound
        (fixed, _, x), _ = curve_fit(law, scaled, np.log(values), begin, maxfev=20_000)
    return float(np.exp(fixed)), float(x)
