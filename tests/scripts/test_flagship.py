"""The page over several logs says what each comparison's own tables say."""

from __future__ import annotations

import flagship
import polars as pl
import pytest
from support.scripts import TINY, ran

from gnnrec.cli.main import main
from gnnrec.evaluation.results import summary


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("flagship")
    more = ["strategies=[full_retrain,fine_tune,stale]", "seeds=[0,1]", "figures=false", "fit.base.margin=0"]
    assert main(["compare", "data=simulated", *TINY, *more, f"output={made / 'world'}"]) == 0
    return made


def test_rows_are_set_against_full_retraining_of_their_scorer(folder):
    found = flagship.against_full(flagship.Comparison.of(folder / "world"))
    table = summary(pl.read_parquet(folder / "world" / "results.parquet"))
    values = {(r["strategy"], r["scorer"]): r["recall@20_all"] for r in table.iter_rows(named=True)}
    seconds = {(r["strategy"], r["scorer"]): r["seconds_per_update"] for r in table.iter_rows(named=True)}
    trained = found.filter(pl.col("scorer") != "reference")
    assert set(trained["strategy"]) == {"fine_tune", "stale"}
    for row in trained.iter_rows(named=True):
        own, full = (values[name, row["scorer"]] for name in (row["strategy"], "full_retrain"))
        assert row["difference"] == pytest.approx((own - full) / full, abs=1e-9)
        assert row["low"] <= row["difference"] <= row["high"]
        assert row["times_low"] <= row["times"] <= row["times_high"]
        mean = seconds["full_retrain", row["scorer"]] / seconds[row["strategy"], row["scorer"]]
        assert row["times_low"] * 0.99 <= mean <= row["times_high"] * 1.01  # a ratio of means lies among the ratios
    assert found.filter(scorer="reference")["times"].null_count() == len(found.filter(scorer="reference"))


def test_early_and_late_increments_make_up_the_whole(folder):
    c = flagship.Comparison.of(folder / "world")
    when = flagship.where(c).filter(strategy="stale")
    assert {"known_user", "new_user", "early increments", "late increments"} <= set(when["segment"])
    rows = c.results.filter(
        split="next", segment="all", metric="recall@20", scorer="blend", strategy="full_retrain"
    ).filter(pl.col("trained_to") >= 1)
    early = when.filter(segment="early increments")["full"].item()
    assert early == pytest.approx(rows.filter(trained_to=1)["value"].mean())


def test_the_page_writes_tables_and_a_figure(folder, monkeypatch, capsys):
    assert ran(monkeypatch, flagship, "page", folder) == 0
    assert "| world | fine_tune, blend |" in capsys.readouterr().out
    for name in ("rows.csv", "rows.md", "when.csv", "when.md", "figures/flagship.svg", "figures/flagship.png"):
        assert (folder / name).stat().st_size > 0


@pytest.mark.parametrize(
    ("asked", "complaint"), [(["run", "netflix"], "no log of this record"), (["page"], "one folder")]
)
def test_what_cannot_be_done_is_said(monkeypatch, asked, complaint):
    with pytest.raises(Exception, match=complaint):
        ran(monkeypatch, flagship, *asked)
