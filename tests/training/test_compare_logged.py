"""A comparison is one run of W&B beside those of its rows: means and deviations over seeds, table and figures."""

from __future__ import annotations

import polars as pl
import pytest
import wandb
from test_cli import TINY

from gnnrec.cli.main import main


@pytest.fixture
def ended(monkeypatch):
    """Return id, name and summary of each run of W&B, as they are when it ends."""
    found, finish = [], wandb.Run.finish

    def watched(run, *more, **named):
        found.append((run.id, run.name, dict(run.summary)))
        return finish(run, *more, **named)

    monkeypatch.setattr(wandb.Run, "finish", watched)
    return found


def test_a_comparison_is_one_run_with_means_and_deviations(ended, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    arguments = [a for a in TINY if not a.startswith("logger")]
    given = ["compare", *arguments, "strategies=[fine_tune]", "seeds=[0,1]", "logger=wandb", f"output={tmp_path}"]
    assert main(given) == 0
    assert [name for _, name, _ in ended] == ["fine_tune-seed0", "fine_tune-seed1", "simulated-compare"]
    values = ended[-1][2]
    table = pl.read_csv(tmp_path / "summary.csv").filter(strategy="fine_tune", scorer="model")
    found = values["fine_tune/model/ndcg@20"], values["fine_tune/model/ndcg@20/deviation"]
    assert found == (table["ndcg@20"][0], table["ndcg@20_deviation"][0])
    assert found[1] > 0
    assert main([*given, "resume=true"]) == 0
    assert [one[:2] for one in ended[3:]] == [ended[2][:2]], "made again it is the same run, and the seeds' are there"
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 1
