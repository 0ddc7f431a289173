"""A table of results that looks like a real one: 6 strategies × 2 scorers × 3 seeds × 10 increments, and references."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from gnnrec.evaluation.results import SCHEMA, check, summary

STRATEGIES = {  # quality of the next increment, decay, seconds
    "stale": (0.10, 0.008, 0.02),
    "frozen": (0.14, 0.004, 0.3),
    "fine_tune": (0.165, 0.001, 1.8),
    "replay": (0.172, 0.0005, 3.1),
    "full_retrain": (0.180, 0.0, 42.0),
    "warm_retrain": (0.179, 0.0, 20.0),
}
REFERENCES = {"popularity": 0.09, "decayed_popularity": 0.155, "itemknn": 0.12}


def _pretend(
    increments: int = 10,
    seeds: int = 3,
    strategies: dict[str, tuple[float, float, float]] = STRATEGIES,
    test: bool = True,
) -> pl.DataFrame:
    rng, rows = np.random.default_rng(0), []

    def add(
        key: tuple[object, ...], t: int, k: int, split: str, metric: str, value: float, segment: str = "all"
    ) -> None:
        rows.append(("pretend", *key, t, k, split, segment, metric, float(value), 1000 + 10 * t))

    def ranking(key: tuple[object, ...], t: int, k: int, split: str, value: float) -> None:
        for metric, share in (
            ("recall@20", 1.0),
            ("ndcg@20", 0.5),
            ("mrr@20", 0.4),
            ("hit_rate@20", 1.4),
            ("map@20", 0.2),
        ):
            add(key, t, k, split, metric, value * share)
        add(key, t, k, split, "recall@20", value * 1.15, "known_user")
        add(key, t, k, split, "recall@20", value * 0.6, "new_user")

    def row(key: tuple[object, ...], quality: float, decay: float, seconds: float | None, mse: float | None) -> None:
        bump = rng.normal(0, 0.003)
        for t in range(increments + 1):
            now = quality - decay * t + 0.012 * np.sin(t) + bump + rng.normal(0, 0.001)
            if t < increments:
                ranking(key, t, t + 1, "next", now)
                add(key, t, t + 1, "next", "ceiling", 0.94 - 0.004 * t)
                if mse is not None:
                    add(key, t, t + 1, "next", "mse", mse + 6 * decay * t + rng.normal(0, 0.004))
                    add(key, t, t + 1, "next", "rmse", np.sqrt(mse))
            for k in range(min(t + 4, increments) + 1 if test else 0):
                ranking(key, t, k, "test", now + (0.02 - 0.002 * (t - k) if k <= t else -0.006 * (k - t)))
            if seconds is not None:
                add(key, t, t, "cost", "seconds", seconds * (1 + 0.08 * t) * rng.uniform(0.9, 1.1))
                add(key, t, t, "cost", "bytes_kept", 1e6 + 1e4 * t)
                add(key, t, t, "cost", "peak_memory", 5e8)

    for name, (quality, decay, seconds) in strategies.items():
        for seed in range(seeds):
            row((name, "model", seed), quality, decay, seconds, 0.95 - quality)
            row((name, "blend", seed), quality + 0.04, decay / 2, seconds + 0.4, None)
    for name, quality in REFERENCES.items():
        row((name, "reference", None), quality, 0.0, None, None)
    return check(pl.DataFrame(rows, schema=SCHEMA, orient="row"))


@pytest.fixture(scope="session")
def pretend() -> Callable[..., pl.DataFrame]:
    """The maker itself: pretend(increments, seeds, strategies, test)."""
    return _pretend


@pytest.fixture(scope="session")
def results() -> pl.DataFrame:
    return _pretend()


@pytest.fixture(scope="session")
def overview(results: pl.DataFrame) -> pl.DataFrame:
    return summary(results)


@pytest.fixture(scope="session")
def predictions() -> pl.DataFrame:
    rng = np.random.default_rng(1)
    frames = []
    for name, (quality, _, _) in STRATEGIES.items():
        for when, noise in (("before", 1.0), ("after", 1.2 - 3 * quality)):
            true = rng.choice(np.arange(1, 6), 2000, p=[0.06, 0.11, 0.27, 0.34, 0.22]).astype(float)
            predicted = 3.5 + 0.45 * (true - 3.5) + rng.normal(0, noise, 2000) * 0.6
            frames.append(
                pl.DataFrame({"true": true, "predicted": predicted}).with_columns(
                    strategy=pl.lit(name), when=pl.lit(when)
                )
            )
    return pl.concat(frames)
