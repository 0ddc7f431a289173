"""One model over several processes: each holds a share of the columns of every table, and of Adam's moments of them."""

from __future__ import annotations

from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor


def spread(module: nn.Module, tables: set[int], mesh: DeviceMesh) -> None:
    for part in module.modules():
        for name, p in list(part._parameters.items()):
            if p is None or not p.requires_grad:
                continue
            place = Shard(1) if id(p) in tables else Replicate()
            x = distribute_tensor(p.detach(), mesh, [place], src_data_rank=None)
            part._parameters[name] = nn.Parameter(x)


def gather(module: nn.Module) -> None:
    for part in module.modules():
        for name, p in list(part._parameters.items()):
            if isinstance(p, DTensor):
                part._parameters[name] = nn.Parameter(whole(p.detach()))


def whole(x: Tensor) -> Tensor:
    return x.full_tensor() if isinstance(x, DTensor) else x
