"""One fit: a fresh Trainer per increment (a re-used one silently trains 0 steps), the best weights kept."""

from __future__ import annotations

import copy
import logging
import signal
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import EarlyStopping

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.training.checkpoint import Earlier, FitCheckpoint
from gnnrec.training.module import RecommendationModule
from gnnrec.training.sampling import EpochBatches
from gnnrec.training.settings import FitSettings

_BARE: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 10**9,
}

OnEpoch = Callable[[int, float, float | None], None]
"""Called after each epoch with (epoch, mean loss, valid metric or None)."""


@dataclass(frozen=True, slots=True)
class FitLog:
    """What a fit did.

    Attributes:
        steps: optimiser steps.
        triplets: events seen, repeats counted.
        epochs: (loss, valid metric or None) of each epoch.
        best: the valid metric of the weights kept; None without valid.
        seconds: wall-clock, `earlier` included.
        earlier: seconds that went into it before the process it went on in.
    """

    steps: int = 0
    triplets: int = 0
    epochs: list[tuple[float, float | None]] = field(default_factory=list)
    best: float | None = None
    seconds: float = 0.0
    earlier: float = 0.0


class KeepBest(pl.Callback):
    """Holds the weights with the highest valid metric, the first of equals, and puts them back at the end."""

    def __init__(self, on_epoch: OnEpoch | None = None) -> None:
        self.on_epoch = on_epoch
        self.best: float | None = None
        self.weights: dict[str, Any] = {}
        self.epochs: list[tuple[float, float | None]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the epoch and keep its weights if they are the best."""
        loss, value = cast(RecommendationModule, pl_module).finish_epoch()
        self.epochs.append((loss, value))
        if value is not None and (self.best is None or value > self.best):
            self.best, self.weights = value, copy.deepcopy(pl_module.state_dict())
        if self.on_epoch is not None:
            self.on_epoch(len(self.epochs), loss, value)

    def state_dict(self) -> dict[str, Any]:
        """Return what a fit that is cut off goes on with."""
        return {"best": self.best, "weights": self.weights, "epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Become the callback whose `state_dict` this is."""
        self.best, self.weights = state_dict["best"], state_dict["weights"]
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
    checkpoint: FitCheckpoint | None = None,
) -> FitLog:
    """Fit `module` in place and return what was done; no events, no steps.

    Args:
        module: holds encoder, objective, graph.
        batches: an epoch of training events.
        settings: budget and stopping.
        trainer: further arguments of `pl.Trainer`: accelerator, devices, precision, …
        seed: for layers that draw from torch's global generator, such as dropout.
        on_epoch: progress.
        checkpoint: where a fit that is cut off is gone on from; None: nowhere.
    """
    if not len(batches):
        return FitLog()
    begin, keep = time.perf_counter(), KeepBest(on_epoch)
    _quiet()
    callbacks = _callbacks(module, settings, keep)
    earlier = checkpoint.resume(module, batches, callbacks) if checkpoint else Earlier()
    runner = _trainer(module, settings, trainer, [*callbacks, *([checkpoint] if checkpoint else [])], earlier)
    with torch.random.fork_rng(), warnings.catch_warnings():
        torch.manual_seed(seed)
        if checkpoint:
            checkpoint.restore_generators()
        _fit(runner, module, batches)
    module.moments = module.adam_moments()
    if settings.budget == "converge":
        keep.restore(module)
    module.cpu()
    steps = earlier.steps + runner.global_step
    _let_go(runner, module)
    seconds = earlier.seconds + time.perf_counter() - begin
    return FitLog(steps, _triplets(steps, batches), keep.epochs, keep.best, seconds, earlier.seconds)


def _fit(runner: pl.Trainer, module: RecommendationModule, batches: EpochBatches) -> None:
    """Fit; an interruption stays one (Lightning would end the process with code 1 and ignore further ones)."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        runner.fit(module, train_dataloaders=batches)
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


def _callbacks(module: RecommendationModule, settings: FitSettings, keep: KeepBest) -> list[pl.Callback]:
    if module.select is None or settings.budget == "equal":
        return [keep]
    stop = EarlyStopping("valid/score", mode="max", patience=settings.patience, check_on_train_epoch_end=True)
    return [keep, stop]


def _trainer(
    module: RecommendationModule,
    settings: FitSettings,
    options: dict[str, Any],
    callbacks: list[pl.Callback],
    earlier: Earlier,
) -> pl.Trainer:
    equal, selects = settings.budget == "equal", module.select is not None
    epochs = (settings.max_epochs if selects else settings.epochs_without_valid) - earlier.epochs
    limit = {"max_epochs": -1, "max_steps": settings.steps - earlier.steps} if equal else {"max_epochs": epochs}
    return pl.Trainer(**{**_BARE, **options, **limit}, callbacks=callbacks)


def check_trainer(options: Mapping[str, Any]) -> None:
    """Build a Trainer of these options once, before anything is spent on a run.

    Raises:
        GnnrecError: Lightning does not take them, or this machine has no such device.
    """
    _quiet()
    try:
        devices = pl.Trainer(**{**_BARE, **options, "max_epochs": 1}).world_size
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise GnnrecError(f"trainer: {one_line(str(error).removeprefix('Trainer.__init__() '))}") from error
    if devices > 1:  # Lightning would start this command again for each device
        raise GnnrecError(
            f"trainer.devices={devices} is more than one; a run trains on one device: set trainer.devices=1"
        )


def _triplets(steps: int, batches: EpochBatches) -> int:
    epochs, rest = divmod(steps, len(batches))
    return epochs * len(batches.events) + min(rest * batches.batch_size, len(batches.events))


def _quiet() -> None:
    """Silence notices about devices and workers that would repeat at every increment."""
    for name in ("pytorch_lightning", "lightning.pytorch", "pytorch_lightning.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    notices = (".*does not have many workers.*", ".*GPU available but not used.*", ".*val_dataloader.*", ".*LeafSpec.*")
    for message in notices:
        warnings.filterwarnings("ignore", message=message)
