"""How long until the command line answers, and what does an increment cost that has nothing to learn from?"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from bench import worlds
from bench.timing import Line, alternate
from gnnrec.config.compose import compose
from gnnrec.data.types import Interactions
from gnnrec.encoders.base import NewNodes
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.objectives.bpr import BPR
from gnnrec.runs import experiment, state
from gnnrec.training.fitter import run_fit
from gnnrec.training.loggers import Tracker
from gnnrec.training.module import RecommendationModule
from gnnrec.training.sampling import EpochBatches
from gnnrec.training.settings import FitSettings
from gnnrec.training.step import Terms

NAME = "start"
LOGGED = [f"{split}/model/{n}" for split in ("next", "cost") for n in range(8)]


def run(quick: bool) -> Iterator[Line]:
    """Yield the lines of this benchmark."""
    command = [sys.executable, "-m", "gnnrec", "--help"]
    times = alternate({"help": lambda: subprocess.run(command, capture_output=True, check=True)}, rounds=5)["help"]
    found = float(np.median(times))
    yield Line(NAME, "gnnrec --help", found, "s", target="< 1 s", met=found < 1)
    with tempfile.TemporaryDirectory() as folder, _tracker(Path(folder)) as tracker:
        works = {
            "Trainer": _tiny_fit,
            "state": lambda: _save(Path(folder)),
            "logging": lambda: tracker.log(dict.fromkeys(LOGGED, 0.5), 1),
        }
        parts = {name: float(np.median(times)) for name, times in alternate(works, rounds=5).items()}
    total = sum(parts.values())
    note = "one step on 16 events, W&B offline: " + ", ".join(f"{name} {1e3 * s:.1f} ms" for name, s in parts.items())
    what = "Trainer, logging and state of an increment that teaches nothing"
    yield Line(NAME, what, total, "s", target="< 0.3 s", met=total < 0.3, note=note)


def _tracker(folder: Path) -> AbstractContextManager[Tracker]:
    """Return the logger that is on by default."""
    return Tracker.open(compose(["experiment=simulated", "logger=wandb", f"output={folder}"]), NAME, folder)


def _small() -> tuple[Interactions, BipartiteGraph, LightGCN]:
    log = worlds.drawn(20, 30, 16, 0)
    graph = BipartiteGraph.empty().extend(log.train, 20, 30)
    encoder = LightGCN(8, 2)
    encoder.grow(NewNodes.of(*worlds.tables(20, 30, 8)))
    return log.train, graph, encoder


def _tiny_fit() -> None:
    events, graph, encoder = _small()
    module = RecommendationModule(encoder, BPR(), graph, 0.01, Terms(), lambda z: np.ones(1))
    settings = FitSettings(max_epochs=1)
    run_fit(module, EpochBatches(events, graph, 2048, None, 0), settings, {"accelerator": "cpu"}, 0)


def _save(folder: Path) -> None:
    _, _, encoder = _small()
    tables = experiment.Record(experiment.Name("x", "y", 0)).frames()
    state.save(folder, state.State(1, dict(encoder.state_dict()), {}, {}, tables), 2)
