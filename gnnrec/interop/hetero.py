"""A log up to an increment as PyG's `HeteroData`: never anything of later. Letters: e events, u users, i items, f features."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import HeteroData

from gnnrec.core.errors import GnnrecError
from gnnrec.core.files import write_atomic
from gnnrec.data.matching import matched
from gnnrec.data.types import Features, Interactions, Ints, Singles, Stream
from gnnrec.interop.extract import check_increment

RATES, RATED_BY = ("user", "rates", "item"), ("item", "rev_rates", "user")
SECONDS, MICROSECONDS = "s", "us"


def hetero(stream: Stream, t: int) -> HeteroData:
    """Return everything absorbed up to increment `t`, an edge per event and direction.

    Nodes have the stream's numbers: those of an earlier increment are a prefix of those of a later one.
    Per node type: `num_nodes`, `id` (external ids), and where the data have features `x` [u or i, f] with `x_known`, which says
    whose are known; the others are NaN.
    Per edge type, each [e] in order of time: `edge_index` [2, e], `value`, `time` (int64, in seconds, or in microseconds where
    some event has a fraction; `time_unit` says which), `increment`, and `valid` for events that increment `t` selected on.
    Both directions hold the same events in the same order: with one alone PyG's symmetric normalisation weighs every edge 0.

    Args:
        stream: of increments; without times, `time` is the number of the increment.
        t: the last increment, 0 for the base.

    Raises:
        GnnrecError: there is no such increment.
    """
    check_increment(stream, t)
    events, increment, valid = _events(stream, t)
    last = stream.increments[t].observed
    known = None if stream.features is None else stream.features.first(last.num_users, last.num_items)
    data = HeteroData()
    for kind, ids, number in (("user", stream.users, last.num_users), ("item", stream.items, last.num_items)):
        data[kind].num_nodes, data[kind].id = number, ids[:number].tolist()
        if (table := _table(known, kind)) is not None:
            data[kind].x = torch.from_numpy(table.copy())
            data[kind].x_known = ~data[kind].x.isnan().any(1)
    time, data.time_unit = _clock(events)
    data.increment = t
    ends = torch.from_numpy(np.stack([events.user, events.item]))
    for edge, index in ((RATES, ends), (RATED_BY, ends.flip(0))):
        store = data[edge]
        store.edge_index, store.value = index.contiguous(), torch.from_numpy(events.value).float()
        store.time, store.increment, store.valid = time.clone(), torch.from_numpy(increment), torch.from_numpy(valid)
    return data


def save(data: HeteroData, path: Path) -> None:
    """Write it so that `torch.load` and `HeteroData.from_dict` read it: tensors and texts, so that no code is run.

    Raises:
        GnnrecError: the file does not end in .pt, or cannot be written.
    """
    if path.suffix != ".pt":
        raise GnnrecError(f"{path} must end in .pt")
    buffer = io.BytesIO()
    torch.save(data.to_dict(), buffer)
    try:
        write_atomic(path, buffer.getvalue())
    except OSError as error:
        raise GnnrecError(f"{path} cannot be written: {error.strerror}; choose another file") from error


def _events(stream: Stream, t: int) -> tuple[Interactions, Ints, NDArray[np.bool_]]:
    """Return absorbed events in order of time, the increment that brought each, and whether increment `t` selected on it."""
    events, born = Interactions.empty(), np.empty(0, np.int64)
    held = 0
    for new in (i.observed for i in stream.increments[: t + 1]):
        if len(new.removed):
            kept = ~matched(events.columns, new.removed.columns)
            events, born = events.take(kept), born[kept]
        events = Interactions.concat([events, new.arrived, new.folded])
        born = np.concatenate([born, np.full(len(events) - len(born), new.index)])
        held = len(new.folded)
    valid = np.arange(len(events)) >= len(events) - held
    order = np.argsort(events.time, kind="stable")
    return events.take(order), born[order], valid[order]


def _table(known: Features | None, kind: str) -> Singles | None:
    return None if known is None else known.user if kind == "user" else known.item


def _clock(events: Interactions) -> tuple[Tensor, str]:
    if np.array_equal(events.time, np.floor(events.time)):
        return torch.from_numpy(events.time.astype(np.int64)), SECONDS
    return torch.from_numpy(np.round(events.time * 1e6).astype(np.int64)), MICROSECONDS
