"""Intervals that cover, tests that agree with scipy and with textbooks, no claim where there is nothing."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from scipy import stats

from gnnrec.core.errors import GnnrecError
from gnnrec.evaluation import significance as sg

BIG = {"resamples": 600}


def per_user(rows: dict[tuple[str, str], float], users: int = 300, seeds: int = 2, seed: int = 0) -> pl.DataFrame:
    """Hits drawn around a common taste per user; the number is what a row adds to the chance of one."""
    rng = np.random.default_rng(seed)
    active = rng.random((users, 4)) < 0.5
    u, t = np.nonzero(active)
    taste = rng.random(users)[u] * 0.5
    frames = []
    for (strategy, scorer), gain in rows.items():
        for s in [None] if scorer == "reference" else range(seeds):
            hit = (rng.random(len(u)) < taste + gain).astype(float)
            frames.append(
                pl.DataFrame(
                    {"user": [f"u{x}" for x in u], "trained_to": t, "evaluated_on": t + 1, "recall@20": hit}
                ).with_columns(
                    strategy=pl.lit(strategy),
                    scorer=pl.lit(scorer),
                    seed=pl.lit(s, dtype=pl.Int64),
                    known=pl.Series(u % 3 > 0),
                )
            )
    return pl.concat(frames)


def test_a_planted_difference_is_found_and_none_is_not() -> None:
    table = {("fine_tune", "model"): 0.0, ("replay", "model"): 0.3, ("frozen", "model"): 0.0, ("pop", "reference"): 0.2}
    found = {r["strategy"]: r for r in sg.compare(per_user(table), **BIG).iter_rows(named=True)}
    assert set(found) == {"replay", "frozen", "pop"}
    assert found["replay"]["low"] > 0.15
    assert found["replay"]["p"] < 1e-6
    assert found["frozen"]["low"] < 0 < found["frozen"]["high"]
    assert found["frozen"]["p"] > 0.05
    for r in found.values():
        assert r["low"] <= r["difference"] <= r["high"]
        assert r["wide_low"] <= r["low"] + 0.02
        assert r["increments"] == 3  # the base is left out
        assert r["seeds"] == 2


def test_the_difference_is_the_one_of_the_table() -> None:
    frame = per_user({("fine_tune", "model"): 0.0, ("replay", "model"): 0.1})
    later = frame.filter(pl.col("trained_to") >= 1)
    means = later.group_by("strategy", "seed", "trained_to").agg(pl.col("recall@20").mean())
    by_row = dict(means.group_by("strategy").agg(pl.col("recall@20").mean()).iter_rows())
    got = sg.compare(frame, **BIG)["difference"][0]
    assert got == pytest.approx(by_row["replay"] - by_row["fine_tune"], abs=1e-6)


def test_scorers_are_compared_with_their_like_and_references_with_each() -> None:
    rows = {(s, c): 0.0 for s in ("fine_tune", "replay") for c in ("model", "blend")} | {("pop", "reference"): 0.0}
    frame = sg.compare(per_user(rows, users=60), **BIG)
    couples = set(frame.select("strategy", "scorer", "reference_scorer").iter_rows())
    assert couples == {
        ("replay", "model", "model"),
        ("replay", "blend", "blend"),
        ("pop", "reference", "model"),
        ("pop", "reference", "blend"),
    }


def test_equal_rows_differ_by_exactly_nothing() -> None:
    frame = per_user({("fine_tune", "model"): 0.0})
    twin = pl.concat([frame, frame.with_columns(strategy=pl.lit("copy"))])
    only = sg.compare(twin, **BIG).row(0, named=True)
    assert (only["difference"], only["low"], only["high"], only["wide_low"]) == (0.0, 0.0, 0.0, 0.0)
    assert math.isnan(only["p"])


def test_repeats_bit_for_bit_and_in_any_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = per_user({("fine_tune", "model"): 0.0, ("replay", "model"): 0.1}, users=80)
    once = sg.compare(frame, **BIG)
    assert once.equals(sg.compare(frame.sample(fraction=1.0, shuffle=True, seed=3), **BIG))
    monkeypatch.setattr(sg, "_BLOCK", 1000)
    small = sg.compare(frame, **BIG)
    assert small["low"].to_list() == pytest.approx(once["low"].to_list(), abs=1e-6)


def test_bootstrap_error_is_the_standard_error_of_the_mean() -> None:
    rng = np.random.default_rng(1)
    deltas = rng.normal(size=(1, 400)).astype(np.float32)
    pairs = sg.Pairs(np.arange(400), np.zeros(400, np.int64), {})
    drawn = sg.bootstrap(deltas, pairs, 4000)
    assert drawn.std() == pytest.approx(deltas.std() / 20, rel=0.06)
    assert sg.detectable(np.array([0.0035]))[0] == pytest.approx(2.8016 * 0.0035, rel=1e-3)


def test_the_hierarchical_interval_sees_differences_between_increments_and_seeds() -> None:
    rng = np.random.default_rng(2)
    effect = rng.normal(size=(3, 6)).astype(np.float32)  # seeds, increments
    increment = np.repeat(np.arange(6), 50)
    deltas = (effect[:, increment] + 0.01 * rng.normal(size=(3, 300))).astype(np.float32)[None]
    pairs = sg.Pairs(np.tile(np.arange(50), 6), increment, {})
    wide = sg.hierarchical_bootstrap(deltas, pairs, 3000).std()
    narrow = sg.bootstrap(deltas.mean(axis=1), pairs, 3000).std()
    assert wide > 20 * narrow


def test_holm_by_hand_and_wilcoxon_by_scipy() -> None:
    assert sg.holm(np.array([0.01, 0.04, np.nan, 0.03])) == pytest.approx([0.03, 0.06, np.nan, 0.06], nan_ok=True)
    assert sg.holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]
    d = np.random.default_rng(0).normal(0.1, 1, 60)
    want = stats.wilcoxon(d, method="approx").pvalue
    assert sg.wilcoxon(np.concatenate([d, np.zeros(50), [np.nan]])) == pytest.approx(want)
    assert math.isnan(sg.wilcoxon(np.array([0.0, 1.0])))


def test_known_users_only_and_missing_seeds() -> None:
    frame = per_user({("fine_tune", "model"): 0.0, ("replay", "model"): 0.1})
    everyone, known = sg.compare(frame, **BIG), sg.compare(frame, known=True, **BIG)
    assert known["users"][0] < everyone["users"][0]
    half = frame.filter((pl.col("strategy") != "replay") | (pl.col("seed") == 0))
    assert sg.compare(half, **BIG)["seeds"].to_list() == [1]


def test_clear_errors_and_nothing_to_compare() -> None:
    frame = per_user({("fine_tune", "model"): 0.0}, users=20)
    assert sg.compare(frame).height == 0
    with pytest.raises(GnnrecError, match="did you mean 'fine_tune'"):
        sg.compare(frame, "fine_tun")
    with pytest.raises(GnnrecError, match="no column recall@2"):
        sg.compare(frame, metric="recall@2")
    with pytest.raises(GnnrecError, match="no per-user values"):
        sg.compare(frame.clear())


def test_each_reference_that_ran_is_compared_with() -> None:
    frame = per_user({("fine_tune", "model"): 0.0, ("full_retrain", "model"): 0.1, ("replay", "model"): 0.1}, users=60)
    stacked = sg.compare_each(frame)
    assert stacked.group_by("reference").len().sort("reference").rows() == [("fine_tune", 2), ("full_retrain", 2)]
    assert sg.compare_each(frame, ("nobody",)).height == 0
