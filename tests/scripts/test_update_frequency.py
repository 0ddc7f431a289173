"""The record of how often to update says what was served, lost and taken, row by row."""

from __future__ import annotations

import time

import numpy as np
import polars as pl
import pytest
import update_frequency
from support.scripts import TINY, ran

from gnnrec.policies.break_even import break_even_price


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Return the folder of the table of a world that takes seconds."""
    folder = tmp_path_factory.mktemp("often")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "perf_counter", time.perf_counter)  # the script has core-seconds in its place
        patch.setattr(update_frequency, "INTERVALS", {1: "every", 2: "every_n 2"})
        kept = {name: update_frequency.POLICIES[name] for name in ("every", "every_n 2")}
        patch.setattr(update_frequency, "POLICIES", kept)
        more = ["stream.increments=4", "figures=false"]
        assert ran(patch, update_frequency, "simulated", "--seeds", "0", f"output={folder}", *TINY, *more) == 0
    return folder / "table"


def test_every_row_says_what_it_served_lost_and_took(table):
    rows = pl.read_csv(table / "policies.csv")
    assert rows["policy"].to_list() == [*("every", "every_n 2", "stale", "frozen") * 2]
    results = pl.read_parquet(table / "results.parquet").filter(
        (pl.col("scorer") == "blend") & (pl.col("segment") == "all") & pl.col("trained_to").is_between(1, 3)
    )
    for strategy in update_frequency.STRATEGIES:
        own = {row["policy"]: row for row in rows.filter(strategy=strategy).iter_rows(named=True)}
        assert (own["every"]["updates"], own["every_n 2"]["updates"], own["every"]["of"]) == (3, 1, 3)
        waits = f"{strategy}, every_n 2"
        spent = results.filter(split="cost", metric="seconds")
        seconds = {name: spent.filter(strategy=name)["value"].sum() for name in (strategy, waits)}
        assert own["every"]["seconds"] == pytest.approx(seconds[strategy])
        served = results.filter(split="next", metric="recall@20")
        mean = {name: served.filter(strategy=name)["value"].mean() for name in (strategy, waits)}
        assert own["every_n 2"]["recall@20"] == pytest.approx(mean[waits])
        assert own["every_n 2"]["difference"] == pytest.approx(mean[waits] - mean[strategy], abs=1e-6)
        saved = seconds[strategy] - seconds[waits]
        price = break_even_price(own["every_n 2"]["regret"], saved)
        assert own["every_n 2"]["price"] == pytest.approx(price)
        assert own["every_n 2"]["price_low"] <= price <= own["every_n 2"]["price_high"]
        assert own["every"]["price"] is None


def test_what_an_interval_is_worth_is_what_it_saves_less_what_it_loses(table):
    worth, rows = (pl.read_csv(table / f"{name}.csv") for name in ("worth", "policies"))
    for line in worth.iter_rows(named=True):
        (row,) = rows.filter(strategy=line["strategy"], policy="every_n 2").iter_rows(named=True)
        net = line["price"] * row["saved_per_1000"] - row["regret_per_1000"]
        assert line["every 2"] == pytest.approx(net)
        assert line["every 2 low"] <= net <= line["every 2 high"]
        assert line["best"] == (2 if net > 0 else 1)
    assert "| fine_tune | every_n 2 | 1 of 3 |" in (table / "policies.md").read_text()
    assert "| full_retrain | 10 |" in (table / "worth.md").read_text()
    assert (table / "figures" / "interval.png").exists()


def test_a_model_serves_from_its_update_to_the_next():
    served = update_frequency.Served(
        np.ones(5),
        {"x": np.array([[0.5, 0.4, 0.3, 0.6, 0.5]])},
        {},
        {},
        {"x": np.array([[False, False, True, True, False]])},
    )
    assert update_frequency.runs_of(served, "x") == [[0.5, 0.4], [0.3], [0.6, 0.5]]
