"""Checkpoints of a long fit, between epochs: one that was cut off goes on to the same bytes as one that was not.

One file: the checksum of what follows, a line of JSON, tensors as safetensors.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from gnnrec.core.files import sha256, write_atomic
from gnnrec.graph.spread import whole
from gnnrec.graph.taken import taken
from gnnrec.training.module import RecommendationModule
from gnnrec.training.ranks import agreed
from gnnrec.training.sampling import EpochBatches

log = logging.getLogger(__name__)
EVERY = 60.0
"""Seconds between two checkpoints."""
SHARE = 0.05
"""At most this share of the time goes into writing them."""
_SEPARATOR = "/"


@dataclass(frozen=True, slots=True)
class Earlier:
    """How far a fit had come when it was cut off: epochs, optimiser steps, seconds, edges that messages went along."""

    epochs: int = 0
    steps: int = 0
    seconds: float = 0.0
    edges: int = 0


class FitCheckpoint(pl.Callback):
    """Writes what a fit needs to go on after an epoch: weights, Adam's moments, callbacks (best weights, patience), generators.

    The order of events and the negatives are functions of the epoch's number, so that the number suffices.

    Args:
        path: of its file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.earlier = path, Earlier()
        self._generators: dict[str, Tensor] = {}
        self._batches: EpochBatches | None = None
        self._begin = self._next = 0.0
        self._taken = 0

    def resume(self, module: RecommendationModule, batches: EpochBatches, callbacks: Iterable[pl.Callback]) -> Earlier:
        """Bring a fit that has not begun to where the file has it, and return how far that is; without a file, nothing."""
        self._batches, self._begin = batches, time.monotonic()
        self._next, self._taken = self._begin + EVERY, taken()
        if (found := self._read()) is None:
            return self.earlier
        module.load_state_dict(found["weights"])
        module.moments, batches.epoch = found["moments"], found["batches"]
        for callback in callbacks:
            callback.load_state_dict(found["callbacks"].get(type(callback).__name__, {}))
        self._generators, self.earlier = found["generators"], Earlier(**found["earlier"])
        module.taken, module.passed = self.earlier.steps, self.earlier.epochs
        return self.earlier

    def restore_generators(self) -> None:
        """Set torch's generators as they were, for layers that draw from them."""
        if "cpu" in self._generators:
            torch.set_rng_state(self._generators["cpu"])
        if "cuda" in self._generators:
            torch.cuda.set_rng_state(self._generators["cuda"])

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write, if it is time, what the epoch before has left: there is one to come, and early stopping knows the last."""
        now = time.monotonic()
        if trainer.current_epoch == 0 or not agreed(now >= self._next):
            return
        self._write(trainer, cast(RecommendationModule, pl_module), now)
        spent = time.monotonic() - now
        self._next = now + spent + max(EVERY, spent / SHARE)

    def remove(self) -> None:
        """Remove the file of a fit that is over."""
        self.path.unlink(missing_ok=True)

    def _write(self, trainer: pl.Trainer, module: RecommendationModule, now: float) -> None:
        assert self._batches is not None
        others = [c for c in cast(list[pl.Callback], trainer.callbacks) if c is not self]  # type: ignore[attr-defined]
        generators = {"cpu": torch.get_rng_state()}
        if module.device.type == "cuda":
            generators["cuda"] = torch.cuda.get_rng_state()
        earlier = {
            "epochs": self.earlier.epochs + trainer.current_epoch,
            "steps": self.earlier.steps + trainer.global_step,
            "seconds": self.earlier.seconds + now - self._begin,
            "edges": self.earlier.edges + taken() - self._taken,
        }
        tree = {
            "weights": module.state_dict(),
            "moments": module.adam_moments(),
            "batches": self._batches.epoch,
            "callbacks": {type(c).__name__: c.state_dict() for c in others},
            "generators": generators,
            "earlier": earlier,
        }
        leaves = dict(_leaves(tree))
        tensors = {n: _own(x) for n, x in leaves.items() if isinstance(x, Tensor)}
        values = {n: x for n, x in leaves.items() if n not in tensors}
        content = json.dumps(values).encode() + b"\n" + save_tensors(tensors)
        write_atomic(self.path, sha256(content).encode() + b"\n" + content)

    def _read(self) -> dict[str, Any] | None:
        if not self.path.is_file():
            return None
        digest, _, content = self.path.read_bytes().partition(b"\n")
        if sha256(content).encode() != digest:
            log.warning("checkpoint %s is damaged; the fit begins again", self.path)
            return None
        values, tensors = content.split(b"\n", 1)
        return _tree({**json.loads(values), **load_tensors(tensors)})


def _own(x: Tensor) -> Tensor:
    return whole(x.detach()).cpu().clone(memory_format=torch.contiguous_format)


def _leaves(node: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what a tree of mappings holds by path; an empty mapping is a leaf."""
    for name, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{path}{name}{_SEPARATOR}")
        else:
            yield f"{path}{name}", value


def _tree(leaves: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in leaves.items():
        *parents, name = path.split(_SEPARATOR)
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = value
    return tree
