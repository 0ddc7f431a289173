"""A space is checked before anything is trained, and says what a sweep can move."""

from __future__ import annotations

import pytest

from gnnrec.cli.jobs import of_comparison
from gnnrec.config.compose import chosen, compose
from gnnrec.core.errors import GnnrecError
from gnnrec.sweeping.plan import plan_of
from gnnrec.sweeping.space import space_of, tree


def space(*typed: str):
    """Return the dimensions that a sweep would search."""
    return space_of(compose(list(typed)), lambda group: chosen(group, typed))


def search(*typed: str):
    """Check a search as the command does."""

    def composed(more: list[str]):
        return compose([*(o for o in typed if o.split("=")[0] not in {m.split("=")[0] for m in more}), *more])

    row = chosen("strategy", typed)
    return plan_of(row, compose(list(typed)), composed, lambda group: chosen(group, typed)).space


@pytest.mark.parametrize(
    "key",
    [
        *("data.users", "stream.base", "evaluation.topk", "threads", "seed", "output", "strategy.seed", "encoder.seed"),
        *("strategy", "fit", "scorer.rows", "trainer.precision", "name", "encoder._target_", "sweep.trials"),
    ],
)
def test_what_a_sweep_cannot_move_is_refused_with_what_it_can(key):
    with pytest.raises(GnnrecError, match="keys of strategy, fit, encoder, objective, init, graph can"):
        space(f"sweep.space={{{key}: {{choices: [1, 2]}}}}", "encoder=pyg")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("{choices: 5}", "needs {choices: [a, b]}, or {low: a, high: b}"),
        ("{choices: []}", "needs choices"),
        ("{choices: [[1]]}", "needs choices"),
        ("{low: 0, high: 1, log: true}", "must be greater than 0 on a log scale"),
        ("{low: 1, high: 2, type: integer}", "allowed: int, float"),
        ("{low: 0.5, high: 2, type: int}", "needs whole ends"),
        ("{low: 2, high: 1}", "are no range"),
        ("{low: nan, high: inf}", "are no range"),
        ("{low: a, high: 1}", "low=a is not a number"),
        ("{low: 0.001, high: 1, log: 3}", "log=3 is not true or false"),
        ("{low: 0.001, high: 1, steps: 1}", "takes no 'steps'"),
        ("{low: 0.001, high: 1, step: 0}", "step=0 must be above 0"),
        ("{low: 0.001, high: 1, log: true, step: 0.1}", "step=0.1 has no meaning on a log scale"),
        ("{low: 1, high: 9, type: int, step: 1.5}", "step=1.5 must be above 0, and whole"),
        ("{low: 0.004, high: 1, step: 0.004}", "fit.lr=0.01, as configured, lies outside [0.004, 1] by steps of 0.004"),
        ("{low: 1}", "or {low: a, high: b}"),
        ("3", "or {low: a, high: b}"),
        ("{low: 0.1, high: 1}", "fit.lr=0.01, as configured, lies outside [0.1, 1]"),
    ],
)
def test_a_malformed_space_is_one_line(values, said):
    with pytest.raises(GnnrecError) as caught:
        space(f"sweep.space={{fit.lr: {values}}}")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("sweep.space={fit.lrr: [1, 2]}", "did you mean 'lr'"),
        ("sweep.space={fit.base: [1, 2]}", "holds several values"),
        ("sweep.space={}", "sweep.space is empty"),
        ("sweep.space=3", "sweep.space=3 is no mapping"),
    ],
)
def test_a_space_of_no_key_is_one_line(typed, said):
    with pytest.raises(GnnrecError) as caught:
        space(typed)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["sweep.space={fit.lr: {low: -1, high: 1}}"], "sweep.space: fit.lr=-1.0: fit.lr must be greater than 0"),
        (["sweep.space={fit.max_epochs: {choices: [60, many]}}"], "fit.max_epochs=many is not a whole number"),
        (["sweep.space={init: {choices: [two_hop_mean, ones]}}"], "there is no init=ones"),
        (["sweep.space={encoder: [lightgcn, mf]}", "encoder.layers=2"], "sweep.space: encoder=mf: there is no key"),
    ],
)
def test_every_end_of_a_space_makes_a_configuration(typed, said):
    with pytest.raises(GnnrecError) as caught:
        search(*typed)
    assert said in str(caught.value)


def test_a_space_replaces_the_usual_one():
    assert [d.key for d in space("sweep.space={fit.patience: {low: 2, high: 20}}")] == ["fit.patience"]
    assert [d.key for d in space("+sweep.space.fit.lr=[0.01,0.1]")] == ["fit.lr"]
    assert [d.key for d in space("sweep.space={fit: {lr: [0.01], base: {lr: [0.01]}}}")] == ["fit.lr", "fit.base.lr"]


def test_whole_ends_of_a_whole_number_make_a_range_of_whole_numbers():
    (found,) = space("sweep.space={fit.batch_size: {low: 100, high: 4000}}")
    assert found.whole
    assert found.ends() == (100, 4000)
    assert not space("sweep.space={fit.lr: {low: 0.001, high: 1}}")[0].whole


def test_steps_are_counted_from_the_low_end_and_end_where_they_last_fit():
    (found,) = space("sweep.space={fit.lr: {low: 0.001, high: 0.0199, step: 0.003}}")
    assert found.values() == (0.001, 0.004, 0.007, 0.01, 0.013, 0.016, 0.019)
    assert found.ends() == (0.001, pytest.approx(0.019))
    (whole,) = space("sweep.space={fit.patience: {low: 1, high: 10, step: 4}}", "fit.patience=5")
    assert whole.values() == (1, 5, 9)
    assert space("sweep.space={fit.lr: {low: 0.001, high: 1}}")[0].values() is None


def test_groups_can_be_searched():
    found = search("sweep.space={init: [two_hop_mean, zero], objective: {choices: [default, bpr]}}", "init=zero")
    assert [(d.key, d.default) for d in found] == [("init", "zero"), ("objective", "default")]
    nested = tree({"init": "zero", "fit.lr": 0.1, "fit.base.lr": 0.2})
    assert nested == {"defaults": [{"override /init": "zero"}], "fit": {"lr": 0.1, "base": {"lr": 0.2}}}


@pytest.mark.parametrize("experiment", ["quickstart", "amazon_games", "online_retail", "movietweetings", "gowalla_ccd"])
def test_the_usual_space_holds_every_experiment_as_it_ships(experiment):
    for dimension in space(f"experiment={experiment}", "strategy=fine_tune"):
        assert dimension.holds(dimension.default)
    usual = {d.key: d for d in space("experiment=quickstart")}
    assert usual["fit.max_epochs"].choices == (5, 15, 60, 30)


@pytest.mark.parametrize(("at", "low", "high"), [(0.5, 0.001, 0.5), (1e-5, 1e-5, 0.1)])
def test_the_usual_range_takes_in_the_configured_value(at, low, high):
    found = {d.key: d for d in space(f"fit.lr={at}")}["fit.lr"]
    assert (found.low, found.high) == (low, high)


def test_a_comparison_is_built_before_data_are_read():
    typed = ["strategies=[frozen,{replay: {budget: -1}}]"]
    with pytest.raises(GnnrecError, match="budget"):
        of_comparison(compose(typed), typed, None, lambda _: None)
