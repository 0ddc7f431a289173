"""The runs below a folder as a table, read from their files alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from gnnrec.core.errors import GnnrecError
from gnnrec.core.locks import LOCK, held
from gnnrec.evaluation import results

SCORERS = ("model", "blend")
STATUS, CONFIG, TABLE = "status.json", "config.yaml", "results.parquet"
SHARED = ("base-", "references-")
"""How folders begin that hold what runs share."""
DIGITS = 10
"""Of a fingerprint."""


def listed(root: Path, k: int = 20) -> pl.DataFrame:
    """Return a row per run below a folder, deeper ones too: where, how it stands, data and protocol by the first digits of
    their hashes, recall@k of what comes next by model and by blend, seconds per update (means over increments).

    Raises:
        GnnrecError: there is none.
    """
    folders = sorted(path.parent for path in root.rglob(STATUS) if (path.parent / CONFIG).is_file())
    rows = [_line(folder, root, k) for folder in folders if not folder.name.startswith(SHARED)]
    if not rows:
        raise GnnrecError(f"{root} holds no run: name a folder written by `gnnrec run` or `gnnrec compare`")
    return pl.DataFrame(rows, infer_schema_length=None)


def outcome(folder: Path, k: int = 20) -> dict[str, float | None]:
    """Return what came of a run: recall@k by scorer and seconds per update; None where there is nothing to say."""
    recall, seconds = dict[str, float](), dict[str, float]()
    if (path := folder / TABLE).is_file():
        frame = pl.read_parquet(path, glob=False)
        recall = _values(results.next_mean(frame, f"recall@{k}"))
        seconds = _values(results.cost_mean(frame))
    return {**{f"recall@{k} {s}": recall.get(s) for s in SCORERS}, "s/update": seconds.get("model")}


def _line(folder: Path, root: Path, k: int) -> dict[str, Any]:
    try:
        status = dict(json.loads((folder / STATUS).read_text()))
    except (OSError, ValueError, TypeError):
        status = {"status": "damaged"}
    return {
        "run": folder.name if folder == root else str(folder.relative_to(root)),
        "state": _state(folder, str(status.get("status", "damaged"))),
        "data": str(status.get("fingerprint", ""))[:DIGITS],
        "protocol": str(status.get("protocol", "")),
        **outcome(folder, k),
    }


def _state(folder: Path, said: str) -> str:
    """Return how a run stands: one that is said to be running and that no process holds was killed."""
    return "killed" if said == "running" and held(folder / LOCK) is None else said


def _values(frame: pl.DataFrame) -> dict[str, float]:
    return dict(frame.select("scorer", "value").drop_nulls().iter_rows())
