"""The one LightningModule: an encoder and an objective on the graph of the moment."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from gnnrec.core.errors import GnnrecError
from gnnrec.encoders.base import Encoder
from gnnrec.encoders.partial import Touched
from gnnrec.encoders.tables import Embedded, Embeddings
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.objectives.base import Batch, Objective

Penalty = Callable[[Embedded, Batch], Tensor | float]
Moments = dict[str, dict[str, Tensor]]


def embedded(encoder: Encoder | Touched, graph: BipartiteGraph, objective: Objective, batch: Batch) -> Embedded:
    """Return the embeddings that the loss of a batch reads, of at least its nodes."""
    # Off the CPU the distinct nodes would have to be counted on the host, which the device then waits for.
    if graph.device.type != "cpu":
        whole: Embeddings = encoder(graph)
        return whole
    return encoder.rows(graph, *objective.nodes(batch))


class RecommendationModule(pl.LightningModule):
    """Loss = objective(encoder(graph), batch) + penalty.

    Args:
        encoder, objective: trained in place.
        graph: message-passing graph, of as many nodes as the tables have rows.
        lr: Adam's learning rate.
        penalty: what the strategy adds to the loss.
        select: valid metric to maximise as a function of the embeddings; None: nothing to select on.
        moments: Adam state to carry on from, by parameter name.
    """

    def __init__(
        self,
        encoder: Encoder | Touched,
        objective: Objective,
        graph: BipartiteGraph,
        lr: float,
        penalty: Penalty,
        select: Callable[[Embeddings], float] | None = None,
        moments: Moments | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.objective, self.graph = encoder, objective, graph
        self.lr, self.penalty, self.select, self.moments = lr, penalty, select, moments or {}
        self.losses: list[Tensor] = []

    def on_fit_start(self) -> None:
        """Bring the graph to where the parameters are."""
        self.graph = self.graph.to(self.device)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the loss of one batch."""
        z = embedded(self.encoder, self.graph, self.objective, batch)
        loss: Tensor = self.objective(z, batch) + self.penalty(z, batch)
        self.losses.append(loss.detach())
        return loss

    def finish_epoch(self) -> tuple[float, float | None]:
        """Log and return the epoch's mean loss and the valid metric; refuse a loss that is not finite."""
        loss = torch.stack(self.losses).mean().item()
        self.losses.clear()
        if not math.isfinite(loss):
            raise GnnrecError(f"the training loss became {loss} in epoch {self.current_epoch}; lower fit.lr")
        score = None if self.select is None else self.score()
        self.log("train/loss", loss)
        if score is not None:
            self.log("valid/score", score)
        return loss, score

    @torch.no_grad()
    def score(self) -> float:
        """Return the valid metric of the present weights, as they would serve: without dropout."""
        assert self.select is not None
        self.encoder.eval()
        try:
            return self.select(self.encoder(self.graph))
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
        return {name: {key: moment.cpu() for key, moment in state.items()} for name, state in named}


def _padded(moment: Tensor, parameter: Tensor) -> Tensor:
    if moment.dim() != parameter.dim() or moment.shape == parameter.shape:
        return moment.to(parameter.device, copy=True)
    grown = torch.zeros_like(parameter)
    grown[: len(moment)] = moment.to(parameter.device)
    return grown
