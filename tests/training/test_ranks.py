"""One model over two processes is the model of one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gnnrec.cli.main import main
from gnnrec.config import options

PROGRAM = Path(__file__).with_name("ranks_program.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
CLOSE = 1e-5
UNSTEADY = ("lwc_kd_piw",)
"""Its learnt weights turn on roundings: one process with a rate of descent 2e-7 higher ends as far away (docs/scale.md)."""


def differences(folder: Path, strategies: str, *overrides: str) -> dict[str, list[float]]:
    """Return what the program says."""
    out = folder / "found.json"
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*TORCHRUN, str(PROGRAM), str(out), strategies, *overrides], capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, list[float]] = json.loads(out.read_text())
    return found


def assert_close(found: dict[str, list[float]]) -> None:
    for name, (gap, size, of_metrics) in found.items():
        assert gap <= CLOSE * max(size, 1), f"{name}: embeddings differ by {gap:.2g}"
        assert of_metrics <= CLOSE, f"{name}: metrics differ by {of_metrics:.2g}"
    assert found


def test_ranks_train_the_model_of_one_process(tmp_path: Path) -> None:
    assert_close(differences(tmp_path, "fine_tune,replay,distill,ewc,fold_in"))


@pytest.mark.parametrize(
    "override", ["objective=softmax", "fit.rows=touched", "fit.optimiser_state=carry", "fit.budget=ahead"]
)
def test_whatever_the_fit_is_like(tmp_path: Path, override: str) -> None:
    assert_close(differences(tmp_path, "fine_tune", override))


@pytest.mark.slow
def test_every_strategy_runs_over_ranks(tmp_path: Path) -> None:
    every = [name for name in options.groups()["strategy"] if name not in UNSTEADY]
    assert_close(differences(tmp_path, ",".join(every)))


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["bpr", "contrastive", "cross_entropy", "directau", "rating", "softmax_shop"])
def test_every_objective_runs_over_ranks(tmp_path: Path, objective: str) -> None:
    assert_close(differences(tmp_path, "fine_tune", f"objective={objective}"))
