"""What rows are worth in a comparison that ran, against sums taken by hand from its tables."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from gnnrec.cli.main import main

TINY = [
    *(
        "data=simulated",
        "data.users=150",
        "data.items=90",
        "data.events=6000",
        "data.positive_from=4",
        "stream.increments=4",
    ),
    *("encoder.width=8", "fit.max_epochs=2", "fit.base.max_epochs=2", "logger=none", "threads=1", "figures=false"),
    *("references=[popularity]", "evaluation.topk=[20]", "scorer.rows=[model]", "seeds=[0,1]"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("worth")
    assert main(["compare", *TINY, "strategies=[stale,fine_tune,full_retrain]", f"output={output}"]) == 0
    return output


def test_prices_count_relevant_events_alone(root: Path) -> None:
    results, users = (pl.read_parquet(root / f"{name}.parquet") for name in ("results", "per_user"))
    results = results.filter(pl.col("trained_to") >= 1, segment="all")
    nexts, costs = results.filter(split="next", metric="recall@20"), results.filter(split="cost", metric="seconds")
    recall = {name: float(part["value"].mean()) for (name,), part in nexts.group_by("strategy")}  # type: ignore[arg-type]
    seconds = {name: float(part["value"].mean()) for (name,), part in costs.group_by("strategy")}  # type: ignore[arg-type]
    one = users.filter(pl.col("trained_to") >= 1, strategy="full_retrain", seed=0)
    relevant = one["relevant"].sum() / one["trained_to"].n_unique()
    rated = pl.read_parquet(root / "predictions.parquet").filter(
        pl.col("trained_to") >= 1, strategy="full_retrain", seed=0, scorer="model"
    )
    assert relevant < 0.9 * rated.height / rated["trained_to"].n_unique(), "some events are below the threshold"
    for row in (
        pl.read_csv(root / "summary.csv").filter(pl.col("strategy").is_in(["stale", "fine_tune"])).rows(named=True)
    ):
        gain = recall["full_retrain"] - recall[row["strategy"]]
        saved = seconds["full_retrain"] - seconds[row["strategy"]]
        if gain > 0 and saved > 0:
            assert row["retrain_price"] == pytest.approx(gain * relevant / saved)
        else:
            assert row["retrain_price"] is None
        affordable = [recall[name] for name in seconds if seconds[name] <= seconds[row["strategy"]]]
        assert row["regret"] == pytest.approx(max(affordable) - recall[row["strategy"]])
    assert recall["full_retrain"] > recall["stale"], "or no price was looked at"
