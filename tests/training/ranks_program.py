"""A program of one's own for `torchrun`: plays strategies as one process and as ranks, and writes what differs.

`torchrun --nproc-per-node 2 ranks_program.py OUT STRATEGY,… KEY=VALUE…`
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import polars as pl
import torch

from gnnrec.config.compose import compose
from gnnrec.core import ranks as environment
from gnnrec.evaluation.record import Name
from gnnrec.runs import build
from gnnrec.runs.build import Config
from gnnrec.runs.experiment import Scenario, run, train_base

SMALL = [
    *("data=simulated", "data.users=60", "data.items=40", "data.events=900", "stream.increments=3", "encoder.width=6"),
    *("fit.batch_size=64", "fit.max_epochs=2", "fit.lr=0.05", "fit.base.lr=0.05", "fit.base.margin=0"),
    *("fit.base.max_epochs=3", "fit.base.batch_size=64", "logger=none", "evaluation.matrix=off", "threads=1"),
]
"""A model that learns within three epochs."""
RANKS = ["trainer=dimension_parallel"]


def play(config: Config, setting: Scenario) -> tuple[torch.Tensor, list[float]]:
    """Return the embeddings at the end, one after the other, and the metrics of every increment."""
    base = train_base(build.learner(config, setting), setting, Name("log", "base", 0))
    learner = build.learner(config, setting)
    record = run(learner, build.strategy(config), setting, Name("log", "row", 0), base)
    z = learner.embed()
    rows = record.frames()["results"].filter(pl.col("metric").is_in(["recall@20", "mse", "ndcg@20"]))
    return torch.cat([z.user.flatten(), z.item.flatten()]), rows["value"].to_list()


def main(out: Path, strategies: list[str], overrides: list[str]) -> None:
    """Write, by strategy, the largest difference of embeddings, their size, and the largest of metrics."""
    torch.set_num_threads(1)
    found = {}
    setting = build.scene(compose([*SMALL, *overrides])).setting
    for name in strategies:
        asked = [*SMALL, *overrides, f"strategy={name}"]
        alone, alone_values = play(compose(asked), setting)
        spread, values = play(compose([*asked, *RANKS]), setting)
        gap = max(abs(a - b) for a, b in zip(alone_values, values, strict=True))
        found[name] = [float((alone - spread).abs().max()), float(alone.abs().max()), gap]
    if environment.number() == 0:
        out.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3:])
    if environment.count() > 1:  # rank 0 writes before the others may end; torch may abort as it takes its groups apart
        torch.distributed.barrier()
        os._exit(0)
