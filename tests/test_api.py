"""`import gnnrec as gr`: the notebook's level, typed as a reader would type it."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import gnnrec as gr
from gnnrec.cli.main import main
from gnnrec.testing.worlds import VARYING

FAST = {"fit.max_epochs": 2, "fit.base.max_epochs": 2}
NOTEBOOK = """
import gnnrec as gr
log = gr.read("orders.csv", user="CustomerID", item="StockCode", time="InvoiceDate")
result = gr.compare(
    log.stream(increments=10), [gr.FineTune(), gr.Replay(5000), gr.FullRetrain()], encoder=gr.LightGCN(64), seeds=3,
    quiet=True,
)
result.table(); result.plot("recall@20"); result.report("report.html"); result.recommend("17850", 10)
"""


def write_orders(path: Path, rows: int = 200) -> None:
    rng = np.random.default_rng(0)
    lines = ["CustomerID,StockCode,InvoiceDate"]
    for n in range(rows):
        user, item = rng.integers(0, 40), rng.integers(0, 30) // (1 + n % 2)
        lines.append(f"{17850 + user},{85000 + item}A,2010-{1 + n * 12 // rows:02d}-{1 + n % 28:02d} 08:26:00")
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def stream():
    return gr.simulate(users=60, items=40, events=900).stream(increments=3)


@pytest.fixture(scope="module")
def result(stream):
    strategies = [gr.Stale(), gr.FineTune(), gr.Replay(50), gr.Replay(80, gr.Reservoir(100))]
    return gr.compare(stream, strategies, encoder=gr.LightGCN(8, 2), seeds=2, options=FAST, quiet=True)


def test_the_notebook_runs_twice_and_leaves_what_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_orders(tmp_path / "orders.csv")
    for _ in range(2):
        names: dict[str, object] = {}
        exec(NOTEBOOK.replace("=10)", "=3)").replace("seeds=3", f"seeds=2, options={FAST}"), names)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["orders.csv", "report.html"]
    found = names["result"]
    assert {"fine_tune", "replay", "full_retrain"} <= set(found.summary["strategy"])
    assert found.summary.filter(strategy="fine_tune", scorer="model")["seeds"].item() == 2
    assert found.table() == str(found)
    assert "vs full" in repr(found.table())
    top = found.recommend("17850", 10)
    assert top["rank"].to_list() == list(range(1, len(top) + 1))
    before = pl.col("InvoiceDate") < "2010-08"  # what came with the last increment is what the table was scored on
    taken = set(pl.read_csv("orders.csv").filter(before, CustomerID=17850)["StockCode"])
    assert taken
    assert not taken & set(top["item"])


def test_it_runs_in_a_thread(stream):
    found = []
    worker = threading.Thread(target=lambda: found.append(gr.run(stream, gr.Frozen(), options=FAST, quiet=True)))
    worker.start()
    worker.join()
    assert "frozen" in set(found[0].summary["strategy"])


def test_importing_it_loads_no_torch_and_takes_no_time():
    code = "import sys, time; t = time.perf_counter(); import gnnrec; print(time.perf_counter() - t, 'torch' in sys.modules)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    assert {r.stdout.split()[1] for r in runs} == {"False"}
    assert min(float(r.stdout.split()[0]) for r in runs) < 0.1


def test_every_public_name_is_there_and_typed():
    stub = (Path(gr.__file__).parent / "__init__.pyi").read_text()
    for name in gr.__all__:
        assert getattr(gr, name) is not None
        assert name in dir(gr)
        assert f" as {name}\n" in stub or f"{name}: " in stub
    assert (Path(gr.__file__).parent / "py.typed").is_file()
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        gr.nonsense  # noqa: B018


def test_rows_are_named_after_classes_and_by_what_differs(result):
    trained = result.summary.filter(pl.col("scorer") == "model")["strategy"].to_list()
    assert trained == [
        "stale",
        "fine_tune",
        "replay[budget=50,store=AllEvents]",
        "replay[budget=80,store=Reservoir,store.size=100]",
    ]


def test_names_may_be_given_and_must_tell_apart(stream):
    with pytest.raises(gr.GnnrecError, match="both be the row fine_tune"):
        gr.compare(stream, [gr.FineTune(), gr.FineTune()])
    found = gr.compare(stream, {"a": gr.FineTune(), "b": gr.FineTune()}, options=FAST, quiet=True)
    ours = [found.results.filter(strategy=n, split="next").drop("strategy") for n in "ab"]
    assert ours[0].height
    assert_frame_equal(*ours)


def test_the_numbers_are_those_of_the_command_line(tmp_path):
    data = ["data.users=60", "data.items=40", "data.events=900", "stream.increments=3"]
    typed = ["encoder.width=8", "encoder.layers=2", "fit.max_epochs=2", "fit.base.max_epochs=2", "logger=none"]
    chosen = ["strategies=[fine_tune,{replay: {budget: 50}}]", "seeds=[0,1]", f"output={tmp_path}"]
    assert main(["compare", "data=simulated", *data, *typed, *chosen]) == 0
    log = gr.simulate(users=60, items=40, events=900)
    strategies = [gr.FineTune(), gr.Replay(50)]
    found = gr.compare(log.stream(3), strategies, gr.LightGCN(8, 2), seeds=2, options=FAST, quiet=True)
    ours, theirs = (
        f.filter(~pl.col("metric").is_in(VARYING)).sort(pl.all())
        for f in (found.results, pl.read_parquet(tmp_path / "results.parquet"))
    )
    assert_frame_equal(ours, theirs, check_exact=False, rel_tol=1e-5)


def test_the_objects_given_stay_as_they_were(stream):
    strategy, encoder, objective = gr.Replay(50), gr.LightGCN(8, 1), gr.BPR()
    for _ in range(2):
        gr.compare(stream, [strategy], encoder, objective, seeds=[0, 4], options=FAST, quiet=True)
        assert (len(strategy.stored), strategy.seed, len(encoder.user)) == (0, 0, 0)


def test_an_encoder_may_follow_the_seed(stream):
    made = []

    def encoder(seed):
        made.append(seed)
        return gr.PyG("SAGEConv", 8, layers=1, seed=seed)

    found = gr.compare(stream, [gr.Frozen()], encoder, seeds=[3, 5], options=FAST, quiet=True)
    assert set(made) == {3, 5}
    assert set(found.results["seed"].drop_nulls()) == {3, 5}


def test_the_report_says_what_was_compared(result, tmp_path):
    text = result.report(tmp_path / "deep.html").read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["deep.html"]
    for word in ("gnnrec.encoders.lightgcn.LightGCN", "events: 900", "store.size=100", "900 events"):
        assert word in text


def test_figures_are_pictures_and_unknown_metrics_are_named(result, tmp_path):
    picture = result.plot("ndcg@20", segment="known_user")
    assert picture._repr_png_()[:4] == b"\x89PNG"
    assert picture.save(tmp_path / "p.png").stat().st_size > 1000
    with pytest.raises(gr.GnnrecError, match="did you mean 'recall@20'"):
        result.plot("recal@20")


def test_lists_come_from_the_best_row_or_the_one_asked_for(result):
    best, scorer = result.best
    user = str(result.scene.setting.stream.users[0])
    assert_frame_equal(result.recommend(user, 5), result.recommend(user, 5, best, scorer))
    assert len(result.recommend("nobody at all", 3)) == 3
    for wrong in ({"strategy": "stle"}, {"scorer": "blnd"}, {"k": 0}):
        with pytest.raises(gr.GnnrecError, match=r"stale|blend|at least 1"):
            result.recommend(user, **wrong)


class Failing(gr.Strategy):
    def prepare(self, learner, new):
        raise ZeroDivisionError("nothing left to prepare")


def test_a_run_that_fails_is_left_out_and_said(stream):
    found = gr.compare(stream, [gr.Frozen(), Failing()], options=FAST, quiet=True)
    assert "failing" not in set(found.summary["strategy"])
    assert "failing, seed 0 failed: ZeroDivisionError: nothing left to prepare" in found.table()
    assert isinstance(found.errors["failing", 0], ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        gr.run(stream, Failing(), options=FAST, quiet=True)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s: gr.compare(s, []), "at least one strategy"),
        (lambda s: gr.compare(s, [gr.FineTune]), r"write FineTune\(\)"),
        (lambda s: gr.compare(s, ["fine_tune"]), "objects, such as"),
        (lambda s: gr.compare("ml-100k", [gr.FineTune()]), r"log\.stream"),
        (lambda s: gr.compare(s, [gr.FineTune()], seeds=0), "seeds=0"),
        (lambda s: gr.compare(s, [gr.FineTune()], seeds=[1, 1]), "different"),
        (lambda s: gr.compare(s, [gr.FineTune()], options={"data.path": "x"}), "data.path"),
        (lambda s: gr.compare(s, [gr.FineTune()], options={"fit.max_epoch": 2}), "max_epochs"),
        (lambda s: gr.load("ml-100"), "ml-100k"),
        (lambda s: gr.simulate(user=3), "users"),
        (lambda s: gr.read("nowhere.csv"), "nowhere.csv"),
        (lambda s: gr.simulate(events=900, users=60, items=40).stream(3, width="1mo"), "one way"),
        (lambda s: gr.simulate(events=900, users=60, items=40).stream(increment=3), "increments"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(stream, call, words):
    with pytest.raises(gr.GnnrecError, match=words) as error:
        call(stream)
    assert "\n" not in str(error.value)


def test_logs_are_cut_by_time_and_by_column(tmp_path):
    path = tmp_path / "log.csv"
    rows = [f"u{n % 7},i{n % 5 + n // 20},{1_600_000_000 + 86400 * n},{n // 30}" for n in range(120)]
    path.write_text("user,item,time,block\n" + "\n".join(rows))
    log = gr.read(path)
    assert len(log.stream(width="1mo", base="2020-10-01").increments) == 5
    assert len(log.stream(column="block").increments) == 4
    assert "120 rows read" in repr(log)
