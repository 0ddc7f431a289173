"""State after every increment: safetensors, JSON and tables under checksums, written so that a kill leaves old or new.

state/000007/{weights,strategy}.safetensors  state.json  results.parquet  …  SHA256SUMS
"""

from __future__ import annotations

import json
import logging
import secrets
import shutil
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from gnnrec.core import resources
from gnnrec.core.files import sha256, sync_folder, write_durable

log = logging.getLogger(__name__)
FORMAT = 1


@dataclass(frozen=True, slots=True)
class State:
    """What a run needs to go on after increment `index`.

    Attributes:
        index: t.
        weights, strategy: tensors by name.
        meta: JSON values: blend weights, costs.
        tables: frames by name: results so far.
    """

    index: int
    weights: dict[str, Tensor]
    strategy: dict[str, Tensor]
    meta: dict[str, Any]
    tables: dict[str, pl.DataFrame] = field(default_factory=dict)


def save(folder: Path, state: State, keep: int = 2) -> None:
    """Write `state` below `folder` and remove all but the newest `keep` states.

    Everything goes to a temporary folder first, is synced, and takes its name in one rename.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target, temporary = folder / f"{state.index:06d}", folder / f".{state.index:06d}.{secrets.token_hex(4)}.tmp"
    temporary.mkdir()
    contents = _contents(state)
    sums = "".join(f"{sha256(content)}  {name}\n" for name, content in contents.items())
    for name, content in {**contents, "SHA256SUMS": sums.encode()}.items():
        write_durable(temporary / name, content)
    sync_folder(temporary)
    if target.exists():
        shutil.rmtree(target)
    temporary.rename(target)
    sync_folder(folder)
    for old in _numbered(folder)[:-keep] if keep > 0 else []:
        shutil.rmtree(old)


def load_newest(folder: Path) -> State | None:
    """Return the newest state whose checksums hold, None where there is none; damaged ones are passed over, said."""
    if not folder.is_dir():
        return None
    for stray in folder.glob(".*.tmp"):
        shutil.rmtree(stray, ignore_errors=True)
    for path in reversed(_numbered(folder)):
        try:
            return _read(path)
        except (OSError, ValueError, KeyError) as error:
            if resources.of_files(error) or resources.of_memory(error):  # it may well be whole
                raise
            log.warning("state %s is damaged (%s); going back to the one before it", path, error)
    return None


def _contents(state: State) -> dict[str, bytes]:
    meta = {"format": FORMAT, "index": state.index, **state.meta}
    return {
        "weights.safetensors": save_tensors(state.weights),
        "strategy.safetensors": save_tensors(state.strategy),
        "state.json": json.dumps(meta, indent=1, sort_keys=True).encode(),
        **{f"{name}.parquet": _parquet(frame) for name, frame in state.tables.items()},
    }


def _read(path: Path) -> State:
    sums = (line.split("  ", 1) for line in (path / "SHA256SUMS").read_text().splitlines())
    contents = {}
    for digest, name in sums:
        contents[name] = (path / name).read_bytes()
        if sha256(contents[name]) != digest:
            raise ValueError(f"checksum of {name} differs")
    meta = json.loads(contents["state.json"])
    if meta["format"] != FORMAT:
        raise ValueError(f"format {meta['format']}, this version reads {FORMAT}")
    tables = {n.removesuffix(".parquet"): pl.read_parquet(BytesIO(c)) for n, c in contents.items() if ".parquet" in n}
    weights, strategy = (load_tensors(contents[f"{n}.safetensors"]) for n in ("weights", "strategy"))
    return State(meta["index"], weights, strategy, meta, tables)


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _numbered(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.name.isdigit())
