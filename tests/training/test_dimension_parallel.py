"""One model over two processes is the model of one process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from ranks_program import RANKS, SMALL

from gnnrec.cli.main import main
from gnnrec.config import options
from gnnrec.core.errors import GnnrecError
from gnnrec.core.ranks import identity
from gnnrec.training import ranks

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
        [*TORCHRUN, str(PROGRAM), str(out), strategies, *overrides],
        capture_output=True,
        text=True,
        env=env,
        check=False,
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
    "override",
    ["objective=softmax", "encoder.width=5", "fit.rows=touched", "fit.optimiser_state=carry", "fit.budget=ahead"],
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


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["mf", "ngcf", "xsimgcl", "features"])
def test_encoders_that_say_so_are_spread(tmp_path: Path, encoder: str) -> None:
    assert_close(differences(tmp_path, "fine_tune", f"encoder={encoder}"))


def test_a_run_goes_on_over_another_number_of_ranks(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def results(output: str, *more: str) -> pl.DataFrame:
        assert main(["run", *SMALL, "state.keep=9", f"output={tmp_path / output}", *more]) == 0
        (folder,) = (tmp_path / output).glob("fine_tune-*")
        rows = pl.read_parquet(folder / "results.parquet")
        return rows.filter(pl.col("metric").is_in(["recall@20", "mse", "ndcg@20", "edges_touched"]))

    two = results("ranks", *RANKS)
    told = capfd.readouterr()
    assert told.out.count("run: ") == 1  # rank 0 speaks alone
    (folder,) = (tmp_path / "ranks").glob("fine_tune-*")
    for newer in ("000002", "000003"):  # as if it had been cut off behind increment 1
        shutil.rmtree(folder / "state" / newer)
        shutil.rmtree(folder / "state" / "records" / newer, ignore_errors=True)
    (folder / "status.json").write_text('{"status": "interrupted"}')
    for name in ("results", "per_user", "predictions"):
        (folder / f"{name}.parquet").unlink()
    again = results("ranks", *RANKS, "trainer.devices=1", "resume=true")
    told = capfd.readouterr()
    assert "increment 2," in told.err
    assert "increment 1," not in told.err
    for other in (again, results("alone")):
        assert_frame_equal(two, other, rel_tol=CLOSE, abs_tol=CLOSE)
    assert not list(Path(tempfile.gettempdir()).glob("gnnrec-rank*-"))


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        (["launcher=processes"], "launcher=serial"),
        (["encoder=inmo"], "does not spread"),
        (["encoder.width=1"], "cannot be spread over trainer.devices=2"),
        (["trainer.devices=0"], "number of processes"),
        (["trainer.devices=auto"], "number of processes"),
        (["trainer.strategy=ddp"], "trainer.strategy=ddp is not known"),
    ],
)
def test_what_cannot_be_spread_is_refused_before_it_begins(
    overrides: list[str], complaint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *SMALL, *RANKS, *overrides]) == 2
    told = capfd.readouterr().err
    assert complaint in told
    assert "Traceback" not in told


@pytest.mark.parametrize("grid", ["trainer.devices=1,2", "logger=none,csv", "output=a,b"])
def test_a_grid_over_what_ranks_have_in_common_is_refused(grid: str, capfd: pytest.CaptureFixture[str]) -> None:
    key = grid.partition("=")[0]
    plain = [o for o in SMALL if o.partition("=")[0] != key]
    assert main(["run", "-m", *plain, *RANKS, grid]) == 2
    assert f"a grid over {key.partition('.')[0]}= does not go" in capfd.readouterr().err


def test_a_run_over_ranks_is_made_again_by_one_process(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    asked = ["run", *SMALL, *RANKS, "trainer.devices=1", "strategy=frozen", f"output={tmp_path}"]
    assert main(asked) == 0
    (folder,) = tmp_path.glob("frozen-*")
    file = folder / "config.yaml"
    file.write_text(file.read_text().replace("devices: 1", "devices: 2"))  # as two ranks would have written it
    assert main(["reproduce", str(folder)]) == 0
    assert "bit-identical" in capfd.readouterr().out


def test_a_program_that_is_alone_is_told_how_to_begin() -> None:
    with pytest.raises(GnnrecError, match="torchrun --nproc-per-node 2"):
        ranks.mesh_of({"strategy": "dimension_parallel", "devices": 2})
    assert ranks.mesh_of({"strategy": "dimension_parallel", "devices": 1}) is None
    assert ranks.mesh_of({"devices": 1}) is None


def test_how_many_ranks_there_are_makes_no_other_run() -> None:
    spread = {"strategy": "dimension_parallel", "devices": 2, "accelerator": "cpu"}
    assert identity(spread) == identity({**spread, "devices": 8})
    assert identity({"devices": 1}) != identity({"devices": 2})


APART = """
import os
import torch.distributed as dist
from gnnrec.core import ranks as environment
from gnnrec.training import ranks
ranks.mesh_of({"strategy": "dimension_parallel", "devices": 2})
own = environment.number()
assert ranks.agreed(float(own)) == 0.0
assert ranks.summed(float(own + 1)) == 3.0
ranks.check_alike({"order": 7})
try:
    ranks.check_alike({"order": own})
except Exception as error:
    assert "order is 0 on rank 0 and 1 on rank 1" in str(error), error
else:
    raise AssertionError("ranks that differ were let go on")
os._exit(0)  # torch may abort as it takes its groups apart
"""


def test_ranks_decide_alike_and_notice_where_they_have_come_apart(tmp_path: Path) -> None:
    program = tmp_path / "apart.py"
    program.write_text(APART)
    done = subprocess.run([*TORCHRUN, str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


UNSTEADY_GRADIENTS = """
import os
import torch
from torch import nn
from gnnrec.graph.spread import whole
from gnnrec.strategies.distil.piw import UserWeights
from gnnrec.training import ranks

mesh = ranks.mesh_of({"strategy": "dimension_parallel", "devices": 2})
draw = torch.Generator().manual_seed(0)
items, then = torch.randn(20, 8, generator=draw), torch.randn(12, 8, generator=draw)
moved = then + 0.1 * torch.randn(12, 8, generator=draw)


def gradients(spread):
    weights, model = UserWeights(), nn.Module()
    weights.fit_to(8, items, 0)
    model.weights, model.now = weights, nn.Parameter(moved.clone())
    if spread:
        ranks.spread(model, {id(model.now)}, mesh)
    with ranks.alike_elsewhere(mesh):
        loss = (weights(then, model.now) * (model.now - then).square().sum(1)).sum() + weights.spread(items)
        loss.backward()
    return [whole(loss.detach()), *(whole(p.grad) for p in model.parameters())]


for one, two in zip(gradients(False), gradients(True), strict=True):
    torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)
os._exit(0)  # torch may abort as it takes its groups apart
"""


def test_learnt_weights_have_the_gradients_of_one_process(tmp_path: Path) -> None:
    program = tmp_path / "gradients.py"
    program.write_text(UNSTEADY_GRADIENTS)
    done = subprocess.run([*TORCHRUN, str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_where_a_rank_is_killed_the_others_end_and_say_so(tmp_path: Path) -> None:
    larger = [
        "data.users=600",
        "data.items=400",
        "data.events=20000",
        "fit.base.max_epochs=400",
        "fit.base.patience=400",
    ]
    command = [sys.executable, "-m", "gnnrec", "run", *SMALL, *larger, *RANKS, f"output={tmp_path}"]
    run = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    told = ""
    assert run.stderr is not None
    while "epoch" not in told:  # the base is being fitted
        told = run.stderr.readline()
        assert told, "it ended before it was killed"
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    (other,) = [p for p in map(int, children) if b"\0RANK=1\0" in b"\0" + Path(f"/proc/{p}/environ").read_bytes()]
    os.kill(other, signal.SIGKILL)
    said = run.stderr.read()
    assert run.wait(timeout=120) != 0
    assert "another rank has ended" in said
    assert "Traceback" not in said
