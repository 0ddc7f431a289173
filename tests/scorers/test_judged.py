"""Blends judged by what came next: only by events that have come, by all that served, and remembered as valid is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gnnrec.config.compose import compose
from gnnrec.core.errors import GnnrecError
from gnnrec.counters.counters import Counters
from gnnrec.data.types import Interactions
from gnnrec.evaluation.blend_choice import weigh, weigh_ahead
from gnnrec.evaluation.evaluate import Settings
from gnnrec.evaluation.reference import MIXED, Absorbed
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.learner.blend import BlendHead
from gnnrec.runs import build
from gnnrec.scorers.blend import Grid
from gnnrec.scorers.references import PopularityScorer
from gnnrec.testing.worlds import interactions, make_learner, random_events, simulated, world_of
from gnnrec.training.cost import Cost

GRID = Grid(beta=(0.0, 0.5), kappa=(0.0, 0.5), half_life=(100.0,), counters=(100.0,), memory=0.5, judged="ahead")
MEASURE = Settings()


def learner(grid=GRID):
    made = make_learner()
    made.blend = BlendHead(grid)
    return made


def absorbed(made, new):
    made.extend(new)
    made.fit(new.train, epochs=1)
    made.absorb(new)
    return made.blend.weights


def test_the_setting_is_the_one_that_would_have_ranked_best_what_came_next():
    made, remembered, chosen = learner(), 0.0, []
    for increment in simulated(4).increments:
        new = increment.observed
        if new.index:
            served = made.serving(), made.counters, new.arrived, made.history.world(), MEASURE, GRID
            remembered = weigh_ahead(*served).quality + 0.5 * remembered
        chosen.append(absorbed(made, new))
        if new.index:
            assert chosen[-1] == GRID.settings()[int(np.argmax(remembered))]
            assert made.blend.evidence["blend"].tolist() == remembered.tolist()
    assert len(set(chosen)) > 1


def test_before_anything_has_come_valid_chooses_and_is_not_remembered():
    made, valid = learner(), learner(replace(GRID, judged="valid"))
    base = simulated().increments[0].observed
    assert absorbed(made, base) == absorbed(valid, base)
    assert "blend" in valid.blend.evidence
    assert "blend" not in made.blend.evidence


def test_what_lies_inside_an_increment_has_no_say_once_something_has_come():
    base, new = (i.observed for i in simulated().increments[:2])
    one, other = learner(), learner()
    absorbed(one, base), absorbed(other, base)
    other_valid = replace(new, valid=new.valid.take(np.arange(len(new.valid)) % 2 == 0))
    assert absorbed(one, new) == absorbed(other, other_valid)
    assert one.blend.evidence["blend"].tolist() == other.blend.evidence["blend"].tolist()


def test_only_users_who_are_known_judge():
    seen, counters = random_events(250, 30, 25), Counters(GRID.half_lives)
    counters.absorb(seen, 30, 25)
    model, world = PopularityScorer(counters.popularity.total), world_of(seen, 30, 25)
    came = random_events(60, 30, 25, seed=3)
    with_new = Interactions.concat([came, interactions([(31, 2), (40, 27)])])
    settings = MEASURE, replace(GRID, alpha=(0.0,), beta=(1.0, 2.0), kappa=(0.0, 0.5))
    expected = weigh(model, counters, came, world, *settings)
    assert weigh_ahead(model, counters, with_new, world, *settings).quality.tolist() == expected.quality.tolist()
    assert weigh_ahead(model, counters, interactions([(31, 2)]), world, *settings) is None


def test_rows_without_a_model_are_judged_alike():
    """A blend whose model ranks by the same counter says nothing else than the row that has none."""
    grid = replace(GRID, alpha=(0.0,), beta=(0.25, 1.0), kappa=(0.0, 0.5, 2.0))
    made, rows, before = learner(grid), Absorbed(grid), BipartiteGraph.empty()
    for increment in simulated(4).increments:
        new = increment.observed
        rows.absorb(new, before, MEASURE)
        before = before.extend(new.arrived, new.num_users, new.num_items)
        before = before.extend(new.folded, new.num_users, new.num_items)
        assert absorbed(made, new) == rows.mixed[MIXED].choice.weights
        if new.index:
            assert made.blend.evidence["blend"].tolist() == rows.mixed[MIXED].choice.evidence.tolist()


def test_a_deletion_ends_the_memory_and_valid_chooses_again():
    base, new, last = (i.observed for i in simulated().increments[:3])
    made = learner()
    absorbed(made, base), absorbed(made, new)
    gone = replace(last, removed=new.arrived.take(np.arange(len(new.arrived)) < 5))
    absorbed(made, gone)
    assert "blend" not in made.blend.evidence
    valid = replace(GRID, judged="valid", memory=0.0)
    twin = learner(valid)
    absorbed(twin, base), absorbed(twin, new)
    assert absorbed(twin, gone) == made.blend.weights


def test_a_row_without_a_model_forgets_with_a_deletion_too():
    base, new, last = (i.observed for i in simulated().increments[:3])
    grid = replace(GRID, alpha=(0.0,), beta=(0.25, 1.0))
    rows, before = Absorbed(grid), BipartiteGraph.empty()
    for each in (base, new):
        rows.absorb(each, before, MEASURE)
        for events in (each.arrived, each.folded):
            before = before.extend(events, each.num_users, each.num_items)
    assert rows.mixed[MIXED].choice.evidence is not None
    rows.absorb(replace(last, removed=new.arrived.take(np.arange(len(new.arrived)) < 5)), before, MEASURE)
    assert rows.mixed[MIXED].choice.evidence is None


def test_a_learner_that_was_saved_judges_as_one_that_was_not():
    increments = [i.observed for i in simulated(4).increments]
    made, loaded = learner(), learner()
    for new in increments[:3]:
        absorbed(made, new)
    loaded.follow(increments[:3], made.meta())
    loaded.load_state_dict(made.state_dict(), made.meta())
    assert absorbed(loaded, increments[3]) == absorbed(made, increments[3])
    assert loaded.blend.evidence["blend"].tolist() == made.blend.evidence["blend"].tolist()


def test_a_fork_that_judges_leaves_the_other_alone():
    increments = [i.observed for i in simulated(4).increments]
    made = learner()
    for new in increments[:2]:
        absorbed(made, new)
    before, weights = made.blend.evidence["blend"].tolist(), made.blend.weights
    twin = made.fork()
    twin.extend(increments[2])
    assert (made.blend.evidence["blend"].tolist(), made.blend.weights) == (before, weights)
    assert twin.blend.evidence["blend"].tolist() != before


def test_the_cost_is_the_blend_s():
    made = learner()
    base, new = (i.observed for i in simulated().increments[:2])
    absorbed(made, base)
    made.ready()
    made.cost, valid = Cost(), learner(replace(GRID, judged="valid"))
    made.extend(new)
    absorbed(valid, base)
    valid.ready()
    valid.cost = Cost()
    valid.extend(new)
    assert made.cost.blend > 0 == valid.cost.blend
    assert made.cost.edges_of == valid.cost.edges_of  # what had served was embedded: the judge takes no pass of its own


def test_the_grid_of_counters_is_judged_on_valid():
    assert GRID.popularity_alone().judged == "valid"
    assert GRID.without_model().judged == "ahead"


def test_the_configuration_names_it_and_refuses_what_is_not_known():
    config = compose(["data=simulated", "scorer.grid.judged=ahead"])
    assert build.learner(config, build.scene(config).setting).blend.grid.judged == "ahead"
    with pytest.raises(GnnrecError, match=r"scorer.grid.judged=next is not known"):
        Grid(judged="next")
