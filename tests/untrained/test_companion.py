"""A recommender that trains nothing, as what a blend sets beside a model: configured, saved, taken back, and told apart."""

import json
from dataclasses import replace

import numpy as np
import pytest

import gnnrec as gr
from gnnrec.config.compose import compose
from gnnrec.core.errors import GnnrecError
from gnnrec.encoders.mf import MF
from gnnrec.evaluation.reference import Absorbed, reference_rows
from gnnrec.evaluation.settings import Settings
from gnnrec.evaluation.world import worlds
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.learner import Learner
from gnnrec.objectives.bpr import BPR
from gnnrec.runs import build
from gnnrec.scorers.blend import Grid
from gnnrec.training.settings import FitSettings
from gnnrec.untrained.ease import EASE
from gnnrec.untrained.itemknn import NearestItems

STREAM = gr.simulate(users=80, items=40, events=1_500).stream(increments=3)
FIT = FitSettings(max_epochs=2, batch_size=256)
GRID = Grid(half_life=(100.0,))


def learner(companion=None):
    return Learner(MF(4), BPR(), FIT, grid=GRID, companion=companion, measure=Settings(topk=(20,)))


def through(made, until):
    for increment in STREAM.increments[: until + 1]:
        new = increment.observed
        made.extend(new), made.fit(new.train), made.absorb(new)
    return made


def test_itemknn_as_a_companion_is_the_blend_that_has_none():
    one, other = through(learner(), 2), through(learner(NearestItems()), 2)
    assert one.blend.weights == other.blend.weights
    user, items = np.arange(20), one.seen.num_items
    assert np.array_equal(one.blend_scorer().scores(user, items), other.blend_scorer().scores(user, items))


def test_a_learner_absorbs_into_its_companion_and_leaves_the_one_it_was_given():
    given = EASE(10.0)
    made, ease = through(learner(given), 2), EASE(10.0)
    assert given.num_items == 0
    for increment in STREAM.increments[:3]:
        new = increment.observed
        ease.absorb(new.arrived, made.seen.num_users, made.seen.num_items)
        ease.absorb(new.folded, made.seen.num_users, made.seen.num_items)
    user = np.arange(30)
    assert np.allclose(made.counters.companion.known_scores(user), ease.known_scores(user), atol=1e-5)
    assert made.blend_bytes == made.counters.companion.nbytes > 0


def test_a_saved_learner_goes_on_with_what_earlier_increments_said():
    made = through(learner(EASE(10.0)), 1)
    twin = learner(EASE(10.0))
    twin.follow([i.observed for i in STREAM.increments[:2]])
    twin.load_state_dict(made.state_dict(), json.loads(json.dumps(made.meta(), allow_nan=False)))
    assert set(made.blend.evidence) == {"blend", "counter"}
    for what, ndcg in made.blend.evidence.items():
        assert np.array_equal(twin.blend.evidence[what], ndcg)
    new = STREAM.increments[2].observed
    for one in (made, twin):
        one.extend(new), one.absorb(new)
    assert twin.blend.weights == made.blend.weights
    assert np.array_equal(twin.blend.evidence["blend"], made.blend.evidence["blend"])


def test_a_fork_that_is_not_adopted_leaves_no_evidence():
    made = through(learner(), 0)
    before = {what: ndcg.copy() for what, ndcg in made.blend.evidence.items()}
    through_fork = made.fork()
    new = STREAM.increments[1].observed
    through_fork.extend(new), through_fork.absorb(new)
    assert all(np.array_equal(made.blend.evidence[what], ndcg) for what, ndcg in before.items())


def test_the_blend_of_the_companion_without_a_model_is_a_row():
    config = compose(["scorer.companion=ease"])
    assert list(build.references(config))[-1] == "popularity_companion"
    assert "popularity_companion" not in build.references(compose([]))
    asked = "e", STREAM, worlds(STREAM), Settings(topk=(20,)), GRID
    found = reference_rows(*asked, build.references(config), NearestItems())["results"]
    rows = {name: found.filter(found["strategy"] == name).drop("strategy") for name in ("popularity_companion",)}
    same = found.filter(found["strategy"] == "popularity_itemknn").drop("strategy")
    assert len(same)
    assert rows["popularity_companion"].equals(same)


def test_a_companion_is_named_with_its_parameters_and_makes_another_base():
    plain, ease = compose([]), compose(["scorer.companion={ease:{l2:7}}"])
    assert build.companion(plain) is None
    assert build.companion(ease).l2 == 7
    assert build.base_digest(plain, STREAM) != build.base_digest(ease, STREAM)
    assert build.reference_digest(plain, STREAM) != build.reference_digest(ease, STREAM)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("scorer.companion=easy", "there is no reference 'easy'; did you mean 'ease'?"),
        ("scorer.companion={ease:3}", "scorer.companion: ease needs {parameter: value}, got 3"),
        ("scorer.companion=null", "there is no reference 'None'"),
        ("scorer.companion=[ease]", "there is no reference '['ease']'"),
        ("scorer.companion={ease:{},gf_cf:{}}", "there is no reference '{'ease': {}, 'gf_cf': {}}'"),
    ],
)
def test_what_is_no_companion_is_said(typed, said):
    with pytest.raises(GnnrecError) as error:
        compose([typed])
    assert said in str(error.value)


def test_counts_that_the_blend_has_anyway_are_no_companion():
    with pytest.raises(GnnrecError, match=r"scorer.companion=popularity is made of counts that the blend has anyway"):
        build.companion(compose(["scorer.companion=popularity"]))
    with pytest.raises(GnnrecError, match=r"scorer.companion takes no 'l3'; did you mean 'l2'\?"):
        build.companion(compose(["scorer.companion={ease:{l3:1}}"]))


def test_a_deletion_takes_all_evidence_with_it():
    made = through(learner(), 1)
    assert made.blend.evidence
    gone = STREAM.increments[0].observed.arrived.take(np.arange(3))
    new = replace(STREAM.increments[2].observed, removed=gone)
    twin = made.fork()
    twin.blend.forget()
    for one in (made, twin):
        one.extend(new)
    assert {what: found.tolist() for what, found in made.blend.evidence.items()} == {
        "counter": twin.blend.evidence["counter"].tolist()  # of this increment alone
    }
    made.absorb(new)
    assert set(made.blend.evidence) == {"blend", "counter"}


def test_a_companion_that_goes_on_from_its_last_state_starts_afresh_here():
    config = compose(["scorer.companion={gf_cf:{vectors:6}}"])
    made = build.companion(config)
    assert made.subspace.warm == 0
    one, other = through(learner(made), 2), through(learner(made), 0)
    for increment in STREAM.increments[1:3]:
        new = increment.observed
        other.extend(new), other.history.let_in(new.folded, new.num_users, new.num_items)
    user = np.arange(40)
    found, expected = (x.counters.companion.known_scores(user) for x in (one, other))
    assert np.array_equal(found, expected)


def test_where_nothing_is_served_by_a_blend_there_is_no_companion():
    config = compose(["scorer=model", "scorer.companion=ease"])
    assert "popularity_companion" not in build.references(config)


def test_a_notebook_names_a_companion_with_its_parameters():
    log, fast = gr.simulate(users=60, items=40, events=800), {"fit.max_epochs": 1, "fit.base.max_epochs": 1}
    given = {**fast, "scorer.companion": {"ease": {"l2": 5.0}}}
    found = gr.compare(log.stream(increments=2), [gr.Frozen()], options=given, quiet=True)
    assert "popularity_companion" in set(found.results["strategy"])


def test_weights_of_blends_that_no_row_has_are_not_chosen():
    seen, new = BipartiteGraph.empty(), STREAM.increments[0].observed
    for asked, companion, chosen in (
        (("popularity",), EASE(5.0), set()),
        (("popularity_companion",), EASE(5.0), {"popularity_companion"}),
        (("popularity_companion",), None, {"popularity_itemknn"}),
        (("popularity_itemknn", "popularity_companion"), EASE(5.0), {"popularity_itemknn", "popularity_companion"}),
    ):
        kept = Absorbed(GRID, companion, asked)
        kept.absorb(new, seen, Settings(topk=(20,)))
        assert {row for row, mixed in kept.mixed.items() if mixed.choice.evidence is not None} == chosen
        assert set(asked) <= set(kept.scorers(explicit=False))
