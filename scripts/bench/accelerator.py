"""The training step and the ranking on a GPU: absolute times, ratios to the peers and to what its memory can copy."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import torch

from bench import peers, worlds
from bench.ranking import works
from bench.step import BATCH, LAYERS, WIDTH, compulsory
from bench.timing import Line, Work, absolute, alternate, copy_bandwidth, ratio, seconds
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.objectives.base import Batch

NAME, K, USERS = "accelerator", 20, 4096
CALLS = 20
"""Steps that are timed together: one is over before the clock is read."""
COMPARED = ["strategies=[fine_tune,full_retrain]", "seeds=[0]", "threads=1", "logger=none", "figures=false"]
QUICK = [
    *("data=simulated", "data.users=60", "data.items=40", "data.events=900", "stream.increments=3", "encoder.width=4"),
    *("fit.max_epochs=1", "fit.base.max_epochs=1"),
]
"""What a whole comparison is made of, and a world of seconds for it."""


def run(quick: bool) -> Iterator[Line]:
    """Yield the lines of this benchmark."""
    if not torch.cuda.is_available():
        yield Line(NAME, "step on a GPU", None, "ms", note="this machine has no GPU that torch can use")
        return
    torch.manual_seed(0)
    log = worlds.drawn(1_000, 2_000, 20_000, 0) if quick else worlds.gowalla()
    graph = BipartiteGraph.empty().extend(log.train, log.num_users, log.num_items)
    rng = np.random.default_rng(0)
    batches = [peers.on(peers.batch_of(log.train, log.num_items, BATCH, rng), "cuda") for _ in range(CALLS)]
    ours, authors, pyg = (kind(graph, WIDTH, LAYERS) for kind in (peers.Ours, peers.Authors, peers.Pyg))
    yield _same(ours, batches[0])
    steps = {
        "gnnrec": _steps(ours.to("cuda").loss, ours.encoder.parameters(), batches, fused=True),
        "authors": _steps(authors.to("cuda").loss, authors.parameters(), batches, fused=False),
        "pyg": _steps(pyg.to("cuda").loss, pyg.model.parameters(), batches, fused=False),
    }
    yield _waits(steps["gnnrec"])
    times = {name: [t / CALLS for t in found] for name, found in alternate(steps, rounds=5).items()}
    where = f"{log.name}, d={WIDTH}, {LAYERS} layers, batch {BATCH}, {torch.cuda.get_device_name()}"
    yield absolute(NAME, "step, gnnrec", times["gnnrec"], where)
    yield absolute(NAME, "step, authors' way (COO, autograd, Adam as it comes)", times["authors"])
    yield absolute(NAME, "step, PyG LightGCN on its edge_index", times["pyg"])
    for name, peer in (("authors", "authors' step"), ("pyg", "PyG's step")):
        yield Line(NAME, f"{peer} / gnnrec's", *_spread(ratio(times[name], times["gnnrec"])))
    total = compulsory(graph, LAYERS)
    floor = total / copy_bandwidth("cuda")
    note = f"{total / 1e6:.0f} MB compulsory traffic at copy bandwidth: {1e3 * floor:.3f} ms"
    yield Line(NAME, "step / bandwidth floor", float(np.median(times["gnnrec"])) / floor, "×", note=note)
    yield from _ranking(log, graph)
    yield from whole("gpu", quick)


def _spread(found: tuple[float, float, float]) -> tuple[float, str, float, float]:
    return found[0], "×", found[1], found[2]


def _steps(
    loss: Callable[[Batch], torch.Tensor], parameters: Iterator[torch.nn.Parameter], batches: list[Batch], fused: bool
) -> Work:
    optimiser = torch.optim.Adam(parameters, lr=1e-3, fused=fused or None)

    def steps() -> None:
        for batch in batches:
            optimiser.zero_grad()
            loss(batch).backward()
            optimiser.step()

    return steps


def _same(ours: peers.Ours, batch: Batch) -> Line:
    """Gradients on the GPU against those on the CPU, from the same weights; leaves the model on the CPU."""
    found = []
    for device in ("cpu", "cuda"):
        ours.to(device)
        tables = ours.encoder.user.weight, ours.encoder.item.weight
        grads = torch.autograd.grad(ours.loss(peers.on(batch, device)), tables)
        found.append(torch.cat(grads).cpu().double())
    ours.to("cpu")
    value = float((found[1] - found[0]).norm() / found[0].norm())
    what = "gradients: relative difference to the CPU's"
    return Line(NAME, what, value, "", target="≤ 1e-5", met=value <= 1e-5, exact=True)


def _waits(steps: Work) -> Line:
    """Whether a step asks the device for an answer: torch raises where one does."""
    steps()
    torch.cuda.set_sync_debug_mode("error")
    try:
        steps()
        waits = 0.0
    except RuntimeError:
        waits = 1.0
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return Line(NAME, "steps that wait for the device", waits, "", target="0", met=not waits, exact=True)


def _ranking(log: worlds.Log, graph: BipartiteGraph) -> Iterator[Line]:
    times = alternate(works(log, graph, min(USERS, log.num_users), K, "cuda"), rounds=5)
    note = f"{USERS:,} users × {log.num_items:,} items; lists come back to the host, where seen items are looked up"
    yield absolute(NAME, f"top {K} of every item, gnnrec", times["gnnrec"], note)
    yield absolute(NAME, "bare product and top-k", times["bare"])
    yield Line(NAME, "gnnrec / bare", *_spread(ratio(times["gnnrec"], times["bare"])))


def whole(accelerator: str, quick: bool) -> Iterator[Line]:
    """Yield the seconds of a whole `gnnrec compare` on an accelerator and on the CPU, and how far its recall is from there."""
    asked = QUICK if quick else [f"experiment={'gowalla_ccd' if worlds.has_data() else 'simulated'}"]
    with tempfile.TemporaryDirectory() as folder:
        took, tables = {}, {}
        for kind in (accelerator, "cpu"):
            output = Path(folder) / str(len(took))
            more = [f"trainer.accelerator={kind}", f"output={output}", *COMPARED]
            command = [sys.executable, "-m", "gnnrec", "compare", *asked, *more]
            took[output] = seconds(lambda c=command: subprocess.run(c, check=True, capture_output=True))
            rows = pl.read_csv(output / "summary.csv").filter(pl.col("scorer") != "reference")
            tables[output] = rows.select("strategy", "scorer", value="recall@20_all")
    (fast, slow), (one, other) = took.values(), tables.values()
    both = one.join(other, on=["strategy", "scorer"], suffix="_cpu").drop_nulls()
    gap = float((both["value"] - both["value_cpu"]).abs().max())  # type: ignore[arg-type]
    yield Line(NAME, "a whole compare", fast, "s", note=f"{' '.join([*asked, *COMPARED])}; on the CPU {slow:.1f} s")
    yield Line(NAME, "its recall@20: largest difference of a row to the CPU's", gap, "", note=f"{len(both)} rows")
