"""Stored events as the state of a strategy."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import torch

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Interactions
from gnnrec.strategies.base import StrategyState


def to_state(events: Interactions) -> StrategyState:
    """Return the columns as tensors."""
    return {f.name: torch.from_numpy(getattr(events, f.name).copy()) for f in fields(Interactions)}


def from_state(state: StrategyState) -> Interactions:
    """Return the events whose columns these are."""
    return Interactions(*(state[f.name].numpy() for f in fields(Interactions)))


class StoredIncrements:
    """The events of the newest increments.

    Args:
        increments: how many; None: all.

    Raises:
        GnnrecError: fewer than one.
    """

    def __init__(self, increments: int | None = None) -> None:
        if increments is not None and increments < 1:
            raise GnnrecError(f"strategy.increments={increments} must be 1 or more, or null for all")
        self.increments = increments
        self._parts: list[Interactions] = []

    @property
    def events(self) -> Interactions:
        """All of them, oldest first."""
        return Interactions.concat(self._parts)

    def without(self, removed: Interactions, room: int = 0) -> Interactions:
        """Return the events but for `removed`, of as many increments as leave `room` for so many more."""
        first = 0 if self.increments is None else max(len(self._parts) + room - self.increments, 0)
        return Interactions.concat([part.without(removed) for part in self._parts[first:]])

    def add(self, removed: Interactions, events: Interactions) -> None:
        """Let go of `removed` and of what is too old, and keep an increment's events."""
        self._parts = [*(part.without(removed) for part in self._parts), events]
        if self.increments is not None:
            self._parts = self._parts[-self.increments :]

    def state(self) -> StrategyState:
        """Return all columns, and how many events each increment has."""
        return {**to_state(Interactions.concat(self._parts)), "lengths": [len(part) for part in self._parts]}

    def restore(self, state: StrategyState) -> None:
        """Take up what `state` returned."""
        every = from_state({name: x for name, x in state.items() if name != "lengths"})
        ends = np.cumsum(state["lengths"]).tolist()
        self._parts = [every.take(slice(a, b)) for a, b in zip([0, *ends], ends, strict=False)]
