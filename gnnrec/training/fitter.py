"""One fit: a fresh Trainer per increment (a re-used one silently trains 0 steps), the best weights kept."""

from __future__ import annotations

import copy
import logging
import math
import signal
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.core.ranks import local_number, spreads
from gnnrec.data.types import Floats
from gnnrec.encoders.tables import checksum
from gnnrec.training import ranks
from gnnrec.training.checkpoint import Earlier, FitCheckpoint
from gnnrec.training.module import RecommendationModule
from gnnrec.training.sampling import EpochBatches
from gnnrec.training.settings import FitSettings

BARE: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 10**9,
}
"""What a Trainer here never has: a fit has its own selection, states and progress."""

OnEpoch = Callable[[int, float, float | None], None]
"""Called after each epoch with (epoch, mean loss, valid metric or None)."""
Visit = Callable[[int], None]
"""Called with the epochs trained so far."""


@dataclass(frozen=True, slots=True)
class FitLog:
    """What a fit did.

    Attributes:
        steps: optimiser steps.
        triplets: events seen, repeats counted.
        epochs: (loss, valid metric or None) of each epoch.
        start: the valid metric before the first step; None without valid.
        best: the valid metric of the weights kept; None without valid.
        kept: epochs trained when these weights were reached, 0 for the start.
        seconds: wall-clock, `earlier` included.
        earlier: what went into it before the process it went on in.
    """

    steps: int = 0
    triplets: int = 0
    epochs: list[tuple[float, float | None]] = field(default_factory=list)
    start: float | None = None
    best: float | None = None
    kept: int = 0
    seconds: float = 0.0
    earlier: Earlier = field(default_factory=Earlier)


class KeepBest(pl.Callback):
    """Holds the weights with the highest valid metric, the first of equals, and puts them back at the end.

    The start is a candidate too: an update that only hurts is not taken, nor one that is better by less than `margin` tells.

    Args:
        patience: epochs without a better metric before stopping; None: never.
        margin: standard errors of the mean difference by which an epoch must beat the start while that is the best.
        on_epoch: told after each epoch.
        visit: called with the epochs trained, 0 before the first step; for who keeps weights of its own.
    """

    def __init__(
        self, patience: int | None, margin: float = 0.0, on_epoch: OnEpoch | None = None, visit: Visit | None = None
    ) -> None:
        self.patience, self.margin, self.on_epoch, self.visit = patience, margin, on_epoch, visit
        self.start: float | None = None
        self.first: Tensor = torch.zeros(0, dtype=torch.float64)
        self.best: float | None = None
        self.kept = 0
        self.weights: dict[str, Any] = {}
        self.epochs: list[tuple[float, float | None]] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Score the start."""
        module = cast(RecommendationModule, pl_module)
        if module.select is not None and self.start is None:  # one that goes on has scored it
            self.first = torch.from_numpy(module.score())
            self.start = float(self.first.mean())
            self._consider(self.first.numpy(), module)
        if self.visit is not None:
            self.visit(0)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the epoch, keep its weights if they are the best, and stop where there has been no better one for long."""
        loss, values = cast(RecommendationModule, pl_module).finish_epoch()
        value = None if values is None else float(values.mean())
        self.epochs.append((loss, value))
        if values is not None:
            self._consider(values, pl_module)
            trainer.should_stop |= self.patience is not None and len(self.epochs) - self.kept >= self.patience
        if self.visit is not None:
            self.visit(len(self.epochs))
        if self.on_epoch is not None:
            self.on_epoch(len(self.epochs), loss, value)

    def _consider(self, values: Floats, module: pl.LightningModule) -> None:
        value = float(values.mean())
        if self.best is None or (value > self.best and (self.kept > 0 or self._beyond_chance(values))):
            self.best, self.kept, self.weights = value, len(self.epochs), copy.deepcopy(module.state_dict())

    def _beyond_chance(self, values: Floats) -> bool:
        gain = values - self.first.numpy()
        return float(gain.mean()) > self.margin * float(gain.std()) / math.sqrt(len(gain))

    def state_dict(self) -> dict[str, Any]:
        """Return what a fit that is cut off goes on with."""
        numbers = {"start": self.start, "first": self.first, "best": self.best, "kept": self.kept}
        return {**numbers, "weights": self.weights, "epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Become the callback whose `state_dict` this is."""
        self.start, self.best, self.kept = (state_dict[n] for n in ("start", "best", "kept"))
        self.first = state_dict["first"]
        self.weights = state_dict["weights"]
        self.epochs = [(loss, value) for loss, value in state_dict["epochs"]]

    def restore(self, module: RecommendationModule) -> None:
        """Put the best weights back."""
        if self.weights:
            module.load_state_dict(self.weights)


def run_fit(
    module: RecommendationModule,
    batches: EpochBatches,
    settings: FitSettings,
    trainer: dict[str, Any],
    seed: int,
    on_epoch: OnEpoch | None = None,
    visit: Visit | None = None,
    checkpoint: FitCheckpoint | None = None,
) -> FitLog:
    """Fit `module` in place and return what was done; no events, no steps.

    The module selects where it has something to select by: its weights are then the best of the start and every epoch.

    Args:
        module: holds encoder, objective, graph.
        batches: an epoch of training events.
        settings: budget and stopping.
        trainer: further arguments of `pl.Trainer`: accelerator, devices, precision, …
        seed: for layers that draw from torch's global generator, such as dropout.
        on_epoch: progress.
        visit: called before the first step and after every epoch with the epochs trained.
        checkpoint: where a fit that is cut off is gone on from; None: nowhere.
    """
    if not len(batches):
        return FitLog()
    begin = time.perf_counter()
    mesh = ranks.mesh_of(trainer)
    keep = KeepBest(settings.patience, settings.margin, on_epoch, visit)
    quiet()
    earlier = checkpoint.resume(module, batches, [keep]) if checkpoint else Earlier()
    runner = _trainer(module, settings, trainer, [keep, *([checkpoint] if checkpoint else [])], earlier)
    with torch.random.fork_rng(), warnings.catch_warnings(), ranks.alike_elsewhere(mesh):
        torch.manual_seed(seed)
        if checkpoint:
            checkpoint.restore_generators()
        if mesh is not None:
            tables = [checksum(p) for p in module.encoder.tables().values()]
            ranks.check_alike({"number of events": len(batches.events), "order": seed, "tables": tables})
            module.spread(mesh)
        _fit(runner, module, batches)
        module.moments = module.adam_moments() if settings.optimiser_state == "carry" else {}
        keep.restore(module)
    ranks.gather(module)
    module.cpu()
    steps = earlier.steps + runner.global_step
    _let_go(runner, module)
    kept = keep.kept if keep.best is not None else len(keep.epochs)
    seconds = earlier.seconds + time.perf_counter() - begin
    triplets = _triplets(steps, batches)
    return FitLog(steps, triplets, keep.epochs, keep.start, keep.best, kept, seconds, earlier)


def _fit(runner: pl.Trainer, module: RecommendationModule, batches: EpochBatches) -> None:
    """Fit; an interruption stays one (Lightning would end the process with code 1 and ignore further ones).

    Raises:
        GnnrecError: tables are spread over ranks, and torch has no rule for what is done with them.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        runner.fit(module, train_dataloaders=batches)
    except NotImplementedError as error:
        if "sharding strategy" not in str(error):
            raise
        raise GnnrecError(
            f"trainer=dimension_parallel does not go with what {type(module.objective).__name__} or the strategy computes: "
            f"{one_line(str(error))}; trainer=default trains on one device"
        ) from error
    except SystemExit as end:
        if runner.interrupted:
            signal.signal(signal.SIGINT, handler)
            raise KeyboardInterrupt from end
        raise


def _let_go(runner: pl.Trainer, module: RecommendationModule) -> None:
    """Untie a Trainer from what it trained. They hold each other, and with them matrices, moments and the best weights, until
    Python next looks for rings, which among many objects it does rarely: a long run would hold those of many fits.
    """
    strategy, module._trainer = runner.strategy, None
    for part in (strategy, runner):
        part.__dict__.clear()


def _trainer(
    module: RecommendationModule,
    settings: FitSettings,
    options: dict[str, Any],
    callbacks: list[pl.Callback],
    earlier: Earlier,
) -> pl.Trainer:
    if settings.budget == "equal":
        limit = {"max_epochs": -1, "max_steps": settings.steps - earlier.steps}
    else:
        epochs = settings.max_epochs if module.select is not None else settings.epochs_without_valid
        limit = {"max_epochs": epochs - earlier.epochs}
    return pl.Trainer(**{**BARE, **alone(options), **limit}, callbacks=callbacks)


def alone(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a Trainer of one process: ranks are spread over beside Lightning, which sees its own alone."""
    if not spreads(options):
        return dict(options)
    gpu = str(options.get("accelerator")) in ("gpu", "cuda")
    own = {k: v for k, v in options.items() if k != "strategy"}
    return {**own, "devices": [local_number()] if gpu else 1}


def device_of(options: Mapping[str, Any]) -> torch.device:
    """Return where a Trainer of these options trains, so that ranking can run there too."""
    wanted = str(options.get("accelerator", "auto"))
    if wanted in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        devices = alone(options).get("devices")
        return torch.device("cuda", int(devices[0]) if isinstance(devices, list | tuple) else 0)
    return torch.device("cpu")


def _triplets(steps: int, batches: EpochBatches) -> int:
    epochs, rest = divmod(steps, len(batches))
    return epochs * len(batches.events) + min(rest * batches.batch_size, len(batches.events))


def quiet() -> None:
    """Silence notices about devices and workers that would repeat at every increment."""
    for name in ("pytorch_lightning", "lightning.pytorch", "pytorch_lightning.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    notices = (
        *(".*does not have many workers.*", ".*GPU available but not used.*", ".*val_dataloader.*", ".*LeafSpec.*"),
        *(".*sync_dist.*", ".*implicitly creating a replicated DTensor.*"),
    )
    for message in notices:
        warnings.filterwarnings("ignore", message=message)
