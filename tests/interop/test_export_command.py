"""`gnnrec data export … --as …` and `gnnrec results`, as they are typed."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import polars as pl
import pytest
import torch
from support.stores import grown

import gnnrec as gr
from gnnrec.cli.main import main
from gnnrec.core.errors import GnnrecError
from gnnrec.interop.atomic import RecBoleFiles
from gnnrec.interop.results import results

SIMULATED = ["data=simulated", "data.users=60", "data.items=40", "data.events=800", "stream.increments=3"]


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    out = capsys.readouterr()
    return code, out.out, out.err


@pytest.fixture
def csv(tmp_path):
    rng = np.random.default_rng(0)
    lines = [f"u{rng.integers(30)},i{rng.integers(20)},{1 + n % 5},{1_600_000_000 + 86_400 * n}" for n in range(300)]
    path = tmp_path / "log, 'of' mine=1.csv"
    path.write_text("user,item,rating,time\n" + "\n".join(lines) + "\n")
    return path


def test_a_file_a_store_and_a_folder_of_recbole_are_sources(tmp_path, csv, capsys):
    assert run(capsys, "data", "export", csv, tmp_path / "rb", "--as", "recbole")[0] == 0
    assert run(capsys, "data", "export", tmp_path / "rb", tmp_path / "rt.parquet", "--as", "rectools")[0] == 0
    assert run(capsys, "data", "export", csv, tmp_path / "lk.csv", "--as", "lenskit")[0] == 0
    kept = len(RecBoleFiles(tmp_path / "rb").load())
    assert pl.read_parquet(tmp_path / "rt.parquet").columns == ["user_id", "item_id", "weight", "datetime"]
    frame = pl.read_csv(tmp_path / "lk.csv", try_parse_dates=True)
    assert frame.columns == ["user_id", "item_id", "rating", "timestamp"]
    assert frame.schema["timestamp"].is_temporal()
    assert frame.height == pl.read_parquet(tmp_path / "rt.parquet").height == kept
    store = grown(tmp_path)
    code, _, _ = run(capsys, "data", "export", store.path, tmp_path / "s.csv", "--as", "lenskit", "--up-to", "1")
    assert code == 0
    assert pl.read_csv(tmp_path / "s.csv").height < sum(v.counts.kept for v in store.versions)


def test_what_was_inferred_and_set_aside_is_said(tmp_path, csv, capsys):
    csv.write_text(csv.read_text().replace("user,item,rating,time", "who,item,rating,time") + "u1,,3,1600000000\n")
    code, out, err = run(
        capsys,
        "data",
        "export",
        "data=file",
        f"data.path='{tmp_path}/*.csv'",
        "data.columns.user=who",
        tmp_path / "o",
        "--as",
        "recbole",
    )
    assert code == 0
    assert "1 of 301 rows were set aside" in err
    assert "data.scale is not declared" in err
    assert "note" not in out


def test_a_split_is_written_for_each_of_the_three(tmp_path, capsys):
    for form in ("recbole", "lenskit", "rectools"):
        code, _, _ = run(capsys, "data", "export", *SIMULATED, tmp_path / form, "--as", form, "--split", "1")
        assert code == 0, form
    assert sorted(p.name for p in (tmp_path / "lenskit").iterdir()) == ["test.csv", "train.csv", "valid.csv"]
    assert (tmp_path / "recbole" / "recbole.yaml").is_file()
    heights = [pl.read_csv(tmp_path / form / "test.csv").height for form in ("lenskit", "rectools")]
    assert heights[0] == heights[1] == pl.read_csv(tmp_path / "recbole" / "recbole.test.inter", separator="\t").height


def test_recboles_benchmark_files_are_a_source_of_runs(tmp_path, capsys):
    run(capsys, "data", "export", *SIMULATED, tmp_path / "cut", "--as", "recbole", "--split", "1")
    stream = ["stream=by_column", "stream.column=increment", "stream.split=column", "stream.split_column=part"]
    code, out, _ = run(capsys, "data", "summary", "data=recbole", f"data.path={tmp_path / 'cut'}", *stream)
    assert code == 0
    assert "stream 2 increments" in out


def test_a_graph_is_written_up_to_an_increment(tmp_path, capsys):
    code, out, _ = run(capsys, "data", "export", *SIMULATED, tmp_path / "g.pt", "--as", "pyg", "--up-to", "1")
    assert code == 0
    assert "up to increment 1" in out
    found = torch.load(tmp_path / "g.pt")
    assert found["_global_store"]["increment"] == 1
    code, out, _ = run(capsys, "data", "export", *SIMULATED, tmp_path / "all.pt", "--as", "pyg")
    assert "up to increment 3" in out


def test_a_store_becomes_a_delta_table_and_the_way_back_is_said(tmp_path, capsys):
    store = grown(tmp_path)
    code, out, _ = run(capsys, "data", "export", store.path, tmp_path / "out", "--as", "delta")
    assert code == 0
    assert "written versions 0, 1, 2; had 0 already" in out
    assert f"gnnrec data ingest STORE {tmp_path / 'out'} data.feedback=explicit" in out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["x"], "takes SOURCE and OUT; got 1"),
        (["data=simulated", "a", "b"], "takes OUT alone"),
        (["data=simulated", "o.csv"], "writes a store as a file without --as"),
        (["data=simulated", "o", "--as", "delta"], "writes a store as a Delta table"),
        (["data=simulated", "o", "--as", "recbole", "--up-to", "1", "--split", "1"], "exclude each other"),
        (["data=simulated", "o.pt", "--as", "pyg", "--split", "1"], "--as pyg takes --up-to"),
        ([*SIMULATED, "o", "--as", "recbole", "--split", "3"], "nothing behind it to be scored on; 0 to 2 have"),
        ([*SIMULATED, "o.xls", "--as", "lenskit"], "must end in .csv, .tsv, .parquet"),
        ([*SIMULATED, "o.csv", "--as", "lenskit", "--split", "1"], "name a folder instead of o.csv"),
        ([*SIMULATED, "o.bin", "--as", "pyg"], "must end in .pt"),
        (["nowhere", "o", "--as", "recbole"], "nowhere does not exist"),
        (["nowhere", "o.csv"], "is no store"),
        (["a", "b", "--as", "recbol"], "invalid choice"),
    ],
)
def test_what_cannot_be_done_is_one_line(tmp_path, monkeypatch, capsys, arguments, why):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "data", "export", *arguments)
    assert code == 2
    assert why in err
    assert sum(line.startswith("gnnrec: ") for line in err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_keys_that_would_say_nothing_are_refused(tmp_path, capsys):
    store = grown(tmp_path, versions=1)
    code, _, err = run(capsys, "data", "export", store.path, tmp_path / "o.csv", "--up-to", "0")
    assert (code, "--up-to does nothing here" in err) == (2, True)


def test_exports_but_graphs_load_no_torch(tmp_path, csv):
    code = (
        "import sys; from gnnrec.cli.main import main\n"
        f"assert main(['data', 'export', {str(csv)!r}, {str(tmp_path / 'o')!r}, '--as', 'recbole', '--split', '1']) == 0\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "out"
    few = [
        "strategies=[frozen]",
        "logger=none",
        "figures=false",
        "fit.base.max_epochs=1",
        "encoder.width=4",
        "seeds=[0]",
    ]
    assert main(["compare", *SIMULATED, *few, f"output={folder}"]) == 0
    return folder


def test_tables_of_runs_and_comparisons_are_frames(compared, tmp_path, capsys):
    table = gr.results(compared)
    assert {"strategy", "scorer", "trained_to", "evaluated_on", "split", "metric", "value", "n"} <= set(table.columns)
    assert {"frozen", "popularity"} <= set(table["strategy"])
    assert gr.results(compared, "per_user")["recall@20"].is_between(0, 1).all()
    assert gr.results(compared, "summary").filter(strategy="frozen").height == 2
    (one,) = [p for p in compared.iterdir() if p.name.startswith("frozen-")]
    own = gr.results(one)
    assert set(own["strategy"]) == {"frozen"}
    assert own.height == table.filter(strategy="frozen").height
    found = gr.to_pandas(own)
    assert found.shape == own.shape
    assert found["value"].sum() == pytest.approx(own["value"].sum())


def test_tables_are_printed_and_written(compared, tmp_path, capsys):
    code, out, _ = run(capsys, "results", compared, "--table", "summary")
    assert code == 0
    assert out.startswith("strategy,scorer,seeds")
    code, out, _ = run(capsys, "results", compared, "--output", tmp_path / "r.parquet")
    assert code == 0
    assert pl.read_parquet(tmp_path / "r.parquet").equals(results(compared))


def test_a_folder_without_results_says_what_to_name(compared, tmp_path, capsys):
    code, _, err = run(capsys, "results", tmp_path / "no")
    assert (code, "there is no folder" in err) == (2, True)
    with pytest.raises(GnnrecError, match=r"no results\.parquet: name one written by"):
        results(tmp_path)
    (one,) = [p for p in compared.iterdir() if p.name.startswith("frozen-")]
    with pytest.raises(GnnrecError, match="is one run"):
        results(one, "summary")
    with pytest.raises(GnnrecError, match="there is no table 'result'"):
        results(compared, "result")
