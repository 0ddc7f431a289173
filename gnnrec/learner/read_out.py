"""The read-out of a model, propagated once and kept until something changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from gnnrec.encoders.base import Encoder
from gnnrec.encoders.tables import Embeddings, checksum
from gnnrec.graph.bipartite import BipartiteGraph

Mark = tuple[Tensor, int, float]
"""A parameter or buffer, torch's count of what was written to it, and a checksum for what was written past that count."""


class ReadOutCache:
    """Embeddings of an encoder on a graph.

    Args:
        device: where they are made, and stay.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._z: Embeddings | None = None
        self._of: tuple[Encoder, BipartiteGraph] | None = None
        self._marks: list[Mark] = []
        self._pinned: Embeddings | None = None

    @torch.no_grad()
    def embed(self, encoder: Encoder, graph: BipartiteGraph) -> Embeddings:
        """Return the embeddings, those of before where encoder, graph and every weight and buffer are the same."""
        if self._pinned is not None:
            return self._pinned
        # Rows may be put in a table's place, written to, or written to behind torch's back (`.data`): all three are seen.
        if not self._holds(encoder, graph):
            encoder.eval()
            z: Embeddings = encoder.to(self.device)(graph.to(self.device))
            self._z, self._of = Embeddings(*(x.detach() for x in z)), (encoder, graph)
            encoder.cpu().train()
            self._marks = _marks(encoder)
        assert self._z is not None
        return self._z

    def _holds(self, encoder: Encoder, graph: BipartiteGraph) -> bool:
        return self._z is not None and self._of == (encoder, graph) and _alike(_marks(encoder), self._marks)

    @contextmanager
    def pinned(self, z: Embeddings) -> Iterator[None]:
        """Have `embed` return `z` within the block, whatever the encoder holds: weights in training may lie elsewhere."""
        held, self._pinned = self._pinned, z
        try:
            yield
        finally:
            self._pinned = held

    def fork(self) -> ReadOutCache:
        """Return an empty cache for a copy."""
        return ReadOutCache(self.device)

    def carried(self, encoder: Encoder, graph: BipartiteGraph, twin: Encoder) -> ReadOutCache:
        """Return a cache for a copy of `encoder` on the same graph: it holds a copy of what this one holds of the two."""
        fresh = self.fork()
        if self._holds(encoder, graph) and self._z is not None:
            fresh._z, fresh._of, fresh._marks = Embeddings(*(x.clone() for x in self._z)), (twin, graph), _marks(twin)
        return fresh


def _marks(encoder: Encoder) -> list[Mark]:
    weights = [(p, p._version, checksum(p)) for p in encoder.parameters()]
    # Buffers may hold anything, NaN and truth values with it, and be large: torch's count has to do.
    return weights + [(x, x._version, 0.0) for x in encoder.buffers()]


def _alike(now: list[Mark], then: list[Mark]) -> bool:
    return len(now) == len(then) and all(a[0] is b[0] and a[1:] == b[1:] for a, b in zip(now, then, strict=True))
