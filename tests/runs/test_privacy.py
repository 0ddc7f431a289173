"""Tables of people: named by keyed hashes, and no figure of a few."""

from __future__ import annotations

import re
from types import SimpleNamespace

import polars as pl

from gnnrec.cli.main import main
from gnnrec.store.proof import look
from gnnrec.training.loggers import Tracker

TINY = [
    *("data=simulated", "strategy=fine_tune", "encoder.width=8", "fit.max_epochs=2", "fit.base.max_epochs=2"),
    *("logger=none", "threads=1", "references=[popularity]", "evaluation.topk=[20]", "stream.increments=3"),
]


def tables(folder):
    (run,) = (p for p in folder.iterdir() if p.name.startswith("fine_tune"))
    return run, pl.read_parquet(run / "results.parquet"), pl.read_parquet(run / "per_user.parquet")


def test_tables_name_users_by_a_keyed_hash_and_say_the_same(tmp_path):
    key = f"privacy.key={tmp_path / 'key'}"
    for name, more in (("plain", []), ("hidden", [key]), ("again", [key])):
        assert main(["run", *TINY, f"output={tmp_path / name}", *more]) == 0
    _, results, users = tables(tmp_path / "plain")
    run, hidden, named = tables(tmp_path / "hidden")
    measured = pl.col("split") != "cost"
    assert hidden.filter(measured).equals(results.filter(measured))
    assert named.drop("user").equals(users.drop("user"))
    assert named["user"].str.contains("^[0-9a-f]{16}$").all()
    assert named["user"].n_unique() == users["user"].n_unique()
    assert named.equals(tables(tmp_path / "again")[2])
    assert look(tmp_path / "plain", str(users["user"][0])).holding
    assert not look(run, str(users["user"][0])).holding
    assert run.name != tables(tmp_path / "plain")[0].name, "tables that name users otherwise are not compared"


def test_figures_of_a_few_are_not_shown(tmp_path, capsys):
    given = ["compare", *TINY, f"output={tmp_path / 'out'}", "strategies=[fine_tune]", "figures=false"]
    given.remove("strategy=fine_tune")
    assert main([*given, "privacy.least_users=100000"]) == 0
    shown = capsys.readouterr().out
    row = next(line for line in shown.splitlines() if line.startswith("fine_tune") and "model" in line)
    assert row.split()[2:6] == ["n/a"] * 4
    page = (tmp_path / "out" / "report.html").read_text()
    assert "differences of fewer than 100000 users are left out" in page
    written = pl.read_parquet(tmp_path / "out" / "results.parquet")
    assert written.filter(pl.col("split") == "next")["value"].null_count() == written.filter(split="next").height
    assert main(given) == 0, "the runs have all of it"
    assert "n/a  n/a" not in next(li for li in capsys.readouterr().out.splitlines() if li.startswith("fine_tune"))


def test_lists_of_single_users_name_them_by_their_hash_and_are_left_out_where_few_are_not_shown(tmp_path):
    out = tmp_path / "out"
    given = ["compare", *TINY, f"output={out}", "strategies=[fine_tune]", "figures=false"]
    given = [*(g for g in given if g != "strategy=fine_tune"), f"privacy.key={tmp_path / 'key'}"]
    assert main(given) == 0
    page = (out / "report.html").read_text()
    named = set(pl.read_parquet(out / "examples.parquet")["user"])
    assert len(named) == 5
    assert all(re.fullmatch("[0-9a-f]{16}", user) and f"<h3>User {user} (" in page for user in named)
    plain = [*(g for g in given if not g.startswith(("privacy", "output"))), f"output={tmp_path / 'plain'}"]
    assert main(plain) == 0
    page = (tmp_path / "plain" / "report.html").read_text()
    assert re.findall(r"<h3>User (\d)", page) == ["1", "2", "3", "4", "5"]
    ids = pl.read_parquet(tmp_path / "plain" / "examples.parquet")["user"].unique().to_list()
    assert not any(look(tmp_path / "plain" / "report.html", user).holding for user in ids), "a page has no id of a user"
    assert main([*given, "privacy.least_users=2"]) == 0
    page = (out / "report.html").read_text()
    assert "privacy.least_users=2 leaves out what is of fewer" in page
    assert not any(user in page for user in named)
    assert "<h3>User " not in page
    assert not (out / "examples.parquet").exists(), "the runs keep them, a report does not"
    (kept,) = out.glob("fine_tune-*/examples.parquet")
    kept.unlink()
    next(out.glob("references-*/examples.parquet")).unlink()
    assert main(given) == 0
    assert "these runs are of a version that kept none" in (out / "report.html").read_text()


def test_figures_of_a_few_are_not_logged_either():
    rows = {"scorer": "model", "split": ["next", "next", "cost"], "metric": ["recall@20", "ndcg@20", "seconds"]}
    table = pl.DataFrame({**rows, "segment": "all", "trained_to": 1, "value": [0.1, 0.2, 3.0], "n": [9, 12, 1]})
    seen = {}
    tracker = Tracker(None, least=10)
    tracker.log = lambda values, t: seen.update(values)
    tracker.increment(1, SimpleNamespace(results=[table]))
    assert seen == {"next/model/ndcg@20": 0.2, "cost/model/seconds": 3.0}
