"""How long until the command line answers, and what does an increment cost that has nothing to learn from?"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from bench import worlds
from bench.timing import Line, alternate
from gnnrec import experiment, state
from gnnrec.data.types import Interactions
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.models.lightgcn import LightGCN
from gnnrec.models.objectives import BPR
from gnnrec.training.fit import run_fit
from gnnrec.training.module import RecommendationModule
from gnnrec.training.sampling import EpochBatches
from gnnrec.training.settings import FitSettings

NAME = "start"


def run(quick: bool) -> Iterator[Line]:
    """Yield the lines of this benchmark."""
    command = [sys.executable, "-m", "gnnrec", "--help"]
    times = alternate({"help": lambda: subprocess.run(command, capture_output=True, check=True)}, rounds=5)["help"]
    found = float(np.median(times))
    yield Line(NAME, "gnnrec --help", found, "s", target="< 1 s", met=found < 1)
    found = float(np.median(alternate({"fit": _tiny_fit}, rounds=5)["fit"]))
    with tempfile.TemporaryDirectory() as folder:
        times = alternate({"save": lambda: _save(Path(folder))}, rounds=5)["save"]
    total = found + float(np.median(times))
    note = f"one step on 16 events: Trainer {1e3 * found:.0f} ms, state {1e3 * float(np.median(times)):.0f} ms"
    yield Line(
        NAME,
        "Trainer and state of an increment that teaches nothing",
        total,
        "s",
        target="< 0.3 s",
        met=total < 0.3,
        note=note,
    )


def _small() -> tuple[Interactions, BipartiteGraph, LightGCN]:
    log = worlds.drawn(20, 30, 16, 0)
    graph = BipartiteGraph.empty().extend(log.train, 20, 30)
    encoder = LightGCN(8, 2)
    encoder.grow(torch.randn(20, 8), torch.randn(30, 8))
    return log.train, graph, encoder


def _tiny_fit() -> None:
    events, graph, encoder = _small()
    module = RecommendationModule(encoder, BPR(), graph, 0.01, lambda z, batch: 0.0, lambda z: 1.0)
    settings = FitSettings(max_epochs=1)
    run_fit(module, EpochBatches(events, graph, 2048, None, 0), settings, {"accelerator": "cpu"}, 0)


def _save(folder: Path) -> None:
    _, _, encoder = _small()
    tables = experiment.Record(experiment.Name("x", "y", 0)).frames()
    state.save(folder, state.State(1, dict(encoder.state_dict()), {}, {}, tables), 2)
