"""What is said of each increment of a stream, against counting by hand; beside the results of a comparison."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from support.stores import DAY, START, add, grown, rows, write

from gnnrec.cli.main import main
from gnnrec.data.datasets import File
from gnnrec.data.simulate.world import SimulatedWorld
from gnnrec.data.stream.cuts import ByColumn, ByCount
from gnnrec.quality.increments import as_text, per_increment
from gnnrec.store.log import StoreLog
from gnnrec.store.table import Store

FIT = ["fit.max_epochs=1", "fit.base.max_epochs=1", "encoder.width=8", "logger=none"]


def test_shares_of_new_nodes_are_those_of_a_loop():
    stream = ByCount(increments=4).build(SimulatedWorld(users=80, items=40, events=1500).load())
    table = per_increment(stream)
    users: set[int] = set()
    for t, increment in enumerate(stream.increments):
        mine = {
            int(u) for part in (increment.observed.train, increment.observed.valid, increment.test) for u in part.user
        }
        assert table["new users"][t] == pytest.approx(len(mine - users) / len(mine))
        users |= mine
    assert table["item drift"].null_count() == 1
    assert table["set aside"].null_count() == table.height


def test_the_same_population_does_not_drift_and_another_does(tmp_path):
    rng = np.random.default_rng(0)

    def block(k, shift):
        item = (rng.zipf(1.6, 1000) % 50 + shift) % 50
        return pl.DataFrame({"user": rng.integers(0, 200, 1000), "item": item, "period": k, "time": START + k * DAY})

    path = tmp_path / "log.parquet"
    pl.concat([block(k, shift) for k, shift in enumerate([0, 0, 0, 7])]).write_parquet(path)
    table = per_increment(ByColumn("period", None).build(File(path=str(path), repeats="all").load(keep=("period",))))
    assert (table["item p"][1:3] > 0.001).all()
    assert table["item p"][3] < 1e-6
    assert table["item drift"][3] > 0.25


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    made = Store(folder / "store")
    for k in range(5):
        lines = [*rows(150, k, START + k * DAY, users=60), *["broken"] * (3 * k)]
        add(made, write(folder / f"{k}.csv", lines), repeats="all")
    return made


def test_the_dirt_of_each_version_stands_beside_its_increment(store):
    data = StoreLog(str(store.path)).load(keep=("version",))
    stream = ByColumn("version", None).build(data)
    table = per_increment(stream, data.reports)
    assert stream.labels == ("0", "1", "2", "3", "4")
    assert table["set aside"].to_list() == pytest.approx([3 * k / (150 + 3 * k) for k in range(5)])
    assert set(table["verdict"]) <= {"PASS", "WARN"}
    assert "set aside" in as_text(table)
    base = ByColumn("version", None, base=2).build(data)
    merged = per_increment(base, data.reports)
    assert merged["set aside"][0] == pytest.approx(9 / 459)
    assert merged["set aside"][1:].to_list() == table["set aside"][3:].to_list()


def test_a_comparison_on_a_store_shows_it_and_records_what_it_saw(store, tmp_path, capsys):
    where = ["data=store", f"data.path={store.path}", "stream=by_version"]
    assert main(["data", "summary", *where]) == 0
    assert "verdict" in capsys.readouterr().out
    command = ["compare", *where, "strategies=[frozen]", *FIT, f"output={tmp_path / 'out'}"]
    assert main(command) == 0
    assert (tmp_path / "out" / "figures" / "data_quality.png").stat().st_size > 10_000
    page = (tmp_path / "out" / "report.html").read_text()
    assert "item drift" in page
    assert "versions 0 to 4 of a store" in json.loads((tmp_path / "out" / "run.json").read_text())["data"]
    assert "data_quality.png" not in page  # embedded, not linked


def test_runs_on_two_versions_are_not_mixed(tmp_path, capsys):
    store = grown(tmp_path, versions=4, each=120)
    where = ["data=store", f"data.path={store.path}", "stream=by_version", "strategies=[stale]", *FIT, "figures=false"]
    output = f"output={tmp_path / 'out'}"
    assert main(["compare", *where, output]) == 0
    add(store, write(tmp_path / "new.csv", rows(120, 9, START + 9 * DAY, users=90)))
    assert main(["compare", *where, output]) == 2
    said = capsys.readouterr().err
    assert "versions 0 to 3 then, 0 to 4 now" in said
    assert "data.version=3" in said
    assert main(["compare", *where, output, "data.version=3"]) == 0
    assert main(["report", str(tmp_path / "out")]) == 0, "an older run reads the store as it was"
    assert main(["compare", *where, f"output={tmp_path / 'other'}"]) == 0
    assert main(["report", str(tmp_path / "out"), str(tmp_path / "other")]) == 2
    assert "ran on different data: versions 0 to 3 then, 0 to 4 now" in capsys.readouterr().err


def test_an_erasure_is_another_version_of_the_data(tmp_path, capsys):
    store = grown(tmp_path, versions=3, each=120)
    where = ["data=store", f"data.path={store.path}", "stream=by_version", "strategies=[stale]", *FIT, "figures=false"]
    assert main(["compare", *where, f"output={tmp_path / 'out'}"]) == 0
    assert main(["data", "forget", str(store.path), "--user", "u1", "--yes"]) == 0
    assert main(["compare", *where, f"output={tmp_path / 'out'}"]) == 2
    assert "erased from, or made anew" in capsys.readouterr().err
