"""Which arguments of Lightning's Trainer a run may set, tried before anything is spent on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities.exceptions import MisconfigurationException

from gnnrec.core.errors import GnnrecError, nearest, one_line
from gnnrec.core.ranks import DIMENSION, spreads
from gnnrec.training.fitter import BARE, alone, quiet

TAKEN = (
    *("accelerator", "devices", "strategy", "precision", "deterministic", "benchmark", "detect_anomaly"),
    *("gradient_clip_val", "gradient_clip_algorithm", "default_root_dir"),
)
PRECISIONS = ("32-true", "64-true", "bf16-mixed", "16-mixed")
"""Those that keep the tables in full: in half precision a step of Adam is lost in rounding, and sums have another type."""
STRATEGIES = ("auto", DIMENSION)
"""One process, or the columns of all tables spread over `devices` of them."""
_INSTEAD = {
    "max_epochs": "fit.max_epochs does it",
    "min_epochs": "fit.patience says when to stop",
    "max_steps": "fit.budget=equal with fit.steps does it",
    "min_steps": "fit.budget=equal with fit.steps does it",
    "max_time": "fit.max_epochs bounds a fit",
    "limit_train_batches": "fit.budget=equal with fit.steps does it",
    "accumulate_grad_batches": "fit.batch_size does it",
    "logger": "choose logger=csv, tensorboard, wandb or none",
    "enable_checkpointing": "state.keep says how many states are kept",
    "callbacks": "a strategy's prepare, penalty and consolidate are the places to differ",
    "num_nodes": "a run trains on one device",
}


def check_trainer(options: Mapping[str, Any]) -> None:
    """Build a Trainer of these options once, before anything is spent on a run.

    Raises:
        GnnrecError: one is not a run's to set, Lightning does not take it, or this machine has no such device.
    """
    for key in options:
        if key not in TAKEN:
            raise GnnrecError(f"trainer.{one_line(str(key))} is not for a run to set; {_advice(str(key))}")
    if (precision := options.get("precision", "32-true")) not in PRECISIONS:
        raise GnnrecError(
            f"trainer.precision={one_line(str(precision))} is not known{nearest(str(precision), PRECISIONS)}"
        )
    # Asked before Lightning is, which lists as many devices as it is told, whatever memory that takes.
    if (strategy := options.get("strategy", "auto")) not in STRATEGIES:
        raise GnnrecError(
            f"trainer.strategy={one_line(str(strategy))} is not known{nearest(str(strategy), STRATEGIES)}"
        )
    devices = str(options.get("devices", 1))
    if spreads(options) and not (devices.isdecimal() and int(devices) > 0):
        raise GnnrecError(f"trainer.devices={one_line(devices)} must be a number of processes, 1 or more")
    if devices.isdigit() and not spreads(options):
        _check_one(int(devices))
    quiet()
    try:
        found = pl.Trainer(**{**BARE, **alone(options), "max_epochs": 1}).world_size
    except (TypeError, ValueError, OverflowError, MemoryError, MisconfigurationException) as error:
        text = str(error).removeprefix("Trainer.__init__() ")
        raise GnnrecError(f"trainer: {one_line(text or type(error).__name__)}") from error
    _check_one(found)


def _check_one(devices: int) -> None:
    if devices > 1:  # Lightning would start this command again for each device
        raise GnnrecError(
            f"trainer.devices={devices} is more than one; a run trains on one device: set trainer.devices=1, or "
            "spread its tables over several processes by trainer=dimension_parallel"
        )


def _advice(key: str) -> str:
    return _INSTEAD.get(key) or nearest(key, TAKEN).removeprefix("; ")
