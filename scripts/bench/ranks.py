"""One model over two processes: what each holds, what a step exchanges and takes, beside the same step of one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

if __name__ == "__main__":  # as a rank, begun by torchrun
    sys.path.insert(0, str(Path(__file__).parents[1]))

from torch.distributed.tensor.debug import CommDebugMode

from bench import worlds
from bench.timing import Line, alternate, ratio, seconds
from gnnrec.core import ranks as environment
from gnnrec.core.ranks import DIMENSION
from gnnrec.encoders.base import NewNodes
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.spread import whole
from gnnrec.objectives.base import Batch
from gnnrec.objectives.softmax import Softmax
from gnnrec.training import ranks
from gnnrec.training.module import RecommendationModule
from gnnrec.training.sampling import EpochBatches
from gnnrec.training.step import Terms

NAME = "ranks"
RANKS, WIDTH, BATCH = 2, 64, 2048
WIDTHS = (64, 32, 16, 8)


def run(quick: bool) -> Iterator[Line]:
    """Yield the lines of this benchmark."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(RANKS)]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        program = [str(Path(__file__)), str(out), "quick" if quick else "full"]
        subprocess.run([*torchrun, *program], check=True, capture_output=True, env=env)
        found = json.loads(out.read_text())
    gap = found["gap"]
    yield Line(
        NAME, "losses of five steps, two ranks beside one process", gap, "", target="≤ 1e-5", met=gap <= 1e-5, exact=True,
        note="largest difference from one process",
    )  # fmt: skip
    share = found["held"] / found["whole"]
    yield Line(
        NAME, "tables and Adam's moments a rank holds", share, "×", target="≤ 0.5×", met=share <= 0.5, exact=True,
        note=f"{found['held']:,} of {found['whole']:,} bytes",
    )  # fmt: skip
    middle, low, high = ratio(found["spread"], found["alone"])
    note = f"one process {1e3 * float(np.median(found['alone'])):.0f} ms; {found['exchanges']} exchanges over gloo"
    yield Line(NAME, "a step of two ranks beside one of one process", middle, "×", low, high, note=note)
    for width, took in zip(WIDTHS, found["passes"], strict=True):
        each = 1e9 * took / (2 * found["edges"] * width)
        yield Line(NAME, f"a pass, by directed edge and column, {width} columns", each, "ns", note="one thread")


def _module(log: worlds.Log) -> RecommendationModule:
    graph = BipartiteGraph.empty().extend(log.train, log.num_users, log.num_items)
    encoder, objective = LightGCN(WIDTH, 3), Softmax()
    encoder.grow(NewNodes.of(*worlds.tables(log.num_users, log.num_items, WIDTH)))
    objective.grow(log.train, log.num_users, log.num_items)
    return RecommendationModule(encoder, objective, graph, 0.01, Terms())


class Steps:
    """Steps of one module, one after the other."""

    def __init__(self, module: RecommendationModule, batches: Sequence[Batch]) -> None:
        self.module, self.batches, self.at = module, batches, 0
        self.optimiser: Any = module.configure_optimizers()
        module.trained = module.trained_rows()

    def __call__(self) -> torch.Tensor:
        """Take one, and return its loss."""
        self.optimiser.zero_grad()
        loss = self.module.training_step(self.batches[self.at % len(self.batches)], 0)
        loss.backward()
        self.optimiser.step()
        self.at += 1
        return loss

    @property
    def held(self) -> int:
        """Bytes of tables and of Adam's moments of them that this process holds."""
        tables = list(self.module.encoder.tables().values())
        kept = [t for p in tables for t in (p, *self.optimiser.state[p].values()) if t.dim() == 2]
        return sum(getattr(t, "_local_tensor", t).nbytes for t in kept)


def as_rank(out: Path, quick: bool) -> None:
    """Measure as one of the ranks; rank 0 writes what was found."""
    torch.set_num_threads(1)
    log = worlds.drawn(2000, 1500, 40_000, 0) if quick else worlds.gowalla()
    mesh = ranks.mesh_of({"strategy": DIMENSION, "devices": RANKS})
    assert mesh is not None
    with ranks.alike_elsewhere(mesh):
        alone, spread = _module(log), _module(log)
        spread.spread(mesh)
        batches = list(EpochBatches(log.train, alone.graph, BATCH, None, 0, alone.objective.negatives))
        one, two = Steps(alone, batches), Steps(spread, batches)
        gap = max(abs(float(one()) - float(whole(two()))) for _ in range(5))
        times = alternate({"alone": one, "spread": two}, rounds=3 if quick else 15)
        with CommDebugMode() as exchanged:
            two()
    found = {**times, "gap": gap, "whole": one.held, "held": two.held, "edges": alone.graph.num_edges}
    found["exchanges"] = sum(exchanged.get_comm_counts().values())
    found["passes"] = [_pass(alone.graph, log, width, 3 if quick else 15) for width in WIDTHS]
    if environment.number() == 0:
        out.write_text(json.dumps(found))


def _pass(graph: BipartiteGraph, log: worlds.Log, width: int, rounds: int) -> float:
    """Return the seconds of a pass of messages over so many columns, both ways."""
    user, item = worlds.tables(log.num_users, log.num_items, width)
    graph.propagate(user, item)
    return float(np.median([seconds(lambda: graph.propagate(user, item)) for _ in range(rounds)]))


if __name__ == "__main__":
    as_rank(Path(sys.argv[1]), sys.argv[2] == "quick")
    torch.distributed.barrier()
    os._exit(0)  # torch may abort as it takes its groups apart
