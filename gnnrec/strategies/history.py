"""Stored events, and increments, as the state of a strategy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import torch

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Features, Interactions, Observed
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


PARTS = ("train", "valid", "arrived", "folded")
"""Of an increment, what holds events that are there to be absorbed."""


def observed_state(increments: Sequence[Observed]) -> StrategyState:
    """Return increments, the base first, as tensors and what JSON holds; what they remove is left out."""
    found: StrategyState = {"increments": len(increments)}
    for t, new in enumerate(increments):
        found[f"{t}.numbers"] = [new.index, new.num_users, new.num_items]
        for part in PARTS:
            found |= {f"{t}.{part}.{name}": x for name, x in to_state(getattr(new, part)).items()}
        for kind, rows in (("user", new.features.user), ("item", new.features.item)) if new.features else ():
            if rows is not None:
                found[f"{t}.features.{kind}"] = torch.from_numpy(rows.copy())
    if increments:  # each has the keys of all nodes numbered by then
        found["keys.user"], found["keys.item"] = (
            torch.from_numpy(keys.view(np.int64).copy()) for keys in (increments[-1].user_key, increments[-1].item_key)
        )
    return found


def observed_from(state: StrategyState) -> list[Observed]:
    """Return the increments of which `observed_state` made this."""
    return [_observed(state, t) for t in range(int(state.get("increments", 0)))]


def _observed(state: StrategyState, t: int) -> Observed:
    index, users, items = state[f"{t}.numbers"]
    train, valid, arrived, folded = (
        from_state({f.name: state[f"{t}.{part}.{f.name}"] for f in fields(Interactions)}) for part in PARTS
    )
    user_key, item_key = (state[f"keys.{kind}"].numpy().view(np.uint64) for kind in ("user", "item"))
    rows = [None if (x := state.get(f"{t}.features.{kind}")) is None else x.numpy() for kind in ("user", "item")]
    features = Features(*rows) if any(x is not None for x in rows) else None
    keys = user_key[:users], item_key[:items]
    return Observed(index, train, valid, arrived, folded, users, items, *keys, features=features)
