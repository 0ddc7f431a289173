"""What an update costs: seconds until the model could serve, work done, bytes kept, rows served anew, lists that change.

Letters: n users, K = 20.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from gnnrec.core import allocator, energy
from gnnrec.core.seeds import generator
from gnnrec.data.types import Ints
from gnnrec.encoders.tables import Embeddings
from gnnrec.evaluation.evaluate import MetricRow, Settings
from gnnrec.evaluation.lists import Asked, Lists, best
from gnnrec.evaluation.ranking import steady_order
from gnnrec.evaluation.world import World
from gnnrec.learner import Learner
from gnnrec.scorers.model import Scorer
from gnnrec.training.fitter import FitLog
from gnnrec.training.ranks import agreed, summed

REWRITTEN = 1e-3
"""A row of the read-out has to be served anew if it moved by more than this share of its norm."""
USERS = 1000
"""Most users whose lists are compared, drawn by a seed of the increment: the same for every row of a table."""
SHOWN = 20
"""Length of the lists."""
TIMED = tuple(
    f"{of}{metric}" for of in ("", "base_") for metric in ("seconds", "peak_memory", "core_seconds", "energy_joules")
)
"""Metrics of split cost that differ between two equal runs."""


def timed(learner: Learner, work: Callable[[], None]) -> dict[str, float]:
    """Return what `work` took: seconds, epochs, steps, triplets, edges touched, peak memory and energy where the system tells.

    What only a blend needs is no part of these; it is in `learner.cost`, for `charged`. But core-seconds and joules are of all
    that the process, of joules all that the machine, did meanwhile.
    """
    learner.cost.clear()  # and stays the one that forks of earlier increments count into
    learner.log, learner.valid_rows, tells = FitLog(), {}, allocator.reset_peak()
    meter, cores = energy.Meter(), time.process_time()
    begin = time.perf_counter()
    try:
        work()
        took = time.perf_counter() - begin
    finally:  # its thread ends
        joules = meter.joules()
    # What a kill cut off was paid for too; valid metrics that no choice rests on are no part of an update.
    cost, earlier = learner.cost, learner.log.earlier
    cost.blend = agreed(cost.blend)  # policies decide by seconds
    seconds = agreed(took + earlier.seconds - cost.reporting - cost.blend)
    peak = allocator.peak() if tells else None
    spent = {
        "seconds": seconds,
        "epochs": float(cost.epochs),
        "steps": float(cost.steps),
        "triplets": float(cost.triplets),
        "edges_touched": float(cost.edges + earlier.edges),
        "core_seconds": summed(time.process_time() - cores),
    }
    told = {"peak_memory": peak, "energy_joules": joules}
    return {**spent, **{metric: value for metric, value in told.items() if value is not None}}


def charged(spent: dict[str, float], learner: Learner, scorer: str) -> list[MetricRow]:
    """Return what a row of the table pays: every row for the update, the blend's for its choice and co-occurrence too."""
    if scorer == "blend":
        cost = learner.cost
        own = {
            "seconds": cost.blend,
            "edges_touched": float(cost.edges_of["blend"]),
            "bytes_kept": float(learner.blend_bytes),
        }
        spent = {metric: value + own.get(metric, 0.0) for metric, value in spent.items()}
    return rows(spent)


class ReadOut:
    """A copy of the read-out, to see how many of its rows an update rewrites.

    Args:
        z: the embeddings that serve before the update.
    """

    def __init__(self, z: Embeddings) -> None:
        self.tables = [x.detach().cpu().clone() for x in (z.user, z.item)]

    @property
    def nbytes(self) -> int:
        """Bytes of the copy, which are no part of what the update needs."""
        return sum(x.nbytes for x in self.tables)

    def rewritten(self, z: Embeddings) -> MetricRow:
        """Return the row of results that says how many rows of `z` are new or have moved, of how many."""
        tables = [x.detach().cpu() for x in (z.user, z.item)]
        moved = sum(_moved(*pair) for pair in zip(self.tables, tables, strict=True))
        return "all", "rows_rewritten", float(moved), sum(len(x) for x in tables)


def _moved(before: Tensor, after: Tensor) -> int:
    old = min(len(before), len(after))
    if before.shape[1] != after.shape[1]:
        return len(after)
    shift = torch.linalg.vector_norm(after[:old] - before[:old], dim=1)
    stays = shift <= REWRITTEN * torch.linalg.vector_norm(before[:old], dim=1)
    return len(after) - int(stays.sum())


class Shown:
    """What users are shown before an update, to see how much of it is shown no more behind it.

    The lists are those that would be served: of items that are known, under the mask of the settings: without what a user has
    had by then, or with it. So a row that lets nothing in has some churn too: what its users have had meanwhile.

    Args:
        scorers: what serves before the update, by the names of the rows; those that rank are compared.
        world: before the update.
        measure: masks and order of ties.
    """

    def __init__(self, scorers: Mapping[str, Scorer], world: World, measure: Settings) -> None:
        self.measure = replace(measure, topk=(SHOWN,))
        known = np.flatnonzero(world.seen.degree_user.numpy() > 0)
        drawn = generator(measure.seed, world.index, "churn").choice(known, min(USERS, len(known)), replace=False)
        self.user: Ints = np.sort(drawn)
        self.lists = self._lists(scorers, world)
        allocator.give_back()  # blocks of scores are no part of what the update needs

    def churn(self, scorers: Mapping[str, Scorer], world: World) -> dict[str, list[MetricRow]]:
        """Return by name 1 − the share of what was shown that still is, mean over users; nothing where there are no users."""
        found: dict[str, list[MetricRow]] = {}
        for name, after in self._lists(scorers, world).items():
            listed = (self.lists[name] >= 0).any(1)  # who has had everything was shown nothing
            value = lost(self.lists[name][listed], after[listed])
            found[name] = [("all", "churn", value, int(listed.sum()))] if listed.any() else []
        return found

    def _lists(self, scorers: Mapping[str, Scorer], world: World) -> Lists:
        ranking = {name: scorer for name, scorer in scorers.items() if scorer.scores is not None}
        return best(ranking, [Asked(self.user, world.num_items, world.seen)], self.measure, steady_order)[0]


def lost(before: Tensor, after: Tensor) -> float:
    """Return 1 − the mean share of each user's `before` that is in `after`: [n, K], −1 behind the end of a list, none empty."""
    listed = before >= 0
    kept = ((before.unsqueeze(2) == after.unsqueeze(1)).any(2) & listed).sum(1)
    return 1 - float((kept / listed.sum(1)).mean())


def rows(values: dict[str, float]) -> list[MetricRow]:
    """Return the values as rows of results."""
    return [("all", metric, value, 1) for metric, value in values.items()]
