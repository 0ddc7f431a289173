"""What is left of events that are taken back is compared with a run that never saw them."""

from __future__ import annotations

import polars as pl
import pytest
import unlearning
from support.scripts import TINY, ran

from gnnrec.core.errors import GnnrecError

LEARNT = [
    "data.feedback=implicit",
    "objective=softmax",
    "objective.popularity=0",
    "fit.max_epochs=4",
    "fit.base.max_epochs=4",
    "fit.lr=0.1",
]


def play(folder, *more):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unlearning, "SHARE", 0.1)
        patch.setattr(unlearning, "K", 5)
        return ran(patch, unlearning, "simulated", f"output={folder}", *TINY, *LEARNT, *more)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unlearning")
    assert play(folder, "--seeds", "0,1") == 0
    return folder


def test_exact_unlearning_is_as_never_seen_and_going_on_is_not(played):
    table = pl.read_csv(played / "unlearning.csv")
    assert set(table["users of"]) == {"base", "later"}
    assert set(table["row"]) == {*unlearning.ROWS, "never, next seed"}
    exact = table.filter(pl.col("row").is_in(["never", "unlearn"]))
    assert exact["lists changed"].to_list() == [0.0] * 8
    left = exact.pivot("row", index=["users of", "seed"], values="recall of what is gone")
    assert left["never"].to_list() == left["unlearn"].to_list()
    for row in ("fine_tune", "unlearn_influence", "never, next seed"):
        assert table.filter(row=row)["lists changed"].min() > 0, row
    assert (table.filter(row="unlearn")["events"] > 0).all()


def test_what_was_played_is_not_played_again(played, monkeypatch):
    before = (played / "unlearning.csv").read_text()
    monkeypatch.setattr(unlearning, "lists", None)  # another run would fail
    assert play(played, "--seeds", "0,1") == 0
    assert (played / "unlearning.csv").read_text() == before


def test_a_log_without_later_users_is_said(tmp_path):
    with pytest.raises(GnnrecError, match="no user came after the base by increment 2"):
        play(tmp_path, "--seeds", "0", "data.users=12", "data.events=300", "data.arrivals=0")
