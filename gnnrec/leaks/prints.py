"""Everything that the next update and the scores depend on, as bytes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from gnnrec.learner import Learner
from gnnrec.strategies.base import Strategy


def fingerprint(learner: Learner, strategy: Strategy | None = None) -> dict[str, bytes]:
    """Return the bytes of everything the next update and the scores depend on."""
    parts = {
        **learner.state_dict(),
        **({f"strategy.{n}": x for n, x in strategy.state_dict().items()} if strategy else {}),
    }
    result = {n: x.numpy().tobytes() if isinstance(x, torch.Tensor) else repr(x).encode() for n, x in parts.items()}
    for name, graph in (("graph", learner.graph), ("seen", learner.seen)):
        result[name] = (
            b"".join(column.tobytes() for column in graph.edges()) + f"{graph.num_users} {graph.num_items}".encode()
        )
    counts = learner.counters
    for key, column in (("total", counts.popularity.total), *counts.popularity.decayed.items()):
        result[f"popularity.{key}"] = column.tobytes()
    result["companion"] = counts.companion.known_scores(np.arange(counts.num_users)).tobytes()
    result["blend"] = repr((learner.blend.weights.as_dict(), learner.blend.half_life)).encode()
    result |= {f"evidence.{what}": quality.tobytes() for what, quality in learner.blend.evidence.items()}
    result["index"] = str(learner.index).encode()
    return result


def differing(a: Mapping[str, bytes], b: Mapping[str, bytes]) -> list[str]:
    """Return the names whose bytes differ; a readable failure is worth a function."""
    return sorted(name for name in {*a, *b} if a.get(name) != b.get(name))
