"""environment.json in the folder of a run or a base: what it was made by, each process that worked at it once.

[{"run": digest, "code": {…}, "environment": {…}, "device": {…}, "threads": {…}}]
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gnnrec import __version__
from gnnrec.config.sources import sources
from gnnrec.core import environment
from gnnrec.core.files import write_atomic

NAME = "environment.json"
PARTS = ("code", "environment", "device", "threads")
"""What a description consists of; the data are in status.json."""
MadeBy = dict[str, Any]
"""What one process computed by."""
Config = Mapping[str, Any]


def described(config: Config) -> MadeBy:
    """Return what this process computes by."""
    return {
        "code": _code(config),
        "environment": {
            **environment.interpreter(),
            **environment.installed(),
            "constraints.txt": environment.lock_hash(),
            **environment.variables(),
            **_flags(config),
        },
        "device": _device(config),
        "threads": {"torch": torch.get_num_threads(), "numpy": environment.product_threads()},
    }


def note(folder: Path, config: Config, digest: str, resume: bool) -> None:
    """Write what a run is made by; where it goes on, behind what it was made by so far."""
    now = {"run": digest, **described(config)}
    earlier = (read(folder) or []) if resume else []
    write_atomic(folder / NAME, json.dumps(earlier if earlier[-1:] == [now] else [*earlier, now], indent=1))


def take_over(other: Path, folder: Path) -> None:
    """Let a folder say of the weights that it takes over what made them; nothing where that is not told."""
    if (path := other / NAME).is_file():
        write_atomic(folder / NAME, path.read_bytes())


def read(folder: Path) -> list[MadeBy] | None:
    """Return what the run in a folder was made by, by process; None: it is not told, as by runs of older versions."""
    try:
        found = json.loads((folder / NAME).read_text())
    except (OSError, ValueError):
        return None
    whole = isinstance(found, list) and found and all(isinstance(f, dict) and {"run", *PARTS} <= set(f) for f in found)
    return found if whole else None


def threads_of(made_by: list[MadeBy] | None, config: Config) -> int | None:
    """Return the threads of torch that a run had: as noted, else as configured; None: not told."""
    noted = made_by[-1]["threads"].get("torch") if made_by else config.get("threads")
    return int(noted) if noted else None


def _code(config: Config) -> dict[str, Any]:
    plugins = sources(config, [str(p) for p in config["plugins"]["allow"]])
    return {"gnnrec": __version__, "code of gnnrec": environment.code_hash(), **plugins}


def _flags(config: Config) -> dict[str, Any]:
    asked = config["trainer"].get("deterministic")
    return {
        "deterministic": bool(torch.are_deterministic_algorithms_enabled() if asked is None else asked),
        "matmul precision": torch.get_float32_matmul_precision(),
    }


def _device(config: Config) -> dict[str, Any]:
    own = {**environment.processor(), "kernels": torch.backends.cpu.get_cpu_capability()}
    if str(config["trainer"].get("accelerator", "auto")) == "cpu" or not torch.cuda.is_available():
        return {"device": "cpu", **own}
    versions = {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}  # type: ignore[no-untyped-call]
    return {"device": torch.cuda.get_device_name(), **versions, **own}
