"""The one LightningModule: an encoder and an objective on the graph of the moment."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, Self

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh

from gnnrec.core.errors import DivergedError, GnnrecError
from gnnrec.counters.past import PastPopularity
from gnnrec.data.types import Floats
from gnnrec.encoders.base import Encoder
from gnnrec.encoders.partial import Touched
from gnnrec.encoders.tables import Embedded, Embeddings
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.spread import is_spread, whole
from gnnrec.objectives.base import Batch, Objective
from gnnrec.training.ranks import check_alike, placed_as, spread
from gnnrec.training.step import Step, Terms, TrainedRows

Moments = dict[str, dict[str, Tensor]]


def embedded(
    encoder: Encoder | Touched, graph: BipartiteGraph, objective: Objective, batch: Batch, terms: Terms
) -> Embedded:
    """Return the embeddings that the loss of a batch reads, of at least its nodes."""
    # Off the CPU the distinct nodes would have to be counted on the host, which the device then waits for.
    if graph.device.type != "cpu":
        whole: Embeddings = encoder(graph)
        return whole
    nodes, further = objective.nodes(batch), terms.nodes(batch)
    users, items = (a if not len(b) else torch.unique(torch.cat([a, b])) for a, b in zip(nodes, further, strict=True))
    return encoder.rows(graph, users, items)


class RecommendationModule(pl.LightningModule):
    """Loss = objective(encoder(graph), batch) + penalty + the encoder's auxiliary loss.

    Args:
        encoder, objective: trained in place.
        graph: message-passing graph, of as many nodes as the tables have rows.
        lr: Adam's learning rate.
        terms: what the strategy adds.
        select: valid metric by user or event, [n], as a function of the embeddings; its mean is maximised; None: nothing to
            select on.
        moments: Adam state to carry on from, by parameter name.
        past: the item counts of the time that the events fitted on came; None: today's hold for all.
    """

    then: Tensor | None

    def __init__(
        self,
        encoder: Encoder | Touched,
        objective: Objective,
        graph: BipartiteGraph,
        lr: float,
        terms: Terms,
        select: Callable[[Embeddings], Floats] | None = None,
        moments: Moments | None = None,
        past: PastPopularity | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.objective, self.graph = encoder, objective, graph
        self.modules_of_strategy = terms.modules
        self.lr, self.terms, self.select, self.moments = lr, terms, select, moments or {}
        self.register_buffer("then", None if past is None else objective.term.table(past), persistent=False)
        self.losses: list[Tensor] = []
        self.trained: dict[str, TrainedRows] = {}
        self.taken, self._reaches = 0, False
        self.passed = 0  # epochs before this process went on with the fit; Lightning counts from 0 again

    def on_fit_start(self) -> None:
        """Bring the graph to where the parameters are, and name these once they lie there."""
        self.graph = self.graph.to(self.device)
        self.trained = self.trained_rows()

    def spread(self, mesh: DeviceMesh) -> None:
        """Leave this rank its columns of the tables: the rows that are trained lie by node and column."""
        spread(self, {id(p) for p in self.encoder.tables().values()}, mesh)

    def cpu(self) -> Self:
        """Move to the CPU; tables that are spread stay where they are until they are gathered, whatever ended the fit."""
        return self if any(is_spread(p) for p in self.parameters()) else super().cpu()

    def trained_rows(self) -> dict[str, TrainedRows]:
        """Return what descent moves, by name, with the numbers of its rows."""
        nodes = self.encoder.nodes()
        named = {name: TrainedRows(p, nodes[name]) for name, p in self.encoder.tables().items()}
        held = {id(rows.parameter) for rows in named.values()}
        for part, module in (("encoder", self.encoder), ("objective", self.objective), ("modules", self.terms.modules)):
            for name, p in module.named_parameters() if module is not None else ():
                if p.requires_grad and id(p) not in held:
                    named[f"{part}.{name}"] = TrainedRows(p, None)
        return named

    def step_of(self, batch: Batch, epoch: int) -> Step:
        """Return what a batch offers."""
        z = embedded(self.encoder, self.graph, self.objective, batch, self.terms)
        loss: Callable[[], Tensor] = cache(lambda: self._loss(z, batch))
        layers = cache(lambda: self.encoder.by_layer(self.graph))
        return Step(z, batch, self.graph, self.taken, epoch, self.trained, layers, loss)

    def _loss(self, z: Embedded, batch: Batch) -> Tensor:
        with self.objective.term.as_of(self.then):
            found: Tensor = self.objective(z, batch)
        return found

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the loss of one batch."""
        step = self.step_of(batch, self.passed + self.current_epoch)
        penalty = self.terms.penalty(step)
        self._check_reach(penalty)
        loss: Tensor = step.loss() + penalty + self.encoder.auxiliary(step)
        self.losses.append(loss.detach())
        self.taken += 1
        return loss

    def _check_reach(self, penalty: Tensor | float) -> None:
        """Refuse a penalty that cannot move anything: whoever wrote it believes that it does.

        Under ``fit.rows=touched`` a penalty on the encoder's own tables is such a one, as rows beside them are trained. Asked
        until a penalty has been seen that reaches something: one gradient per fit.
        """
        if self._reaches or not isinstance(penalty, Tensor) or (not penalty.requires_grad and not penalty.any()):
            return
        parameters = [rows.parameter for rows in self.trained.values()]
        found = (
            torch.autograd.grad(penalty, parameters, retain_graph=True, allow_unused=True)
            if penalty.requires_grad
            else ()
        )
        if all(g is None for g in found):
            raise GnnrecError(
                "the strategy's penalty reaches no trained parameter, so it would change nothing: write it on step.z or on "
                "step.trained (under fit.rows=touched rows beside the encoder's tables are trained), or return a float"
            )
        self._reaches = True

    def finish_epoch(self) -> tuple[float, Floats | None]:
        """Log and return the epoch's mean loss and the valid metric by user or event; refuse a loss that is not finite."""
        loss = torch.stack(self.losses).mean().item()
        self.losses.clear()
        if not math.isfinite(loss):
            raise DivergedError(
                f"the training loss became {loss} in epoch {self.passed + self.current_epoch}; lower fit.lr"
            )
        score = None if self.select is None else self.score()
        self.log("train/loss", loss)
        if score is not None:
            self.log("valid/score", float(score.mean()))
        return loss, score

    @torch.no_grad()
    def score(self) -> Floats:
        """Return the valid metric of the present weights by user or event, [n], as they would serve: without dropout."""
        assert self.select is not None
        self.encoder.eval()
        try:
            z = self.encoder(self.graph)
            values = self.select(Embeddings(*map(whole, z)))
            if is_spread(z.user):  # whether to stop must be the same everywhere
                check_alike({"the valid metric": float(values.mean())})
            return values
        finally:
            self.encoder.train()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam, its moments carried over and padded with zeros where tables have grown."""
        named = dict(self.named_parameters())
        optimiser = torch.optim.Adam(named.values(), lr=self.lr, fused=True)
        for name, parameter in named.items():
            if name in self.moments:
                optimiser.state[parameter] = {k: _padded(v, parameter) for k, v in self.moments[name].items()}
        return optimiser

    def adam_moments(self) -> Moments:
        """Return Adam's state by parameter name after a fit."""
        optimiser: Any = self.optimizers(use_pl_optimizer=False)
        named = [(n, optimiser.state[p]) for n, p in self.named_parameters() if p in optimiser.state]
        return {name: {key: whole(moment).cpu() for key, moment in state.items()} for name, state in named}


def _padded(moment: Tensor, parameter: Tensor) -> Tensor:
    if moment.dim() != parameter.dim():
        return moment.to(parameter.device, copy=True)
    if moment.shape == parameter.shape:
        return placed_as(moment.to(parameter.device, copy=True), parameter)
    grown = torch.zeros(parameter.shape, dtype=parameter.dtype, device=parameter.device)
    grown[tuple(slice(0, size) for size in moment.shape)] = moment.to(parameter.device)
    return placed_as(grown, parameter)
