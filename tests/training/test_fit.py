"""One fit: budgets, early stopping, what the optimiser carries over, and what is refused."""

from __future__ import annotations

import copy
import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch

from gnnrec.config.compose import compose
from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Interactions
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.encoders.pyg import PyG
from gnnrec.learner import Learner
from gnnrec.objectives.bpr import BPR
from gnnrec.objectives.joint import Joint
from gnnrec.testing.worlds import FIT, MEASURE, simulated
from gnnrec.training.early_stopping import selector
from gnnrec.training.fitter import run_fit
from gnnrec.training.module import RecommendationModule
from gnnrec.training.sampling import EpochBatches
from gnnrec.training.settings import FitSettings
from gnnrec.training.step import Terms

STREAM = simulated()
BASE, NEXT = (i.observed for i in STREAM.increments[:2])


def extended(new=BASE, **fit):
    learner = Learner(LightGCN(8, 2), Joint(width=8, popularity=0.0), replace(FIT, **fit), measure=MEASURE)
    learner.extend(new)
    return learner


def without_valid(new):
    return replace(new, valid=Interactions.empty(), folded=Interactions.empty())


def weights(learner):
    return {n: x for n, x in learner.state_dict().items() if n.startswith("encoder")}


def test_every_event_is_trained_on_once_per_epoch_and_no_other():
    learner, seen = extended(max_epochs=2, batch_size=50), []

    def spy(step):
        seen.append(step.batch.user * 1000 + step.batch.item)
        return 0.0

    log = learner.fit(BASE.train, penalty=spy)
    assert log.triplets == 2 * len(BASE.train)
    events = torch.from_numpy(BASE.train.user * 1000 + BASE.train.item).sort().values
    half = len(seen) // 2
    for epoch in (seen[:half], seen[half:]):
        assert torch.equal(torch.cat(epoch).sort().values, events)


def test_stops_after_patience_and_keeps_the_best_epoch():
    learner, snapshots = extended(lr=0.2, max_epochs=60, patience=4), []
    start = weights(learner)
    learner.on_epoch = lambda epoch, loss, value: snapshots.append(copy.deepcopy(weights(learner)))
    log = learner.fit(BASE.train)
    values = [log.start, *(v for _, v in log.epochs)]
    best = max(range(len(values)), key=lambda n: (values[n], -n))
    assert len(log.epochs) == best + 4 < 60
    assert (log.best, log.kept) == (values[best], best)
    assert all(torch.equal(x, [start, *snapshots][best][n]) for n, x in weights(learner).items())
    assert not torch.equal(weights(learner)["encoder.user.weight"], snapshots[-1]["encoder.user.weight"])
    select = selector(learner.objective, BASE.valid, learner.seen, MEASURE)
    assert select(learner.embed()).mean() == pytest.approx(log.best, abs=1e-12)


def test_of_equal_epochs_the_first_is_kept():
    learner, snapshots = extended(), []
    start = weights(learner)
    settings = replace(FIT, max_epochs=20, patience=3)
    parts = learner.encoder, learner.objective, learner.graph
    module = RecommendationModule(*parts, settings.lr, Terms(), lambda z: np.full(3, 0.5))
    batches = EpochBatches(BASE.train, learner.seen, 64, None, 0)
    log = run_fit(
        module, batches, settings, learner.fits.trainer, 0, lambda *_: snapshots.append(copy.deepcopy(weights(learner)))
    )
    assert (len(log.epochs), log.kept) == (3, 0)
    assert all(torch.equal(x, start[n]) for n, x in weights(learner).items())
    assert not torch.equal(snapshots[0]["encoder.user.weight"], snapshots[1]["encoder.user.weight"])


# Valid by user: of the start, then of each epoch.
BY_EPOCH = [[0.5] * 4, [0.4, 0.5, 0.6, 0.5], [0.4, 0.5, 0.9, 0.6], [0.5, 0.6, 0.7, 0.5], [0.5, 0.5, 0.7, 0.5]]


@pytest.mark.parametrize(("margin", "kept"), [(0.0, 2), (0.9, 2), (1.1, 3), (1.9, 0)])
def test_an_epoch_takes_the_starts_place_only_where_it_is_better_by_the_margin(margin, kept):
    """From then on the highest is kept, by however little."""
    learner, values = extended(), iter(np.array(x) for x in BY_EPOCH)
    parts = learner.encoder, learner.objective, learner.graph
    module = RecommendationModule(*parts, 0.01, Terms(), lambda z: next(values))
    gains = np.array(BY_EPOCH[1:]) - np.array(BY_EPOCH[0])
    beyond = [g.mean() > margin * g.std() / 2 for g in gains]
    means = [g.mean() for g in gains]
    expected = 0
    for n, (clear, mean) in enumerate(zip(beyond, means, strict=True), 1):
        if (expected or clear) and mean > (means[expected - 1] if expected else 0):
            expected = n
    assert expected == kept
    settings = replace(FIT, max_epochs=4, patience=9, margin=margin)
    log = run_fit(module, EpochBatches(BASE.train, learner.seen, 64, None, 0), settings, learner.fits.trainer, 0)
    assert log.kept == kept
    assert log.best == pytest.approx(np.mean(BY_EPOCH[kept]))


def test_a_cold_start_has_a_margin_and_an_update_none():
    fit = compose(["experiment=quickstart"])["fit"]
    assert (fit["margin"], fit["base"]["margin"]) == (0.0, 1.0)


def test_max_epochs_bounds_the_fit():
    assert len(extended(max_epochs=2, patience=50).fit(BASE.train).epochs) == 2


def test_the_second_fit_trains_too():
    learner = extended()
    learner.fit(BASE.train), learner.absorb(BASE)
    before = weights(learner)["encoder.user.weight"]
    learner.extend(NEXT)
    log = learner.fit(NEXT.train)
    after = weights(learner)["encoder.user.weight"][: len(before)]
    assert log.steps == len(log.epochs) * -(-len(NEXT.train) // FIT.batch_size) > 0
    assert not torch.equal(before, after)


@pytest.mark.parametrize("steps", [1, 7, 20])
def test_equal_budget_takes_exactly_the_steps(steps):
    learner, taken = extended(budget="equal", steps=steps, batch_size=64), []

    def spy(step):
        taken.append(len(step.batch.user))
        return 0.0

    log = learner.fit(BASE.train, penalty=spy)
    assert log.steps == learner.cost.steps == len(taken) == steps
    assert log.triplets == sum(taken)


def test_equal_budget_keeps_the_last_weights():
    ends = []
    for steps in (20, 40):
        learner = extended(budget="equal", steps=steps, lr=0.3)
        learner.fit(BASE.train)
        ends.append(weights(learner)["encoder.user.weight"])
    assert not torch.equal(*ends)


def test_without_valid_events_the_fixed_number_of_epochs_is_trained():
    learner = extended(without_valid(BASE), epochs_without_valid=4, max_epochs=9)
    log = learner.fit(BASE.train)
    assert len(log.epochs) == 4
    assert log.best is None
    assert {v for _, v in log.epochs} == {None}


def test_valid_is_scored_without_dropout():
    learner = Learner(PyG("GATConv", 8, options={"dropout": 0.5}), BPR(), FIT, measure=MEASURE)
    learner.extend(BASE)
    module = RecommendationModule(
        learner.encoder, learner.objective, learner.graph, 0.01, Terms(), lambda z: z.user.sum(1).numpy()
    )
    module.train()
    assert np.array_equal(module.score(), module.score())
    assert module.encoder.training


def test_without_events_nothing_is_done():
    learner = extended()
    before = weights(learner)
    assert learner.fit(Interactions.empty()).steps == learner.cost.steps == 0
    assert all(torch.equal(x, before[n]) for n, x in weights(learner).items())


def test_base_settings_are_for_the_base_alone():
    learner = Learner(LightGCN(8, 2), Joint(width=8), FIT, replace(FIT, max_epochs=1), measure=MEASURE)
    learner.extend(BASE)
    assert len(learner.fit(BASE.train).epochs) == 1
    learner.absorb(BASE), learner.extend(NEXT)
    assert len(learner.fit(NEXT.train).epochs) > 1


def test_epochs_of_one_fit_can_be_fewer():
    assert len(extended(max_epochs=3).fit(BASE.train, epochs=1).epochs) == 1
    blind = extended(without_valid(BASE), epochs_without_valid=4)
    assert len(blind.fit(BASE.train, epochs=2).epochs) == 2


@pytest.mark.usefixtures("one_thread")
def test_carried_moments_are_those_of_the_last_fit_with_zeros_for_new_rows():
    learner = extended(optimiser_state="carry")
    learner.fit(BASE.train), learner.absorb(BASE)
    old = learner.fits.moments["encoder.user.weight"]
    assert old["exp_avg"].any()
    learner.extend(NEXT)
    module = RecommendationModule(
        learner.encoder, learner.objective, learner.graph, 0.01, Terms(), None, learner.fits.moments
    )
    optimiser, table = module.configure_optimizers(), learner.encoder.user.weight
    for name in ("exp_avg", "exp_avg_sq"):
        grown, rows = optimiser.state[table][name], len(old[name])
        assert grown.shape == table.shape
        assert len(table) > rows
        assert torch.equal(grown[:rows], old[name])
        assert not grown[rows:].any()
    assert optimiser.state[table]["step"] == old["step"] > 0


@pytest.mark.usefixtures("one_thread")
def test_carrying_and_resetting_the_optimiser_differ_from_the_second_fit_on():
    ends = {}
    for state in ("reset", "carry"):
        learner = extended(optimiser_state=state)
        learner.fit(BASE.train), learner.absorb(BASE)
        first = weights(learner)
        learner.extend(NEXT), learner.fit(NEXT.train)
        ends[state] = first, weights(learner), learner.fits.moments
    assert all(torch.equal(x, ends["carry"][0][n]) for n, x in ends["reset"][0].items())
    assert not torch.equal(ends["reset"][1]["encoder.user.weight"], ends["carry"][1]["encoder.user.weight"])
    assert not ends["reset"][2]
    assert ends["carry"][2]


@pytest.mark.parametrize("batch_size", [64, 10_000])
def test_diverging_training_is_an_error_and_no_result(batch_size):
    with pytest.raises(GnnrecError, match=r"lower fit\.lr"):
        extended(lr=1e30, batch_size=batch_size).fit(BASE.train)


def test_a_penalty_is_part_of_the_loss():
    plain, pulled = (extended(budget="equal", steps=7) for _ in range(2))
    plain.fit(BASE.train)
    pulled.fit(BASE.train, penalty=lambda step: 10.0 * step.z.input_user.square().sum())
    norm = [x.encoder.user.weight.norm().item() for x in (plain, pulled)]
    assert norm[1] < norm[0]
    assert pulled.log.epochs[0][0] > plain.log.epochs[0][0]


def test_fitting_leaves_the_global_generator_alone():
    learner, before = extended(), torch.get_rng_state()
    learner.fit(BASE.train)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    "bad",
    [
        {"lr": 0},
        {"batch_size": 0},
        {"patience": 0},
        {"budget": "equals"},
        {"budget": "equal"},
        {"optimiser_state": "cary"},
    ],
    ids=str,
)
def test_impossible_settings_are_refused(bad):
    with pytest.raises(GnnrecError, match=r"fit\.") as error:
        FitSettings(**bad)
    assert "\n" not in str(error.value)


def test_a_fit_leaves_nothing_behind_that_only_a_search_for_rings_would_free(monkeypatch):
    """A Trainer and its module hold each other; a long run would keep matrices and moments of many fits."""
    held = []

    def noted(module, *rest):
        held.append(weakref.ref(module))
        return run_fit(module, *rest)

    monkeypatch.setattr("gnnrec.training.fit.run_fit", noted)
    learner = extended()
    gc.collect()
    gc.disable()
    try:
        learner.fit(BASE.train)
        assert [ref() for ref in held] == [None]
    finally:
        gc.enable()
