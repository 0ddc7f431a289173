"""One model over several processes: each rank holds a share of the columns of every table, and of Adam's moments of them.

LightGCN passes on each column by itself, so propagation exchanges nothing; a step exchanges the scores of its batch. What is
written about whole tables (objectives, penalties, Adam) stays as it is: a spread table is a DTensor, whose operations
are those of the whole table, and which exchanges what these need. Outside of a fit tables are whole on every rank.

Every rank runs the same program on the same events, under one seed. `agreed` has them decide alike where clocks differ,
`check_alike` ends a run whose ranks have come apart. Letters: n rows, d width, r ranks.
"""

from __future__ import annotations

import atexit
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor, Placement, Replicate, Shard
from torch.distributed.tensor.experimental import implicit_replication, register_sharding

from gnnrec.core.errors import GnnrecError
from gnnrec.core.ranks import count, here, spreads
from gnnrec.encoders.base import Encoder
from gnnrec.graph.spread import whole

_GONE = re.compile(
    r"by peer|peer closed|connection (refused|aborted)|remote (process|worker)|timed out waiting", re.IGNORECASE
)
PATIENCE = timedelta(minutes=30)
"""How long a rank waits for the others: a fit of theirs may begin with reading a store."""


def mesh_of(options: Mapping[str, Any]) -> DeviceMesh | None:
    """Return the ranks that a Trainer of these options spreads tables over, [r]; None: tables stay whole.

    Raises:
        GnnrecError: more processes are asked for than were begun.
    """
    if not spreads(options):
        return None
    if (asked := int(options.get("devices", 1))) != here():
        raise GnnrecError(
            f"trainer.devices={asked} asks for {asked} processes on this machine, and there {'is' if here() == 1 else 'are'} "
            f"{here()}: `gnnrec run`, compare and sweep begin as many; a program of your own is begun by "
            f"`torchrun --nproc-per-node {asked} PROGRAM`"
        )
    if count() == 1:
        return None
    return _joined("cuda" if str(options.get("accelerator")) in ("gpu", "cuda") else "cpu")


def check_spreads(options: Mapping[str, Any], encoder: Encoder) -> None:
    """Refuse an encoder whose tables cannot be spread, where a Trainer of these options would.

    Raises:
        GnnrecError: it cannot, or has fewer columns than there are ranks.
    """
    if not spreads(options):
        return
    name, devices = type(encoder).__name__, int(options.get("devices", 1))
    if not encoder.spreads:
        raise GnnrecError(
            f"trainer=dimension_parallel does not spread {name}, which does not pass on each column by itself; lightgcn, mf, "
            "ngcf, xsimgcl and features are spread"
        )
    if encoder.width < devices:
        raise GnnrecError(
            f"encoder.width={encoder.width} columns cannot be spread over trainer.devices={devices} ranks"
        )


@register_sharding(torch.ops.aten._cdist_forward.default)  # type: ignore[untyped-decorator]
def _distances(*_: Any) -> list[Any]:
    """Let distances be taken between whole rows, on every rank: torch has no rule of its own for them."""
    return [([Replicate()], [Replicate(), Replicate(), None, None])]


@register_sharding(torch.ops.aten._cdist_backward.default)  # type: ignore[untyped-decorator]
def _slopes(*_: Any) -> list[Any]:
    return [([Replicate()], [Replicate(), Replicate(), Replicate(), None, Replicate()])]


@cache
def _joined(kind: str) -> DeviceMesh:
    """Join the other ranks, once in a process: their numbers and address are in the environment, as torchrun sets them."""
    if not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo", timeout=PATIENCE)
        atexit.register(dist.destroy_process_group)  # else its threads may abort a process that has done its work
    return init_device_mesh(kind, (count(),))


def spread(module: nn.Module, tables: set[int], mesh: DeviceMesh) -> None:
    """Leave this rank its columns of the trained parameters whose ids are in `tables`; the others stay whole on every rank."""
    for part in module.modules():
        for name, p in part.named_parameters(recurse=False):
            if p.requires_grad:
                placed = placed_by(p.detach(), mesh, Shard(1) if id(p) in tables else Replicate())
                part.register_parameter(name, nn.Parameter(placed))


def placed_by(x: Tensor, mesh: DeviceMesh, place: Placement) -> DTensor:
    """Return `x`, the same on all ranks, as this rank is to hold it: cut first, so that no device ever holds the whole."""
    own = x
    if isinstance(place, Shard):
        parts = x.chunk(mesh.size(), place.dim)
        rank = mesh.get_local_rank()
        own = parts[rank] if rank < len(parts) else x.narrow(place.dim, 0, 0)
    own = own.to(mesh.device_type, copy=True).contiguous()
    return DTensor.from_local(own, mesh, [place], run_check=False, shape=x.shape, stride=x.stride())


def gather(module: nn.Module) -> None:
    """Give every rank the whole parameters again."""
    for part in module.modules():
        for name, p in part.named_parameters(recurse=False):
            if isinstance(p, DTensor):
                part.register_parameter(name, nn.Parameter(whole(p.detach())))


def placed_as(x: Tensor, like: Tensor) -> Tensor:
    """Return `x`, the same on all ranks, spread as `like` is."""
    if not isinstance(like, DTensor):
        return x
    return placed_by(x.contiguous(), like.device_mesh, like.placements[0])


@contextmanager
def alike_elsewhere(mesh: DeviceMesh | None) -> Iterator[None]:
    """Take tensors that are not spread for the same on every rank, as all are that a run computes."""
    if mesh is None:
        yield
        return
    with implicit_replication(), _together():
        yield


@contextmanager
def _together() -> Iterator[None]:
    """Say in the block that another rank is gone where torch speaks of its connection.

    Raises:
        GnnrecError: another rank has ended.
    """
    try:
        yield
    except RuntimeError as error:
        if not _GONE.search(str(error)):
            raise
        raise GnnrecError(
            "another rank has ended, and this one with it: rank 0 keeps its states, resume=true goes on from the newest"
        ) from error


def agreed(value: float) -> float:
    """Return rank 0's value: whatever a clock says is decided by one."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return value
    told = torch.tensor([value], dtype=torch.float64)
    with _together():
        dist.broadcast(told, 0)
    return float(told)


def summed(value: float) -> float:
    """Return the sum of all ranks' values."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return value
    told = torch.tensor([value], dtype=torch.float64)
    with _together():
        dist.all_reduce(told)
    return float(told)


def check_alike(what: Mapping[str, Any]) -> None:
    """End a run whose ranks are not at the same place: what they would exchange would be of different things.

    Raises:
        GnnrecError: ranks differ in one of the values.
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return
    told: list[Any] = [None] * dist.get_world_size()
    with _together():
        dist.all_gather_object(told, json.dumps(dict(what)))
    for rank, other in enumerate(map(json.loads, told)):
        for key, value in json.loads(told[0]).items():
            if other[key] != value:
                raise GnnrecError(
                    f"ranks have come apart: {key} is {value} on rank 0 and {other[key]} on rank {rank}; all must "
                    "have the same data, configuration, versions and kind of machine"
                )
