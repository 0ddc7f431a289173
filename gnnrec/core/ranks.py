"""Which of the processes that hold one model this is, by the environment: as torchrun sets it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

DIMENSION = "dimension_parallel"
"""The value of `trainer.strategy` that spreads tables by column."""


def spreads(trainer: Mapping[str, Any]) -> bool:
    """Return whether arguments of a Trainer ask for tables that are spread over ranks."""
    return trainer.get("strategy") == DIMENSION


def identity(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that make a run another: over how many ranks tables are spread changes last bits alone."""
    return {k: v for k, v in trainer.items() if k != "devices" or not spreads(trainer)}


def alone(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments by which one process does what several ranks did."""
    return {**trainer, "devices": 1} if spreads(trainer) else dict(trainer)


def count() -> int:
    """Return how many ranks there are; 1 where this process was not begun as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def here() -> int:
    """Return how many of them are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", str(count())))


def number() -> int:
    """Return this process' rank; 0 where it is alone."""
    return int(os.environ.get("RANK", "0"))


def local_number() -> int:
    """Return its place among those of this machine, which is also the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))
