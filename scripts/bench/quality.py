"""How long until the LightGCN encoder recommends nearly as well as it ever will, against the authors' schedule?

Both are scored on the test rows of a sample of users, all items ranked, train rows masked. Nothing is selected on them: the
curves are the measurement. gnnrec: the settings of ``experiment=gowalla_ccd``, spectral start, sampled softmax, large batches,
which were chosen on valid; and random rows in larger batches. Peer: normal rows of deviation .1, BPR,
batches of 2,048, learning rate 1e-3, 1,000 epochs (He et al., SIGIR 2020). Its loss and gradients equal those of gnnrec's BPR
(benchmark `step` checks that), so its curve is computed with the faster step and its seconds are steps × its measured seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from bench import peers, worlds
from bench.timing import Line, alternate, seconds
from gnnrec.data.types import Ints
from gnnrec.encoders.base import NewNodes
from gnnrec.encoders.initial import Random, Spectral
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.evaluation import metrics
from gnnrec.evaluation.ranking import hits, tie_order, top_items
from gnnrec.evaluation.settings import Relevant
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.objectives.base import Objective
from gnnrec.objectives.bpr import BPR
from gnnrec.objectives.softmax import Softmax
from gnnrec.training.sampling import EpochBatches

NAME, WIDTH, LAYERS, K = "quality", 64, 3, 20
SCHEDULE = 1000
"""Epochs that the authors train for."""
SHARE = 0.95
SLOPE = 4
"""Epochs over which the slope of an unfinished curve is taken."""
CALM = 5
"""Epochs without a better recall that end a curve: what it has reached is its converged recall."""


@dataclass(frozen=True)
class Schedule:
    """How to train: a start, an objective, batches and a learning rate; epochs at most."""

    initial: Random | Spectral
    objective: Objective
    batch: int
    lr: float
    epochs: int


@dataclass
class Curve:
    """Recall after each epoch, the start first, and seconds of training until then."""

    recall: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def reaches(self, recall: float) -> int | None:
        """Return the first epoch with at least this recall."""
        return next((n for n, r in enumerate(self.recall) if r >= recall), None)


def run(quick: bool) -> Iterator[Line]:
    """Yield the lines of this benchmark."""
    if not worlds.has_data():
        yield Line(NAME, "time to quality", None, "s", note="needs gowalla-ccd below $GNNREC_DATA")
        return
    log = worlds.gowalla()
    graph = BipartiteGraph.empty().extend(log.train, log.num_users, log.num_items)
    exam = Exam(log, graph, 1000 if quick else 6000)
    ours = exam.curve(Schedule(Spectral(), Softmax(), 8192, 0.01, 1 if quick else 40))
    plain = exam.curve(Schedule(Random(), Softmax(), 16384, 0.01, 1 if quick else 40))
    theirs = exam.curve(Schedule(Random(), BPR(peers.L2), 2048, 0.001, 0 if quick else 12))
    best = max(ours.recall)
    mark = SHARE * best
    at = ours.reaches(mark)
    assert at is not None
    how = "spectral start, softmax, batches of 8,192, learning rate .01"
    end = f"converged {best:.4f} in epoch {int(np.argmax(ours.recall))}, {SHARE:.0%} is {mark:.4f}"
    note = f"{log.name}; {how}; {end}"
    yield Line(NAME, f"gnnrec: seconds to {SHARE:.0%} of its recall@20", ours.seconds[at], "s", note=note)
    yield _plain(plain, mark)
    yield Line(NAME, "recall@20 of the spectral start alone", ours.recall[0], "", note=f"{ours.seconds[0]:.1f} s")
    steps = -(-len(log.train) // 2048)
    epoch = steps * _authors_step(graph, log)
    measured = len(theirs.recall) - 1
    note = f"{steps} steps an epoch; recall after {measured} measured epochs: {theirs.recall[-1]:.4f}"
    yield Line(NAME, "authors: seconds per epoch", epoch, "s", note=note)
    least, how = _epochs(theirs, mark)
    what = "authors' seconds to the same recall / gnnrec's, at least"
    times = None if least is None else least * epoch / ours.seconds[at]
    yield Line(NAME, what, times, "×", target="≥ 50×", met=None if quick or times is None else times >= 50, note=how)
    whole = SCHEDULE * epoch / ours.seconds[at]
    yield Line(
        NAME,
        f"authors' whole schedule / gnnrec's seconds to {SHARE:.0%}",
        whole,
        "×",
        note=f"extrapolated: {SCHEDULE} epochs at the measured seconds",
    )


def _plain(curve: Curve, mark: float) -> Line:
    """Return the line of random rows and batches of 16,384."""
    at = curve.reaches(mark)
    note = f"random start, softmax, batches of 16,384, learning rate .01; converged {max(curve.recall):.4f}"
    what = "gnnrec from random rows in batches of 16,384: seconds to the same recall"
    return Line(NAME, what, None if at is None else curve.seconds[at], "s", note=note)


def _epochs(curve: Curve, mark: float) -> tuple[float | None, str]:
    """Return how many epochs a curve takes to a recall at least, and how that is known.

    Beyond what was measured it goes on straight at the slope of the last `SLOPE` epochs; a curve that flattens takes longer.
    """
    reached, last = curve.reaches(mark), len(curve.recall) - 1
    if reached is not None:
        return float(reached), f"measured: epoch {reached}"
    if last < SLOPE:
        return None, f"{last} epochs were measured, too few to extrapolate"
    slope = (curve.recall[-1] - curve.recall[-1 - SLOPE]) / SLOPE
    if slope <= 0:
        return None, f"recall no longer rises after {last} epochs"
    epochs = last + (mark - curve.recall[-1]) / slope
    return epochs, f"extrapolated to {epochs:.0f} epochs: straight on at {slope:.5f} an epoch, which flatters it"


def _authors_step(graph: BipartiteGraph, log: worlds.Log) -> float:
    torch.manual_seed(0)
    model, rng = peers.Authors(graph, WIDTH, LAYERS), np.random.default_rng(0)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> None:
        batch = peers.batch_of(log.train, log.num_items, 2048, rng)
        optimiser.zero_grad()
        model.loss(batch).backward()
        optimiser.step()

    return float(np.median(alternate({"authors": step}, rounds=5)["authors"]))


class Exam:
    """Trains by a schedule and scores after every epoch.

    Args:
        log: train and test rows.
        graph: of the train rows.
        users: how many users with a test row are scored.
    """

    def __init__(self, log: worlds.Log, graph: BipartiteGraph, users: int) -> None:
        self.log, self.graph = log, graph
        everyone = np.unique(log.test.user)
        asked: Ints = np.random.default_rng(0).choice(everyone, min(users, len(everyone)), replace=False)
        self.truth = Relevant.of(log.test.take(np.isin(log.test.user, asked)), None)
        self.order = tie_order(0, log.num_items)

    def curve(self, schedule: Schedule) -> Curve:
        """Return recall and seconds per epoch; ends early when recall has not risen for `CALM` epochs."""
        torch.manual_seed(0)
        objective, train = schedule.objective, self.log.train
        objective.grow(train, self.log.num_users, self.log.num_items)
        objective.count(np.bincount(train.item, minlength=self.log.num_items).astype(float))
        encoder, found = LightGCN(WIDTH, LAYERS), Curve()
        random = worlds.tables(self.log.num_users, self.log.num_items, WIDTH)
        spent = seconds(lambda: encoder.grow(NewNodes.of(*schedule.initial.start(random, self.graph))))
        optimiser = torch.optim.Adam(encoder.parameters(), lr=schedule.lr, fused=True)
        batches = EpochBatches(self.log.train, self.graph, schedule.batch, None, 0)

        def epoch() -> None:
            for batch in batches:
                optimiser.zero_grad()
                objective(encoder.rows(self.graph, *objective.nodes(batch)), batch).backward()
                optimiser.step()

        for n in range(schedule.epochs + 1):
            spent += seconds(epoch) if n else 0.0
            found.recall.append(self._recall(encoder, objective))
            found.seconds.append(spent)
            if n - int(np.argmax(found.recall)) >= CALM:
                break
        return found

    @torch.no_grad()
    def _recall(self, encoder: LightGCN, objective: Objective) -> float:
        z, tops = encoder(self.graph), []
        for start in range(0, len(self.truth.user), 256):
            user = self.truth.user[start : start + 256]
            scores = objective.scores(z, torch.from_numpy(user))
            tops.append(top_items(scores, K, self.order, self.graph.neighbours(user, of_users=True)))
        found = hits(torch.cat(tops), self.truth.row, self.truth.item, len(self.truth.user))
        return float(metrics.recall(found, self.truth.counts(), K).mean())
