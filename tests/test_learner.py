"""The learner: what it counts, what a copy shares, and that its options survive a resume."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from polars.testing import assert_frame_equal

from gnnrec.core.errors import GnnrecError
from gnnrec.encoders.initial import Spectral
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.graph import bipartite
from gnnrec.graph.normalised import Operator
from gnnrec.graph.views import NewestOnly
from gnnrec.learner import Learner
from gnnrec.objectives.joint import Joint
from gnnrec.scorers.blend import BlendWeights, Grid
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.testing.worlds import FIT, MEASURE, Game, differing, fingerprint, make_learner, newest, simulated

STREAM = simulated()
BASE, NEXT = (i.observed for i in STREAM.increments[:2])

pytestmark = pytest.mark.usefixtures("one_thread")


def trained():
    learner = make_learner()
    learner.extend(BASE), learner.fit(BASE.train), learner.absorb(BASE)
    return learner


@pytest.mark.parametrize("option", ["block view", "carried optimiser", "equal budget"])
def test_options_survive_a_resume_byte_for_byte(option, tmp_path):
    fit = {"carried optimiser": {"optimiser_state": "carry"}, "equal budget": {"budget": "equal", "steps": 5}}
    view = NewestOnly() if option == "block view" else None
    settings = replace(FIT, **fit.get(option, {}))
    game = Game(STREAM, lambda: Learner(LightGCN(8, 2), Joint(width=8), settings, view=view, measure=MEASURE))
    whole = game.play(FineTune(), tmp_path / "whole")
    game.play(FineTune(), tmp_path / "torn", until=1)
    resumed = game.play(FineTune(), tmp_path / "torn")
    assert not differing(whole.prints[3], resumed.prints[3])
    assert_frame_equal(whole.results(), resumed.results(), check_exact=True)
    assert newest(tmp_path / "whole").meta == newest(tmp_path / "torn").meta


def test_block_view_carries_messages_over_the_newest_increment_alone():
    learner = Learner(LightGCN(8, 2), Joint(width=8), FIT, view=NewestOnly(), measure=MEASURE)
    for new in (BASE, NEXT):
        learner.extend(new), learner.absorb(new)
    own = {
        *zip(NEXT.arrived.user, NEXT.arrived.item, strict=True),
        *zip(NEXT.folded.user, NEXT.folded.item, strict=True),
    }
    assert set(zip(*learner.graph.edges(), strict=True)) == own
    assert learner.seen.num_edges > learner.graph.num_edges


def test_valid_stays_outside_until_it_is_absorbed():
    learner = make_learner()
    learner.extend(BASE)
    train = set(zip(BASE.train.user, BASE.train.item, strict=True))
    assert set(zip(*learner.graph.edges(), strict=True)) == train
    assert learner.counters.popularity.total.sum() == len(BASE.train)
    learner.absorb(BASE)
    assert learner.graph.has(BASE.valid.user, BASE.valid.item).all()
    assert learner.counters.popularity.total.sum() == len(BASE.train) + len(BASE.valid)


def test_valid_is_scored_before_it_is_absorbed():
    assert [m for _, m, value, _ in trained().valid_rows["model"] if m == "recall@20" and value > 0]


def test_a_fork_trains_without_touching_the_original():
    learner = trained()
    before, z = fingerprint(learner), learner.embed().user.clone()
    twin = learner.fork()
    assert not differing(before, fingerprint(twin))
    twin.extend(NEXT), twin.fit(NEXT.train), twin.absorb(NEXT)
    assert not differing(before, fingerprint(learner))
    assert torch.equal(learner.embed().user, z)
    assert "encoder.user.weight" in differing(before, fingerprint(twin))


def test_a_fork_carries_embeddings_of_its_own(monkeypatch):
    learner = trained()
    z, kept = learner.embed(), learner.snapshot()
    with monkeypatch.context() as patch:
        patch.setattr(Operator, "pass_on", None)  # nothing is propagated again
        twin = learner.fork()
        assert all(torch.equal(x, y) for x, y in zip(twin.embed(), z, strict=True))
    assert not {x.data_ptr() for x in twin.embed()} & {x.data_ptr() for x in z}
    learner.write(user=learner.encoder.user.weight.detach() + 1)
    assert not torch.equal(learner.embed().user, kept.user)
    assert torch.equal(twin.embed().user, kept.user)
    again = learner.fork()
    again.write(user=again.encoder.user.weight.detach() + 1)
    assert not torch.equal(again.embed().user, learner.embed().user)


def test_a_fork_leaves_the_original_s_valid_rows():
    learner = trained()
    rows = dict(learner.valid_rows)
    twin = learner.fork()
    twin.extend(NEXT), twin.absorb(NEXT)
    assert learner.valid_rows == rows


def test_edges_touched_are_two_per_edge_and_pass_forward_and_backward(monkeypatch):
    learner, passes, pass_on = make_learner(), [], Operator.pass_on
    monkeypatch.setattr(bipartite, "WORTHWHILE", 0.0)  # no pass is taken over some edges only
    monkeypatch.setattr(Operator, "pass_on", lambda *tables: passes.append(1) or pass_on(*tables))
    learner.extend(BASE)
    learner.cost = type(learner.cost)()
    log = learner.fit(BASE.train)
    learner.embed(), learner.embed()
    assert len(passes) == learner.encoder.layers * (
        2 * log.steps + len(log.epochs) + 2
    )  # the start is scored too, and one serves
    assert learner.cost.edges == 2 * learner.graph.num_edges * len(passes)


def test_bytes_kept_grow_by_the_tables_the_edges_and_the_counters():
    learner = trained()
    before = learner.bytes_kept
    learner.extend(NEXT), learner.absorb(NEXT)
    users, items = len(learner.encoder.user), len(learner.encoder.item)
    tables = sum(x.nbytes for x in learner.state_dict().values())
    assert tables >= 4 * 9 * (users + items)
    assert learner.bytes_kept == tables + 8 * learner.seen.num_edges + learner.counters.popularity.nbytes > before


def test_random_rows_of_a_node_do_not_depend_on_who_else_has_arrived():
    early, late = make_learner(), make_learner()
    early.extend(BASE)
    late.extend(BASE), late.absorb(BASE), late.extend(NEXT)
    early.reset(BASE.train), late.reset(BASE.train)
    for small, large in ((early.encoder.user, late.encoder.user), (early.encoder.item, late.encoder.item)):
        assert len(small) <= len(large)
        assert torch.equal(small.weight, large.weight[: len(small)])
    assert len(early.encoder.user) < len(late.encoder.user)


def test_a_cold_restart_starts_where_the_base_did():
    learner = Learner(LightGCN(8, 2), Joint(width=8), FIT, initial=Spectral(), measure=MEASURE)
    learner.extend(BASE)
    first = learner.encoder.user.weight.detach().clone()
    learner.fit(BASE.train)
    learner.reset(BASE.train)
    assert torch.equal(learner.encoder.user.weight, first)
    random = Learner(LightGCN(8, 2), Joint(width=8), FIT, measure=MEASURE)
    random.extend(BASE)
    assert not torch.equal(random.encoder.user.weight, first)


def test_the_model_alone_has_no_blend_to_choose_and_reports_on_valid_are_counted_apart():
    learner = Learner(LightGCN(8, 2), Joint(width=8), FIT, grid=Grid().model_alone(), measure=MEASURE)
    learner.extend(BASE), learner.fit(BASE.train), learner.absorb(BASE)
    assert learner.blend.weights == BlendWeights()
    assert learner.cost.reporting > 0
    assert set(learner.valid_rows) == {"model"}
    blended = Learner(LightGCN(8, 2), Joint(width=8), FIT, measure=MEASURE)
    blended.extend(BASE), blended.fit(BASE.train), blended.absorb(BASE)
    assert learner.blend_bytes == 0
    assert blended.blend_bytes == blended.counters.companion.nbytes > 0
    assert learner.cost.blend == 0 < blended.cost.blend


def test_an_increment_that_was_left_out_is_said():
    learner = trained()
    with pytest.raises(GnnrecError, match="increment 2 cannot follow increment 0"):
        learner.extend(STREAM.increments[2].observed)


class Gained(LightGCN):
    """A LightGCN that multiplies its read-out by a buffer."""

    def __init__(self, width, layers):
        super().__init__(width, layers)
        self.register_buffer("gain", torch.ones(()))

    def forward(self, graph):
        z = super().forward(graph)
        return z._replace(user=z.user * self.gain)

    def rows(self, graph, users, items):
        return self(graph)

    def touched(self, graph, users, items):
        return None


def test_what_is_written_to_a_buffer_is_what_serves():
    learner = Learner(Gained(8, 2), Joint(width=8), FIT, measure=MEASURE)
    learner.extend(BASE)
    before = learner.embed().user
    assert learner.embed().user is before
    learner.encoder.gain.fill_(2)
    assert torch.equal(learner.embed().user, 2 * before)


def test_rows_that_a_strategy_writes_after_absorbing_are_what_serves():
    learner = trained()
    before = learner.embed().user.clone()
    with torch.no_grad():
        learner.encoder.user.weight.mul_(2)
    assert not torch.equal(learner.embed().user, before)
    assert learner.embed() is learner.embed()
