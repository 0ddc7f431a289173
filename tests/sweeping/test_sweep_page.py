"""The page of a sweep: whole without anything else, the same for the same study, honest where there is too little."""

from __future__ import annotations

import re

import pytest
from support_sweeps import GRID, SPACE, Knowing, bowl, plan, searched, stream

from gnnrec.sweeping.page import Page, importances
from gnnrec.sweeping.study import Ledger

DRAWN = "figures=true"


def page_of(of, path, said=("found",)):
    Page.of(of, Ledger(of, stream(of)), "gnnrec sweep <all>").write(path, said)
    return path.read_text()


def worth(step):
    if step.job.config["strategy"]["budget"] == 300:
        raise ValueError("<b>no such column</b>")
    return bowl(step)


def test_it_holds_every_trial_and_loads_and_runs_nothing(tmp_path):
    of = plan(tmp_path, GRID, "sweep.sampler=grid", "sweep.metric=[ndcg@20,seconds]", "sweep.seeds=[0,1]", DRAWN)
    searched(of, Knowing(lambda step: worth(step) + 0.01 * step.job.seed))
    page = page_of(of, tmp_path / "a.html")
    assert page.count("data:image/svg+xml;base64,") == 5, "front, two histories, importances, parallel coordinates"
    assert "8 trials: 6 complete, 2 failed" in page
    assert "&lt;b&gt;no such column&lt;/b&gt;" in page
    assert "1.00500 ± 0.00707" in page
    assert "two sweeps never agree on them to the byte" in page
    assert not re.findall(r"""<script|<b>|(?:src|href)=["'](?!data:|#)""", page)
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", page.split('id="front"')[0])
    assert len(rows) == 9
    assert "front" in rows[1], "the best by the first metric first"
    assert page_of(of, tmp_path / "b.html") == page, "the same bytes"


def test_what_cannot_be_drawn_is_left_out_or_na(tmp_path):
    of = plan(tmp_path, SPACE, "sweep.trials=2", DRAWN)
    searched(of, Knowing(lambda step: 0.5))
    page = page_of(of, tmp_path / "a.html")
    assert "n/a: it takes three complete trials, not all of one value" in page
    assert "Settings side by side" not in page
    assert page.count("data:image/svg+xml") == 1


def test_without_figures_there_are_tables(tmp_path):
    of = plan(tmp_path, SPACE, "sweep.trials=6")
    searched(of, Knowing(bowl))
    page = page_of(of, tmp_path / "a.html")
    assert "data:image" not in page
    assert "PED-ANOVA" in page


@pytest.mark.parametrize("metric", ["ndcg@20", "[recall@20,seconds]"])
def test_the_key_that_decides_is_the_important_one(tmp_path, metric):
    of = plan(tmp_path, SPACE, "sweep.trials=30", "sweep.sampler=random", f"sweep.metric={metric}")
    searched(of, Knowing(bowl))
    found = importances(Ledger(of, stream(of)).study, 0, True)
    assert next(iter(found)) == "strategy.budget"
    assert sum(found.values()) == pytest.approx(1)
