"""What a sweep promises: each point once, counters that go on, studies kept apart, states told apart."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from support_sweeps import GRID, SPACE, Knowing, bowl, plan, searched, shown, stream
from test_structure import IMPORTS

from gnnrec.core.errors import GnnrecError
from gnnrec.sweeping import text
from gnnrec.sweeping.study import Ledger

THREE = "sweep.space={strategy.budget: [100, 500, 700]}"


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_the_same_parameters_are_one_point_which_is_not_run_twice(tmp_path, sampler):
    of = plan(tmp_path, THREE, f"sweep.sampler={sampler}", "sweep.trials=9")
    crew = Knowing(bowl)
    found = searched(of, crew)
    assert len(crew.done) == len(found) == of.wanted == 3
    assert sorted(t.params["strategy.budget"] for t in found) == [100, 500, 700]


def test_a_point_that_is_in_flight_is_not_begun_again(tmp_path):
    of = plan(tmp_path, THREE, "sweep.trials=9")
    crew = Knowing(bowl, room=3, last_first=True)
    assert len(searched(of, crew)) == len(crew.done) == 3


def test_counters_go_on_after_a_restart(tmp_path):
    said: list[str] = []
    of = plan(tmp_path, SPACE, "sweep.trials=4")
    searched(of, Knowing(bowl, stop_after=2), said.append)
    searched(of, Knowing(bowl), said.append)
    assert [line.split(":")[0] for line in said] == [f"trial {n} of 4" for n in (1, 2, 3, 4)]
    found = searched(plan(tmp_path, SPACE, "sweep.trials=6"), crew := Knowing(bowl))
    assert [t.number for t in found] == [1, 2, 3, 4, 5, 6]
    assert len(crew.done) == 2


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
@pytest.mark.parametrize("prune", ["true", "false"])
def test_a_sweep_that_is_killed_and_continued_is_that_of_one_that_is_not(tmp_path, sampler, prune):
    asked = [
        GRID if sampler == "grid" else SPACE,
        f"sweep.sampler={sampler}",
        f"sweep.prune={prune}",
        "sweep.trials=14",
    ]
    whole = searched(plan(tmp_path / "whole", *asked), Knowing(bowl))
    for stop in (1, 4, 5, None):
        cut = searched(plan(tmp_path / "cut", *asked), Knowing(bowl, stop_after=stop))
    assert shown(cut) == shown(whole)
    assert len(whole) == (8 if sampler == "grid" else 14)


@pytest.mark.parametrize(
    "change",
    [
        "fit.lr=0.02",
        "encoder.width=8",
        "data.events=700",
        "sweep.space={strategy.budget: {low: 100, high: 900}, fit.lr: {low: 0.001, high: 0.1, log: true}}",
        "sweep.sampler=random",
        "sweep.metric=recall@20",
        "sweep.seeds=[0,1]",
        "sweep.prune=true",
        "seed=1",
    ],
)
def test_a_changed_configuration_space_or_data_is_another_study_and_nothing_is_mixed(tmp_path, change):
    one, other = plan(tmp_path, SPACE, "sweep.trials=3"), plan(tmp_path, SPACE, "sweep.trials=3", change)
    before = searched(one, Knowing(bowl))
    assert Ledger(other, stream(other)).tried() == []
    assert len(searched(other, Knowing(lambda step: 0.5))) == 3
    assert searched(one, crew := Knowing(bowl)) == before
    assert crew.done == []


def test_how_many_trials_are_wanted_makes_no_other_study(tmp_path):
    searched(plan(tmp_path, SPACE, "sweep.trials=3"), Knowing(bowl))
    searched(plan(tmp_path, SPACE, "sweep.trials=4", "threads=2"), crew := Knowing(bowl))
    assert len(crew.done) == 1


def test_failed_pruned_and_in_flight_points_are_told_apart(tmp_path):
    def worth(step):
        if len(crew.done) == 3:
            raise ValueError("no such column")
        return 1.0 if len(crew.done) < 14 else 0.1

    of = plan(tmp_path, SPACE, "sweep.trials=12", "sweep.prune=true")
    crew = Knowing(worth, room=2, stop_after=16)
    found = searched(of, crew)
    assert {t.state for t in found} == {"complete", "failed", "pruned", "running"}
    (failed,) = [t for t in found if t.state == "failed"]
    assert (failed.values, failed.more) == (None, "no such column")
    assert all(t.more == "0.10000 after increment 1" and t.values is None for t in found if t.state == "pruned")
    said = text.counts(found)
    assert "1 failed" in said
    assert "2 running" in said
    table = text.as_csv(found, of.metrics).splitlines()
    assert table[0].startswith("trial,state,strategy.budget,fit.lr,ndcg@20,ndcg@20_deviation,seconds_per_update,why")
    assert sum(",running," in line for line in table) == 2
    ledger = Ledger(of, stream(of))  # what a new driver finds
    assert "2 interrupted" in text.counts(ledger.tried())


def test_a_failed_point_is_not_run_again_and_the_sweep_goes_on(tmp_path):
    def worth(step):
        if step.job.config["strategy"]["budget"] == 500:
            raise ValueError("of this budget")
        return bowl(step)

    of = plan(tmp_path, THREE, "sweep.trials=3")
    assert sorted(t.state for t in searched(of, Knowing(worth))) == ["complete", "complete", "failed"]
    searched(of, crew := Knowing(worth))
    assert crew.done == []


def test_a_value_that_is_no_number_is_a_failure_and_no_endless_loop(tmp_path):
    of = plan(tmp_path, THREE, "sweep.trials=3")
    found = searched(of, Knowing(lambda step: float("nan")))
    assert [(t.state, t.more) for t in found] == [("failed", "valid ndcg@20 is no number: training diverged")] * 3


def test_only_the_driver_opens_the_study():
    """What a worker imports, directly or not, knows no Optuna."""
    reached, todo = set(), ["gnnrec.launching.worker", "gnnrec.runs.point"]
    while todo:
        if (module := todo.pop()) not in reached:
            reached.add(module)
            todo += [m for m in IMPORTS.get(module, ()) if m.startswith("gnnrec")]
    assert "gnnrec.runs.experiment" in reached
    assert not [m for m in reached if m.startswith("gnnrec.sweeping")]
    assert not [m for m in reached if any(i.split(".")[0] == "optuna" for i in IMPORTS.get(m, ()))]
    assert any("create_study" in ast.dump(ast.parse(p.read_text())) for p in Path("gnnrec/sweeping").glob("study.py"))


def test_a_grid_is_every_point_once_and_its_size_is_known_before(tmp_path):
    of = plan(tmp_path, GRID, "sweep.sampler=grid", "sweep.trials=2")
    assert of.wanted == 8
    found = searched(of, crew := Knowing(bowl))
    asked = {(t.params["strategy.budget"], t.params["fit.lr"]) for t in found}
    assert asked == {(b, lr) for b in (100, 300, 500, 700) for lr in (0.001, 0.01)}
    assert len(crew.done) == 8
    assert found[0].params == of.default


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["sweep.sampler=grid", SPACE], "fit.lr is a range [0.001, 0.1] without steps; give it step: S, or choices"),
        (["sweep.sampler=grid", "sweep.space={fit.patience: {low: 1, high: 90000}}"], "the space has 90,000 points"),
        (["sweep.sampler=gird"], "sweep.sampler=gird is not known; did you mean 'grid'"),
        (["sweep.metric=[seconds,edges_touched]"], "would choose whatever learns least"),
        (["sweep.metric=[]"], "would choose whatever learns least"),
        (["sweep.metric=[ndcg@20,second]"], "did you mean 'seconds'"),
        (["sweep.metric=[ndcg@20,seconds]", "sweep.prune=true"], "sweep.prune=true needs one metric"),
        (["sweep.seeds=[]"], "sweep.seeds=[] must be one or more"),
        (["sweep.seeds=[-1]"], "sweep.seeds=[-1] must be"),
    ],
)
def test_a_search_that_cannot_be_is_one_line(tmp_path, typed, said):
    with pytest.raises(GnnrecError) as caught:
        plan(tmp_path, *typed)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_value_of_a_point_is_the_mean_over_its_seeds_and_the_deviation_is_kept(tmp_path):
    of = plan(tmp_path, THREE, "sweep.trials=3", "sweep.seeds=[0,1,5]")
    found = searched(of, crew := Knowing(lambda step: bowl(step) + step.job.seed))
    assert [step.job.seed for step in crew.done[:3]] == [0, 1, 5]
    best = max(found, key=lambda t: t.values)
    assert best.params == {"strategy.budget": 700}
    assert best.values == pytest.approx((3.0,))
    assert best.deviations == pytest.approx((7**0.5,))


def test_a_point_of_which_one_seed_fails_has_failed(tmp_path):
    def worth(step):
        if step.job.seed == 1:
            raise ValueError("of this seed")
        return 1.0

    found = searched(plan(tmp_path, THREE, "sweep.trials=1", "sweep.seeds=[0,1,2]"), Knowing(worth))
    assert [(t.state, t.more) for t in found] == [("failed", "of this seed")]


def test_of_several_metrics_the_best_are_the_front(tmp_path):
    of = plan(tmp_path, GRID, "sweep.sampler=grid", "sweep.metric=[ndcg@20,seconds]")
    found = searched(of, Knowing(lambda step: bowl(step) + step.job.config["fit"]["lr"]))
    front = Ledger(of, stream(of)).best()

    def dominated(one):
        pairs = [t.values for t in found]
        return any(q >= one[0] and s <= one[1] and (q, s) != one for q, s in pairs)

    assert [t.values for t in front] == sorted((t.values for t in found if not dominated(t.values)), reverse=True)
    assert [(t.params["strategy.budget"], t.params["fit.lr"]) for t in front] == [(700, 0.01), (700, 0.001)]


def test_a_point_below_the_median_after_increment_1_is_given_up_and_the_configured_one_never(tmp_path):
    of = plan(tmp_path, SPACE, "sweep.trials=12", "sweep.prune=true", "sweep.sampler=random")
    crew = Knowing(lambda step: -1.0 if step.job.config["strategy"]["budget"] == 500 else bowl(step))
    found = searched(of, crew)
    assert found[0].state == "complete"
    whole = [t for t in found if t.state == "complete"]
    given_up = [t for t in found if t.state == "pruned"]
    assert len(whole) >= 5
    assert given_up
    assert len(crew.done) == 2 * len(whole) + len(given_up), "a pruned point is not run on increment 2"
    assert min(float(t.more.split()[0]) for t in given_up) < max(t.values[0] for t in whole)


def test_several_in_flight_are_other_points(tmp_path):
    of = plan(tmp_path, SPACE, "sweep.trials=12")
    crew = Knowing(bowl, room=4, last_first=True)
    found = searched(of, crew)
    assert len({tuple(t.params.values()) for t in found}) == len(crew.done) == 12
