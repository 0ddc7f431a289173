"""Helpers of the data tests: small logs in memory, composed configurations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from gnnrec.data.clean.ids import coded
from gnnrec.data.dataset import Counts, Dataset

CONF = Path(__file__).resolve().parents[2] / "conf"


def composed(*overrides: str) -> DictConfig:
    """Compose conf/ with overrides."""
    with initialize_config_dir(str(CONF), version_base=None):
        return compose(overrides=list(overrides))


def make_log(
    users: Sequence[object],
    items: Sequence[object],
    times: Sequence[float] | None = None,
    values: Sequence[float] | None = None,
    **extra: Sequence[object],
) -> Dataset:
    """Return a data set of events in the order given (times must ascend)."""
    user_ids, user_code = coded(pl.Series([str(u) for u in users], dtype=pl.String))
    item_ids, item_code = coded(pl.Series([str(i) for i in items], dtype=pl.String))
    n = len(users)
    value = np.ones(n) if values is None else np.asarray(values, float)
    time = None if times is None else np.asarray(times, float)
    raw = {k: np.array([str(x) for x in v], object) for k, v in extra.items()}
    ids = user_code, item_code, user_ids, item_ids
    return Dataset("log", *ids, value, time, Counts(n, n), "explicit", extra=raw)
