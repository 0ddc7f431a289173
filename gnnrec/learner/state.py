"""What a learner must store for its next update, and how it takes that up again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from gnnrec.data.types import Interactions
from gnnrec.encoders.base import Encoder
from gnnrec.encoders.tables import load_resized
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.learner.blend import BlendHead
from gnnrec.learner.history import History
from gnnrec.learner.waiting import Waiting
from gnnrec.objectives.base import Objective
from gnnrec.training.ahead import Ahead
from gnnrec.training.fit import Fits


class LearnerParts(Protocol):
    """What a learner is made of."""

    encoder: Encoder
    objective: Objective
    fits: Fits
    blend: BlendHead
    waiting: Waiting
    history: History


def tensors(learner: LearnerParts) -> dict[str, Tensor]:
    """Return every tensor that the next update needs beside the graph, and that too where it is not the view's."""
    parts = {"encoder": learner.encoder, "objective": learner.objective}
    state = {f"{part}.{name}": x for part, module in parts.items() for name, x in module.state_dict().items()}
    state |= {f"moments.{n}.{k}": v for n, m in learner.fits.moments.items() for k, v in m.items()}
    state |= {f"ahead.{name}": x for name, x in learner.fits.ahead.tensors().items()}
    if learner.history.own_graph:
        user, item = learner.history.graph.edges()
        state |= {"graph.user": torch.from_numpy(user), "graph.item": torch.from_numpy(item)}
    return {name: x.detach().clone().contiguous() for name, x in state.items()}


def meta(learner: LearnerParts) -> dict[str, Any]:
    """Return what the next update needs beside tensors, as JSON."""
    return {
        "absorbed": learner.history.index,
        **learner.blend.meta(),
        "pending_from": learner.waiting.next(learner.history.index),
        "ahead": learner.fits.ahead.meta(),
    }


def load(learner: LearnerParts, state: Mapping[str, Tensor], known: Mapping[str, Any] | None) -> None:
    """Make `learner`, which has followed the stream, the one whose `tensors` and `meta` these are."""
    parts = _by_part(state)
    for name, module in (("encoder", learner.encoder), ("objective", learner.objective)):
        load_resized(module, parts.get(name, {}))
    # A strategy may have widened the tables since the encoder was built; rows of new nodes have to be as wide.
    if learner.encoder.keeps_rows and (more := learner.encoder.user.width - learner.encoder.width):
        learner.encoder.width, learner.encoder.out = learner.encoder.width + more, learner.encoder.out + more
    learner.fits.moments = {}
    for name, x in parts.get("moments", {}).items():
        parameter, key = name.rsplit(".", 1)
        learner.fits.moments.setdefault(parameter, {})[key] = x.clone()
    learner.fits.ahead = Ahead.of((known or {}).get("ahead", []), parts.get("ahead", {}))
    if own := parts.get("graph"):
        edges = Interactions.pairs(own["user"].numpy(), own["item"].numpy())
        learner.history.use(
            BipartiteGraph.empty().extend(edges, learner.history.seen.num_users, learner.history.seen.num_items)
        )
    if known is None:
        learner.waiting.clear()  # the biases of this state are as they should be
    else:
        learner.blend.load(known)
    learner.waiting.solved = not len(learner.waiting)


def nbytes(learner: LearnerParts) -> int:
    """Bytes that must be stored for the next update: weights, moments, edges, popularity."""
    views = {id(g): g.nbytes for g in (learner.history.graph, learner.history.seen)}
    return (
        sum(x.nbytes for x in tensors(learner).values())
        + sum(views.values())
        + learner.history.counters.popularity.nbytes
    )


def _by_part(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Return the tensors of a saved state by the part of their names before the first dot."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, x in state.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = x
    return parts
