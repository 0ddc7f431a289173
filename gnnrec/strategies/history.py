"""Stored events as the state of a strategy."""

from __future__ import annotations

from dataclasses import fields

import torch

from gnnrec.data.types import Interactions
from gnnrec.strategies.base import StrategyState


def to_state(events: Interactions) -> StrategyState:
    """Return the columns as tensors."""
    return {f.name: torch.from_numpy(getattr(events, f.name).copy()) for f in fields(Interactions)}


def from_state(state: StrategyState) -> Interactions:
    """Return the events whose columns these are."""
    return Interactions(*(state[f.name].numpy() for f in fields(Interactions)))
