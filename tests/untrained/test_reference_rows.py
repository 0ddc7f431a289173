"""Recommenders without training as rows of a table."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

import gnnrec as gr
from gnnrec.cli.main import main
from gnnrec.config.compose import compose
from gnnrec.config.listed import references
from gnnrec.config.options import folder
from gnnrec.core.errors import GnnrecError
from gnnrec.counters.counters import Counters
from gnnrec.data.stream.removals import with_removals
from gnnrec.evaluation import results as table
from gnnrec.evaluation.reference import USUAL, Absorbed, Counted, reference_rows
from gnnrec.evaluation.world import worlds
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.runs import build
from gnnrec.scorers.blend import Grid
from gnnrec.scorers.references import ItemKNNScorer
from gnnrec.testing.worlds import MEASURE, interactions, simulated
from gnnrec.untrained.base import Untrained
from gnnrec.untrained.filter import GraphFilter
from gnnrec.untrained.itemknn import NearestItems
from gnnrec.untrained.popularity import PopularItems

GRID = Grid(half_life=(100.0, 300.0))
TINY = [
    "data=simulated",
    "data.users=60",
    "data.items=40",
    "data.events=800",
    "stream.increments=2",
    "logger=none",
    "figures=false",
]
NEEDS = {"ials": "implicit", "implicit": "implicit", "lenskit": "lenskit"}
FILES = sorted(path.stem for path in folder().glob("reference/*.yaml"))


def rows(stream, made=None):
    given = {} if made is None else {"references": made}
    return reference_rows("e", stream, worlds(stream), MEASURE, GRID, **given)["results"]


def of(frame, name):
    return frame.filter(pl.col("strategy") == name, pl.col("split") != "cost").drop("strategy")


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_built(name):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"{NEEDS[name]} is not installed")
    if name == "outside":
        with pytest.raises(GnnrecError, match="has no method fit"):
            build.references(compose(["references=[outside]"]))
        return
    (made,) = build.references(compose([f"references=[{name}]"])).values()
    assert isinstance(made, Counted | Untrained)


def test_the_usual_rows_are_those_of_the_configuration():
    assert list(compose([])["references"]) == list(USUAL)
    stream = simulated()
    assert_frame_equal(rows(stream), rows(stream, build.references(compose([]))))


def test_a_recommender_of_its_own_is_the_row_that_is_counted_for_all():
    frame = rows(
        simulated(), {**{n: Counted(n) for n in USUAL}, "mine": PopularItems(), "decayed": PopularItems(100.0)}
    )
    for own, usual in (("mine", "popularity"), ("decayed", "decayed_popularity")):
        expected = of(frame, usual).filter(pl.col("split").is_in(["next", "beyond"]))
        assert_frame_equal(of(frame, own), expected)
    knn = rows(simulated(), {"itemknn": Counted("itemknn"), "mine": NearestItems()})
    assert_frame_equal(of(knn, "mine"), of(knn, "itemknn"))


def test_users_without_history_get_the_counter_that_valid_prefers():
    stream, grid = simulated(), Grid(counters=(math.inf, 30.0, 300.0))
    kept, seen = Absorbed(grid), worlds(stream)
    made = {"mine": NearestItems(), "itemknn": Counted("itemknn")}
    reference_rows("e", stream, seen, MEASURE, grid, made)
    for increment, world in zip(stream.increments, seen, strict=True):
        before = seen[world.index - 1].seen if world.index else BipartiteGraph.empty()
        kept.absorb(increment.observed, before, MEASURE)
    half_life = kept._best.choice.weights.half_life
    assert half_life == 30.0  # of infinity, 30 and 300: fashion passes quickly in this world
    expected = torch.from_numpy(kept.counters.popularity.at(half_life)).float()
    assert torch.equal(made["mine"].scores(np.array([10**6]), len(expected))[0], expected)
    for width in (len(expected), len(expected) + 3):  # candidates may be items that nobody has had yet
        found = kept.scorers(False)["itemknn"].scores(np.array([10**6]), width)[0]
        assert torch.equal(found[: len(expected)], expected)
        assert (found[len(expected) :] < expected.min()).all()


def test_an_infinite_half_life_may_come_first():
    stream = simulated()
    frame = reference_rows("e", stream, worlds(stream), MEASURE, Grid(half_life=(math.inf, 100.0)))["results"]
    assert_frame_equal(
        *(of(frame, n).filter(pl.col("split").is_in(["next", "beyond"])) for n in ("popularity", "decayed_popularity"))
    )


def test_a_user_whose_events_are_all_taken_back_is_ranked_as_one_without_history():
    counters = Counters((100.0,))
    counters.absorb(interactions([(0, 1), (1, 1), (1, 2), (2, 3)]), 3, 4)
    counters.retract(interactions([(0, 1)]))
    row = ItemKNNScorer(counters, np.array([4.0, 3.0, 2.0, 1.0])).scores(np.array([0, 1, 7]), 4)
    assert row[[0, 2]].tolist() == [[4.0, 3.0, 2.0, 1.0]] * 2
    assert row[1].tolist() != row[0].tolist()


def test_a_row_costs_seconds_and_bytes():
    frame = rows(simulated(), {"filter": GraphFilter(), "popularity": Counted("popularity")})
    cost = frame.filter(pl.col("split") == "cost")
    assert set(cost["metric"]) == {"seconds", "bytes_kept"}
    assert set(cost["strategy"]) == {"filter"}
    assert cost["trained_to"].min() == 1
    summary = table.summary(table.check(frame))
    assert summary.filter(pl.col("strategy") == "filter")["seconds_per_update"][0] > 0
    assert summary.filter(pl.col("strategy") == "popularity")["seconds_per_update"][0] is None


def test_without_the_row_that_transfer_is_measured_against_there_is_none():
    assert not rows(simulated(), {"popularity": Counted("popularity")}).filter(pl.col("split") == "test").height


def test_what_a_stream_takes_back_is_taken_out():
    plain = simulated()
    first = plain.increments[0].observed.train
    stream = with_removals(plain, {2: [(plain.users[first.user[0]], None), (plain.users[first.user[1]], None)]})
    assert len(stream.increments[2].observed.removed) > 2
    made = {"mine": PopularItems(), "filter": GraphFilter(), "popularity": Counted("popularity")}
    frame = rows(stream, made)
    assert_frame_equal(of(frame, "mine"), of(frame, "popularity").filter(pl.col("split").is_in(["next", "beyond"])))
    whole = GraphFilter()
    for increment in stream.increments:
        new = increment.observed
        whole.retract(new.removed)
        whole.absorb(new.arrived, new.num_users, new.num_items)
        whole.absorb(new.folded, new.num_users, new.num_items)
    user = np.arange(whole.num_users)
    assert np.allclose(made["filter"].scores(user, 40), whole.scores(user, 40), atol=1e-5)


@pytest.mark.parametrize("entry", ["filter", "gf_cf", "nearest_items", "ease", "recent_popularity"])
def test_the_table_of_a_command_has_the_row(entry, tmp_path, capsys):
    given = [
        *TINY,
        "threads=1",
        "fit.max_epochs=1",
        "fit.base.max_epochs=1",
        "strategies=[frozen]",
        f"output={tmp_path}",
    ]
    assert main(["compare", *given, f"references=[popularity,{entry}]"]) == 0
    found = pl.read_csv(tmp_path / "summary.csv").filter(pl.col("scorer") == "reference")
    assert set(found["strategy"]) >= {"popularity", entry, "oracle", "bias"}
    assert "itemknn" not in set(found["strategy"])


def test_entries_are_names_or_names_with_parameters():
    found = references(["filter", {"filter": {"half_life": 50.0}}, {"ease": {"l2": 5.0}}, "filter"])
    assert list(found) == ["filter", "filter[half_life=50.0]", "ease"]
    assert found["filter[half_life=50.0]"] == {**found["filter"], "half_life": 50.0}
    assert found["ease"]["l2"] == 5.0
    assert references([]) == {}


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("references=[eas]", "there is no reference 'eas'; did you mean 'ease'?"),
        ("references=[{ease:5}]", "references: ease needs {parameter: value}, got 5"),
        ("reference=ease", "there is no key 'reference'; did you mean 'references'?"),
        ("references=ease", "references=ease is not a list"),
    ],
)
def test_what_is_no_reference_is_said(typed, said):
    with pytest.raises(GnnrecError) as error:
        compose([typed])
    assert said in str(error.value)


def test_a_number_cannot_become_a_group():
    with pytest.raises(GnnrecError, match=r"references\.ease\.l2=\{'a': 1\} is not a number"):
        build.references(compose(["references=[{ease:{l2:{a:1}}}]"]))


def test_parameters_are_checked_before_anything_is_read():
    with pytest.raises(GnnrecError, match=r"references\.ease takes no 'l3'; did you mean 'l2'\?"):
        build.references(compose(["references=[{ease:{l3:1}}]"]))
    with pytest.raises(GnnrecError, match="is no Untrained"):
        build.references({**compose([]), "references": {"x": {"_target_": "gnnrec.scorers.blend.Grid"}}})
    with pytest.raises(GnnrecError, match="row=itemkn is not counted for every table; did you mean 'itemknn'"):
        Counted("itemkn")


def test_a_file_of_one_s_own_is_a_reference(tmp_path):
    (tmp_path / "reference").mkdir()
    (tmp_path / "reference" / "mine.yaml").write_text(
        "_target_: gnnrec.untrained.popularity.PopularItems\nhalf_life: 7\n"
    )
    found = compose(["references=[popularity,mine]"], tmp_path)["references"]
    assert found["mine"]["half_life"] == 7
    (tmp_path / "reference" / "mine.yaml").write_text("[]")
    with pytest.raises(GnnrecError, match="is no mapping of keys"):
        compose(["references=[mine]"], tmp_path)


def test_a_notebook_lists_them_too():
    log = gr.simulate(users=60, items=40, events=800)
    fast = {"fit.max_epochs": 1, "fit.base.max_epochs": 1}
    found = gr.compare(log.stream(increments=2), [gr.Frozen()], options=fast, quiet=True, references=["ease", "random"])
    assert {"ease", "random"} <= set(found.results["strategy"])
    assert "itemknn" not in set(found.results["strategy"])
