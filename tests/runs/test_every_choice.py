"""Every encoder, objective, start and strategy that a configuration can name runs on a stream to a table of numbers."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from gnnrec.cli.main import main
from gnnrec.config.options import folder
from gnnrec.evaluation.results import summary

TINY = [
    *["data=simulated", "data.users=60", "data.items=40", "data.events=900", "stream.increments=2", "encoder.width=8"],
    *["fit.max_epochs=2", "fit.base.max_epochs=2", "threads=1", "logger=none"],
]
COMPARED = ["strategies=[fine_tune]", "seeds=[0]"]
LEVELS = ["encoder=gcmc", "objective=gcmc", "graph.values=true"]
TOLD = {"encoder=gcmc": LEVELS, "objective=gcmc": LEVELS, "init=fold_in": ["encoder=mf"]}
"""What goes together."""


def choices():
    return [
        f"{group}={path.stem}"
        for group in ("encoder", "objective", "init")
        for path in sorted(folder().glob(f"{group}/*.yaml"))
    ]


@pytest.mark.parametrize("choice", choices())
def test_it_runs_on_a_stream(choice, tmp_path):
    # The page, whose figures take most of the time, is drawn of one that predicts values and of one that does not.
    drawn = choice in ("objective=joint", "objective=softmax")
    command = ["compare", *COMPARED] if drawn else ["run", "strategy=fine_tune", "seed=0"]
    assert main([*command, *TINY, choice, *TOLD.get(choice, []), f"output={tmp_path}"]) == 0
    (results,) = tmp_path.glob("fine_tune-*/results.parquet")
    found = summary(pl.read_parquet(results)).filter(pl.col("scorer") == "model")
    assert found["strategy"].to_list() == ["fine_tune"]
    assert 0 <= found["recall@20_all"][0] <= 1
    assert found["epochs"][0] > 0


UNDRAWN = ["seed=0", "figures=false", "evaluation.matrix=off", "references=[]"]
"""Nothing but the strategy's own rows."""
REMOVALS = "increment,user,item\n2,u33,\n"
"""All of a user that the base knows is taken back with the second increment."""


@pytest.mark.parametrize("name", sorted(path.stem for path in folder().glob("strategy/*.yaml")))
def test_every_strategy_runs_from_the_command_line(name, tmp_path):
    given = [f"strategy={name}", *UNDRAWN, f"output={tmp_path}"]
    if name.startswith("unlearn"):
        (tmp_path / "removals.csv").write_text(REMOVALS)
        given += [f"stream.removals={tmp_path}/removals.csv"]
    assert main(["run", *TINY, *given]) == 0
    (results,) = tmp_path.glob(f"{name}-*/results.parquet")
    found = summary(pl.read_parquet(results)).filter(pl.col("scorer") == "model")
    assert found["strategy"].to_list() == [name]
    assert 0 <= found["recall@20_all"][0] <= 1


def test_side_information_reaches_the_encoder_from_a_file(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        f"u{u},i{i},{n}"
        for n, (u, i) in enumerate(zip(rng.integers(0, 40, 900), rng.integers(0, 30, 900), strict=True))
    ]
    (tmp_path / "log.csv").write_text("\n".join(["user,item,time", *rows]))
    (tmp_path / "titles.dat").write_text("".join(f"i{n}::title of {n % 7}::{'ab'[n % 2]}\n" for n in range(30)))
    given = [
        "data=file",
        f"data.path={tmp_path}/log.csv",
        "encoder=features",
        "init=zero",
        f"output={tmp_path / 'run'}",
    ]
    side = f"data.side={{file: {tmp_path}/titles.dat, id: '0', hashed: ['1', '2']}}"
    tiny = [x for x in TINY if not x.startswith("data")]
    assert main(["compare", *COMPARED, *tiny, *given, side, "figures=false"]) == 0
    found = pl.read_csv(tmp_path / "run" / "summary.csv").filter(pl.col("scorer") == "model")
    assert found["recall@20_all"][0] > 0
