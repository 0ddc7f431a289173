"""Fits of a growing model: which settings hold, what is trained, and how long.

Letters: u users, i items, d width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gnnrec.core.seeds import derive
from gnnrec.counters.past import PastPopularity
from gnnrec.data.types import Interactions
from gnnrec.encoders.base import Encoder
from gnnrec.encoders.partial import Touched
from gnnrec.evaluation.evaluate import Settings
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.spread import whole
from gnnrec.objectives.base import Objective
from gnnrec.training.ahead import Ahead, HeldWeights, sample
from gnnrec.training.checkpoint import FitCheckpoint
from gnnrec.training.cost import Cost
from gnnrec.training.early_stopping import Rank, Select, selector
from gnnrec.training.fitter import FitLog, OnEpoch, device_of, run_fit
from gnnrec.training.module import Moments, RecommendationModule
from gnnrec.training.sampling import EpochBatches
from gnnrec.training.settings import FitSettings
from gnnrec.training.step import Step, Terms


@dataclass(frozen=True, slots=True)
class Model:
    """What is fitted: an encoder and an objective on a graph.

    Attributes:
        seen: the absorbed pairs, which negatives avoid.
        rank: what ranks in the objective's place; None: the objective.
        past: the item counts of the time that the events to be fitted on came; None: today's hold for all.
    """

    encoder: Encoder
    objective: Objective
    graph: BipartiteGraph
    seen: BipartiteGraph
    rank: Rank | None = None
    past: PastPopularity | None = None


class Fits:
    """The fits of one learner.

    Args:
        update: settings of updates.
        base: settings of the base, and of cold starts later.
        trainer: arguments of Lightning's Trainer.
        measure: how valid is scored.
        seed: of order and negatives.
    """

    def __init__(
        self, update: FitSettings, base: FitSettings, trainer: dict[str, Any], measure: Settings, seed: int
    ) -> None:
        self.update, self.base, self.trainer, self.measure, self.seed = update, base, trainer, measure, seed
        self.moments: Moments = {}
        self.ahead = Ahead()
        self.index, self.number = -1, 0
        self.planned = base.max_epochs  # of the fit in progress, for who shows how far it is

    def open(self, index: int) -> None:
        """Begin an increment."""
        self.index, self.number = index, 0

    def fresh(self) -> Fits:
        """Return fits of the same settings that have done nothing."""
        return Fits(self.update, self.base, self.trainer, self.measure, self.seed)

    def fork(self) -> Fits:
        """Return fits that go on by themselves from here."""
        twin = self.fresh()
        twin.moments, twin.ahead, twin.index, twin.number = self.moments, self.ahead.copy(), self.index, self.number
        return twin

    def settings(self, schedule: str, epochs: int | None) -> FitSettings:
        """Return what holds: the base's for the base and a cold start, but an equal budget is equal for every update."""
        if self.index > 0 and schedule != "base":
            found = self.update
        elif self.index > 0 and self.update.budget != "converge":
            found = replace(self.base, budget=self.update.budget, steps=self.update.steps)
        else:
            found = self.base
        if epochs is None:
            return found
        blind = min(epochs, found.epochs_without_valid)
        return replace(found, max_epochs=epochs, epochs_without_valid=blind)

    def fit(
        self,
        model: Model,
        events: Interactions,
        valid: Interactions,
        settings: FitSettings,
        terms: Terms,
        cost: Cost,
        on_epoch: OnEpoch | None = None,
        checkpoint: FitCheckpoint | None = None,
    ) -> FitLog:
        """Fit `model` in place on `events` and return what was done; no events, no step."""
        trained, touched = self._trained(model, events, settings)
        # The base comes after no update: its lengths say nothing of theirs.
        ahead = settings.budget == "ahead" and self.index > 0
        chosen = self.ahead.chosen(settings.max_epochs) if ahead else None
        select = self._select(model, valid) if settings.budget != "equal" and chosen is None else None
        if chosen is not None:
            settings = _up_to(settings, self.ahead.lengths(chosen, settings.max_epochs)[-1])
        self.planned = settings.max_epochs if select is not None else settings.epochs_without_valid
        carried = self.moments if settings.optimiser_state == "carry" else {}
        given = trained, model.objective, model.graph, settings.lr, terms
        module = RecommendationModule(*given, select, carried, model.past)
        held: dict[int, HeldWeights] = {}
        lengths = set(self.ahead.lengths(settings.max_epochs, settings.max_epochs))

        def visit(length: int) -> None:
            if length in lengths:
                held[length] = weights_of(model, touched, terms.modules)

        batches = self._batches(model, events, settings)
        log = run_fit(
            module, batches, settings, self.trainer, batches.seed, on_epoch, visit if ahead else None, checkpoint
        )
        self.moments = module.moments
        if touched is not None:
            touched.write_to(model.encoder.user, model.encoder.item)
        if ahead:
            self.ahead.held = held
        if chosen is not None and held:
            log = replace(log, kept=max(n for n in held if n <= chosen))
            load_weights(model, held[log.kept], terms.modules)
        cost.add(len(log.epochs), log.steps, log.triplets)
        return log

    def loop(
        self, model: Model, events: Interactions, settings: FitSettings, terms: Terms, cost: Cost
    ) -> Iterator[Step]:
        """Yield the steps of one epoch of `events`; nothing is trained but what the caller trains."""
        trained, touched = self._trained(model, events, settings)
        given = trained, model.objective, model.graph, settings.lr, terms
        module = RecommendationModule(*given, past=model.past)
        device = device_of(self.trainer)
        module.to(device)
        module.graph = model.graph.to(device)
        module.trained = module.trained_rows()
        try:
            for batch in self._batches(model, events, settings) if len(events) else ():
                cost.triplets += len(batch.user)
                yield module.step_of(type(batch)(*(column.to(device) for column in batch)), 0)
                module.taken += 1
        finally:
            module.cpu()
            if touched is not None:
                touched.write_to(model.encoder.user, model.encoder.item)

    def judge(self, model: Model, arrived: Interactions) -> None:
        """Score what is held of the last fit on events that have arrived since and are not absorbed yet."""
        if not self.ahead.held:
            return
        select = self._select(model, sample(arrived, derive(self.seed, self.index)))
        if select is None:
            self.ahead.held = {}
            return
        present = weights_of(model, None, None)

        @torch.no_grad()
        def score(held: HeldWeights) -> float:
            load_weights(model, held, None)
            return float(select(model.encoder(model.graph)).mean())

        model.encoder.eval()
        self.ahead.judge(score)
        model.encoder.train()
        load_weights(model, present, None)

    def _trained(
        self, model: Model, events: Interactions, settings: FitSettings
    ) -> tuple[Encoder | Touched, Touched | None]:
        """Return what is trained, and what must be written back: rows of the events' nodes where the encoder can."""
        if settings.rows != "touched":
            return model.encoder, None
        user, item = (torch.from_numpy(np.unique(column)) for column in (events.user, events.item))
        touched = model.encoder.touched(model.graph, user, item)
        return touched or model.encoder, touched

    def _batches(self, model: Model, events: Interactions, settings: FitSettings) -> EpochBatches:
        seed = derive(self.seed, self.index, "fit", *([self.number] if self.number else []))
        self.number += 1  # two fits of one increment draw orders and negatives of their own
        drawn, slice_of = model.objective.negatives, None if model.past is None else model.past.slice_of
        return EpochBatches(events, model.seen, settings.batch_size, self.measure.positive_from, seed, drawn, slice_of)

    def _select(self, model: Model, valid: Interactions) -> Select | None:
        return selector(model.objective, valid, model.seen, self.measure, model.rank)


def _up_to(settings: FitSettings, epochs: int) -> FitSettings:
    """Return settings that train so many epochs, at least one, whether or not there is something to select on."""
    return replace(settings, max_epochs=max(epochs, 1), epochs_without_valid=max(epochs, 1))


def weights_of(model: Model, touched: Touched | None, modules: nn.Module | None) -> dict[str, Tensor]:
    """Return copies of all weights, on the CPU; tables with the rows that `touched` trains."""
    parts = {"encoder": model.encoder, "objective": model.objective, "modules": modules}
    found = {f"{p}.{n}": x for p, m in parts.items() if m is not None for n, x in m.state_dict().items()}
    if touched is not None:
        found |= dict(zip(("encoder.user.weight", "encoder.item.weight"), touched.whole(), strict=True))
    return {name: whole(x.detach()).to("cpu", copy=True) for name, x in found.items()}


def load_weights(model: Model, held: Mapping[str, Tensor], modules: nn.Module | None) -> None:
    """Put weights back; those of `modules` stay where it is None, and rows of nodes that came later keep what they are."""
    for part, module in (("encoder", model.encoder), ("objective", model.objective), ("modules", modules)):
        if module is not None:
            now = module.state_dict()
            own = {n: _lengthened(held[f"{part}.{n}"], x) for n, x in now.items()}
            module.load_state_dict(own)


def _lengthened(rows: Tensor, now: Tensor) -> Tensor:
    return rows if rows.shape == now.shape else torch.cat([rows, now[len(rows) :].to(rows)])
