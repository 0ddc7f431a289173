"""State after every increment, and what was measured on it, under checksums, written so that a kill leaves old or new.

state/000007/{weights,strategy}.safetensors  state.json    what the next update needs; only the newest few are kept
state/records/000007/{results,…}.parquet                   what was measured on increment 7; written once, never removed
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from gnnrec.core import resources
from gnnrec.core.errors import GnnrecError
from gnnrec.core.files import read_folder, remove_strays, write_folder

log = logging.getLogger(__name__)
FORMAT = 2
RECORDS = "records"
WEIGHTS = "weights.safetensors"
DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError)
"""What reading a state comes to that is not what was written."""

Kept = dict[str, Any]
"""What a strategy must store: tensors and JSON values by name."""


@dataclass(frozen=True, slots=True)
class State:
    """What a run needs to go on after increment `index`.

    Attributes:
        index: t.
        weights: the learner's tensors by name.
        strategy: the strategy's tensors and JSON values by name.
        meta: JSON values: blend weights, how far the graph had grown.
        tables: frames by name: what was measured on increment `index` in a state that is saved, up to it in one that is read.
    """

    index: int
    weights: dict[str, Tensor]
    strategy: Kept
    meta: dict[str, Any]
    tables: dict[str, pl.DataFrame] = field(default_factory=dict)


def split(kept: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return what a strategy stores as tensors that share no memory, and as JSON values; `join` undoes it.

    Raises:
        GnnrecError: a value is neither, or would not come back from JSON as what it is.
    """
    tensors = {name: _own(name, x) for name, x in kept.items() if isinstance(x, Tensor)}
    return tensors, {name: _plain(name, x) for name, x in kept.items() if name not in tensors}


def join(tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> Kept:
    """Return the strategy's state from its two parts."""
    return {**tensors, **values}


def nbytes(kept: Mapping[str, Any]) -> int:
    """Return the bytes of a strategy's state: of its tensors, and of its other values as JSON."""
    tensors, values = split(kept)
    return sum(x.nbytes for x in tensors.values()) + (len(json.dumps(values)) if values else 0)


def _own(name: str, x: Tensor) -> Tensor:
    if x.layout != torch.strided:
        raise GnnrecError(f"a strategy's state holds '{name}' as {x.layout}; store its indices and values instead")
    # Views of one table and transposed ones are common in a state, and safetensors takes neither.
    return x.detach().cpu().clone(memory_format=torch.contiguous_format)


def _plain(name: str, value: Any) -> Any:
    try:
        same = bool(json.loads(json.dumps(value)) == value)
    except (TypeError, ValueError):
        same = False
    if not same:
        raise GnnrecError(
            f"a strategy's state holds '{name}', a {type(value).__name__} that JSON does not give back as it is; "
            "a state holds tensors, finite numbers, strings, lists, and dicts with strings as keys"
        )
    return value


def save(folder: Path, state: State, keep: int = 2) -> None:
    """Write what was measured and then the state below `folder`, and remove all but the newest `keep` states."""
    # The record comes first: a state whose records are incomplete could not be gone on from.
    write_folder(_record(folder, state.index), {f"{name}.parquet": _parquet(f) for name, f in state.tables.items()})
    write_folder(folder / f"{state.index:06d}", contents_of(state))
    for old in _numbered(folder)[:-keep] if keep > 0 else []:
        shutil.rmtree(old)


def load_newest(folder: Path) -> State | None:
    """Return the newest state that is whole, with all that was measured up to it; None where there is none.

    One that is damaged, itself or in its records, is passed over with a warning.

    Raises:
        GnnrecError: another version of gnnrec saved it.
    """
    if not folder.is_dir():
        return None
    for place in (folder, folder / RECORDS):
        remove_strays(place)
    for path in reversed(_numbered(folder)):
        try:
            return _read(path)
        except GnnrecError:
            raise
        except DAMAGED as error:
            if resources.of_files(error) or resources.of_memory(error):  # it may well be whole
                raise
            log.warning("state %s is damaged (%s); going back to the one before it", path, error)
    return None


def contents_of(state: State) -> dict[str, bytes]:
    """Return the files of a state, without what was measured."""
    tensors, values = split(state.strategy)
    meta = {"format": FORMAT, "index": state.index, "strategy": values, **state.meta}
    return {
        WEIGHTS: save_tensors(state.weights),
        "strategy.safetensors": save_tensors(tensors),
        "state.json": json.dumps(meta, indent=1, sort_keys=True).encode(),
    }


def read_state(path: Path) -> State:
    """Return the state in a folder, without what was measured.

    Raises:
        GnnrecError: another version of gnnrec saved it.
        Exception: one of `DAMAGED`, where it is.
    """
    contents = read_folder(path)
    meta = json.loads(contents["state.json"])
    if (found := meta["format"]) != FORMAT:
        raise GnnrecError(
            f"{path} was saved by {'an older' if found < FORMAT else 'a newer'} version of gnnrec (format {found}, this one "
            f"has {FORMAT}); go on with that version, or run it again without resume=true"
        )
    weights, strategy = (load_tensors(contents[f"{n}.safetensors"]) for n in ("weights", "strategy"))
    return State(meta["index"], weights, join(strategy, meta.pop("strategy")), meta)


def _read(path: Path) -> State:
    found = read_state(path)
    return replace(found, tables=_measured(path.parent, found.index))


def _measured(folder: Path, until: int) -> dict[str, pl.DataFrame]:
    """Return the records of increments 0 to `until` as one."""
    records = [read_folder(_record(folder, t)) for t in range(until + 1)]
    return {
        name.removesuffix(".parquet"): pl.concat(
            [pl.read_parquet(BytesIO(record[name])) for record in records if name in record],  # not all have examples
            how="diagonal",  # what was written before a column was added lacks it
        )
        for name in dict.fromkeys(name for record in records for name in record)
    }


def _record(folder: Path, index: int) -> Path:
    return folder / RECORDS / f"{index:06d}"


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _numbered(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.name.isdigit())
