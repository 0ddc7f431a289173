"""What somebody from outside writes in a few lines: a penalty with a Fisher matrix, a teacher, a closed form, a prompt.

Each is right when all rows are trained and when those of the events' nodes are, and resumes to the same bytes.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from polars.testing import assert_frame_equal
from torch import nn
from torch.nn import functional as F

from gnnrec.core.errors import GnnrecError
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.learner import Learner
from gnnrec.objectives.joint import Joint
from gnnrec.strategies.base import Strategy
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.testing.worlds import FIT, MEASURE, Game, differing, simulated

STREAM = simulated()
EQUAL = replace(FIT, budget="equal", steps=12)

pytestmark = pytest.mark.usefixtures("one_thread")


class EWC(Strategy):
    """Kirkpatrick et al. 2017: λ Σ F (θ − θ_before)², F the squared gradients of the last increment's batches."""

    def __init__(self, strength=100.0, seed=0):
        super().__init__(seed)
        self.strength, self.fisher, self.anchor = strength, {}, {}

    def consolidate(self, learner, new):
        self.anchor = {name: rows.detach().clone() for name, rows in learner.encoder.tables().items()}
        self.fisher = {name: torch.zeros_like(rows) for name, rows in self.anchor.items()}
        for step in learner.loop(new.train):
            for name, fisher in self.fisher.items():
                trained = step.trained[name]
                (gradient,) = torch.autograd.grad(step.loss(), trained.parameter, retain_graph=True)
                fisher.index_add_(0, trained.node, gradient.square())

    def penalty(self, step):
        total = 0.0
        for name, anchor in self.anchor.items():
            rows, node = step.trained[name].below(len(anchor))
            total = total + (self.fisher[name][node] * (rows - anchor[node]).square()).sum()
        return self.strength * total

    def state(self):
        return {f"{kind}.{n}": x for kind in ("fisher", "anchor") for n, x in getattr(self, kind).items()}

    def restore(self, state):
        for kind in ("fisher", "anchor"):
            setattr(self, kind, {n: state[f"{kind}.{n}"] for n in ("user", "item")})


class Teacher(Strategy):
    """λ · mean ||e_u − e_u(before the fit)||² over the batch's users."""

    def __init__(self, strength=1.0, seed=0):
        super().__init__(seed)
        self.strength = strength

    def prepare(self, learner, new):
        self.teacher = learner.snapshot()

    def penalty(self, step):
        user = step.batch.user
        return self.strength * (step.z.users(user) - self.teacher.users(user)).square().sum(1).mean()


class Halfway(Strategy):
    """Fit, then go back half the way: a merge, written to the tables."""

    def update(self, learner, new):
        learner.extend(new)
        before = [rows.detach().clone() for rows in learner.encoder.tables().values()]
        learner.fit(new.train)
        after = [rows.detach() for rows in learner.encoder.tables().values()]
        learner.write(*((a + b) / 2 for a, b in zip(before, after, strict=True)))
        learner.absorb(new)


class Gate(nn.Module):
    """A number per item, added to its score."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(0))

    def grow(self, items):
        self.gate = nn.Parameter(F.pad(self.gate.detach(), (0, items - len(self.gate))))


class Gated:
    """The model's scores and the gates."""

    def __init__(self, model, gate):
        self.model, self.gate = model, gate

    def scores(self, user, num_items):
        found = self.model.scores(user, num_items)
        return found + F.pad(self.gate, (0, max(num_items - len(self.gate), 0)))[:num_items]

    def predict(self, user, item):
        return self.model.predict(user, item)


class Prompt(Strategy):
    """Gates that are trained beside the model, by pairs of their own."""

    def __init__(self, seed=0):
        super().__init__(seed)
        self.own = Gate()

    def begin(self, learner, base):
        self.own.grow(learner.seen.num_items)

    def prepare(self, learner, new):
        self.own.grow(learner.seen.num_items)

    def modules(self):
        return self.own

    def penalty(self, step):
        gate = self.own.gate
        return F.softplus(gate[step.batch.negative] - gate[step.batch.item]).mean()

    def scorer(self, learner):
        return Gated(learner.scorer(), self.own.gate.detach())


class Wider(Strategy):
    """Two columns more with every increment, zeros at first."""

    def prepare(self, learner, new):
        encoder, objective = learner.encoder, learner.objective
        for table in (encoder.user, encoder.item):
            table.replace(F.pad(table.weight.detach(), (0, 2)))
        encoder.width, encoder.out = encoder.width + 2, encoder.out + 2
        objective.taste = nn.Parameter(F.pad(objective.taste.detach(), (0, 2)))


class OwnGraph(Strategy):
    """Messages over the pairs of the newest valid and train events that have an even item, kept as they are."""

    def prepare(self, learner, new):
        even = new.arrived.take(new.arrived.item % 2 == 0)
        empty = BipartiteGraph.empty(learner.seen.num_users, learner.seen.num_items)
        learner.use_graph(empty.extend(even, learner.seen.num_users, learner.seen.num_items))


def game(rows, settings=EQUAL):
    return Game(
        STREAM, lambda: Learner(LightGCN(8, 2), Joint(width=8), replace(settings, rows=rows), FIT, measure=MEASURE)
    )


GAMES = {rows: game(rows) for rows in ("all", "touched")}
MAKERS = {"ewc": EWC, "teacher": Teacher, "merge": Halfway, "prompt": Prompt, "wider": Wider, "own graph": OwnGraph}


def scores(played):
    return played.results().filter(split="next", metric="ndcg@20", segment="all", scorer="model")["value"].to_list()


@pytest.mark.parametrize("rows", GAMES)
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_it_runs_and_resumes_to_the_same_bytes(make, rows, tmp_path):
    whole = GAMES[rows].play(make(), tmp_path / "whole")
    GAMES[rows].play(make(), tmp_path / "torn", until=2)
    resumed = GAMES[rows].play(make(), tmp_path / "torn")
    assert not differing(whole.prints[3], resumed.prints[3])
    assert_frame_equal(whole.results(), resumed.results(), check_exact=True)


@pytest.mark.parametrize("rows", GAMES)
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_it_changes_what_is_learnt(make, rows):
    plain, own = (GAMES[rows].play(s, until=1).learner.encoder.user.weight for s in (FineTune(), make()))
    assert make is Prompt or plain.shape != own.shape or not torch.equal(plain, own)
    if make is Prompt:
        assert scores(GAMES[rows].play(Prompt())) != scores(GAMES[rows].play(FineTune()))


@pytest.mark.parametrize("rows", GAMES)
@pytest.mark.parametrize("make", [EWC, Teacher])
def test_a_strong_pull_keeps_old_rows_where_they_were(make, rows):
    base = GAMES[rows].base.weights["encoder.user.weight"]
    moved = []
    for strategy in (FineTune(), make(1e4)):
        after = GAMES[rows].play(strategy, until=1).learner.encoder.user.weight.detach()[: len(base)]
        moved.append(float((after - base).norm()))
    assert moved[1] < 0.7 * moved[0]


@pytest.mark.parametrize("rows", GAMES)
def test_going_back_half_the_way_goes_half_the_way(rows):
    plain, half = (GAMES[rows].play(s, until=1).learner for s in (FineTune(), Halfway()))
    base = GAMES[rows].base.weights["encoder.user.weight"]
    found, full = (x.encoder.user.weight.detach()[: len(base)] - base for x in (half, plain))
    assert torch.allclose(found, full / 2, atol=1e-6)
    assert torch.equal(half.embed().user, half.encoder(half.graph).user)


@pytest.mark.parametrize("rows", GAMES)
def test_gates_are_trained_and_serve(rows):
    played = GAMES[rows].play(Prompt())
    assert played.strategy.own.gate.abs().sum() > 0
    assert len(played.strategy.own.gate) == played.learner.seen.num_items


def test_what_is_selected_is_what_serves():
    """Every item but one is gated away: no epoch can be told from another, so the start stays."""

    class Shut(Prompt):
        def scorer(self, learner):
            return Gated(learner.scorer(), 1e6 * torch.arange(learner.seen.num_items))

    settings = replace(FIT, max_epochs=3, lr=0.1)
    own = Game(STREAM, lambda: Learner(LightGCN(8, 2), Joint(width=8), settings, FIT, measure=MEASURE))
    learner = own.play(Shut(), until=1).learner
    assert len({value for _, value in learner.log.epochs} | {learner.log.start}) == 1
    assert learner.log.kept == 0
    assert own.play(Prompt(), until=1).learner.log.start != learner.log.start


class Blind(Strategy):
    """A penalty on the encoder's own table, as everybody first writes it."""

    def consolidate(self, learner, new):
        self.encoder = learner.encoder

    def penalty(self, step):
        return self.encoder.user.weight.square().sum()


def test_a_penalty_that_reaches_nothing_is_refused_and_names_what_to_do():
    GAMES["all"].play(Blind(), until=1)
    with pytest.raises(GnnrecError, match=r"reaches no trained parameter.*step\.trained") as error:
        GAMES["touched"].play(Blind(), until=1)
    assert "\n" not in str(error.value)


def test_a_penalty_without_a_gradient_is_refused():
    class Constant(Strategy):
        def penalty(self, step):
            return step.z.users(step.batch.user).detach().square().sum()

    with pytest.raises(GnnrecError, match="reaches no trained parameter"):
        GAMES["all"].play(Constant(), until=1)
