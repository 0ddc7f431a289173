"""Objectives against formulas written out by hand, and what each may claim to predict."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gnnrec.core.errors import GnnrecError
from gnnrec.counters.counters import Counters
from gnnrec.counters.past import PastPopularity
from gnnrec.encoders.tables import Embeddings
from gnnrec.evaluation.evaluate import Settings, evaluate
from gnnrec.objectives.base import Batch
from gnnrec.objectives.bpr import BPR
from gnnrec.objectives.contrastive import Contrastive
from gnnrec.objectives.cross_entropy import CrossEntropy
from gnnrec.objectives.default import for_feedback
from gnnrec.objectives.directau import DirectAU
from gnnrec.objectives.item_term import inclusion
from gnnrec.objectives.joint import Joint
from gnnrec.objectives.rating import Rating
from gnnrec.objectives.softmax import Softmax
from gnnrec.scorers.model import ModelScorer
from gnnrec.testing.worlds import interactions, random_events, world_of

USERS, ITEMS, N, WIDTH = 7, 6, 9, 4


@pytest.fixture
def z():
    chance = torch.Generator().manual_seed(0)
    tables = [torch.randn(n, WIDTH, generator=chance, dtype=torch.float64) for n in (USERS, ITEMS, USERS, ITEMS)]
    return Embeddings(*(t.requires_grad_() for t in tables))


@pytest.fixture
def batch():
    rng = np.random.default_rng(1)
    user, item, negative = (torch.from_numpy(rng.integers(0, n, N)) for n in (USERS, ITEMS, ITEMS))
    value, positive = torch.from_numpy(rng.integers(1, 6, N) * 1.0), torch.arange(N) != 4
    return Batch(user, item, value, positive, negative, torch.arange(4))


def grown(objective):
    objective.grow(random_events(25, USERS, ITEMS), USERS, ITEMS)
    return objective.double()


def pairwise(z, batch):
    """Return the loss and dL/de_u by loops over the formula."""
    user, item = z.user.detach().numpy(), z.item.detach().numpy()
    loss, gradient, count = 0.0, np.zeros_like(user), int(batch.positive.sum())
    for u, i, positive, j in zip(
        *(c.tolist() for c in (batch.user, batch.item, batch.positive, batch.negative)), strict=True
    ):
        if positive:
            margin = user[u] @ item[i] - user[u] @ item[j]
            loss -= np.log(1 / (1 + np.exp(-margin))) / count
            gradient[u] -= (1 - 1 / (1 + np.exp(-margin))) * (item[i] - item[j]) / count
    return loss, gradient


def norm(z, batch, negatives):
    user, item = z.input_user.detach().numpy(), z.input_item.detach().numpy()
    rows = [user[u] for u in batch.user] + [item[i] for i in batch.item]
    rows += [item[j] for j in batch.negative] if negatives else []
    return sum(float(r @ r) for r in rows) / (2 * N)


def test_bpr_is_minus_the_mean_log_sigmoid_of_the_margin(z, batch):
    loss, gradient = pairwise(z, batch)
    found = BPR(l2=0.0)(z, batch)
    found.backward()
    assert found.item() == pytest.approx(loss, rel=1e-12)
    assert np.allclose(z.user.grad.numpy(), gradient, atol=1e-12)


def test_bpr_regularises_the_input_rows_of_the_batch_alone(z, batch):
    found = BPR(l2=0.3)(z, batch)
    assert found.item() == pytest.approx(pairwise(z, batch)[0] + 0.3 * norm(z, batch, True), rel=1e-12)
    found.backward()
    counts = torch.bincount(batch.item, minlength=ITEMS) + torch.bincount(batch.negative, minlength=ITEMS)
    assert torch.allclose(z.input_item.grad, 0.3 * counts[:, None] * z.input_item.detach() / N)


def test_a_batch_without_positives_costs_nothing(z, batch):
    assert BPR(l2=0.0)(z, batch._replace(positive=torch.zeros(N, dtype=torch.bool))).item() == 0


def test_bpr_stays_finite_at_huge_margins(z, batch):
    huge = z._replace(user=z.user * 1e4)
    assert torch.isfinite(BPR()(huge, batch))


def test_rating_predicts_mean_and_biases_and_product(z, batch):
    objective = grown(Rating())
    bias = objective.bias
    mean, user, item = bias.mean, bias.user.weight[:, 0], bias.item.weight[:, 0]
    expected = [mean + user[u] + item[i] + z.user[u] @ z.item[i] for u, i in zip(batch.user, batch.item, strict=True)]
    found = objective.predict(z, batch.user, batch.item)
    assert torch.allclose(found, torch.stack(expected))
    assert torch.allclose(objective.scores(z, batch.user)[torch.arange(N), batch.item], found)
    loss = ((found - batch.value) ** 2).mean() + objective.l2 * norm(z, batch, False)
    assert objective(z, batch).item() == pytest.approx(loss.item(), rel=1e-12)


def test_joint_is_the_ranking_loss_plus_the_weighted_squared_error(z, batch):
    objective = grown(Joint(l2=0.01, rating_weight=0.7, width=WIDTH))
    with torch.no_grad():
        objective.taste.copy_(torch.arange(WIDTH) * 1.0)
    error = objective.predict(z, batch.user, batch.item) - batch.value
    expected = pairwise(z, batch)[0] + 0.01 * norm(z, batch, True) + 0.7 * (error**2).mean().item()
    assert objective(z, batch).item() == pytest.approx(expected, rel=1e-12)
    product = (z.user[batch.user] * objective.taste * z.item[batch.item]).sum(1)
    assert torch.allclose(
        objective.predict(z, batch.user, batch.item), objective.bias(batch.user, batch.item) + product
    )
    assert torch.allclose(objective.scores(z, batch.user), z.user[batch.user] @ z.item.T)


def test_joint_trains_its_taste_weights(z, batch):
    objective = grown(Joint(width=WIDTH))
    objective(z, batch).backward()
    assert objective.taste.grad.all()


@pytest.mark.parametrize(("true_weight", "expected"), [(0.4, 0.4), (-1.0, 0.0), (3.0, 1.0)])
def test_trust_is_the_least_squares_weight_cut_to_the_unit_interval(z, true_weight, expected):
    objective, events = grown(Rating()), random_events(30, USERS, ITEMS, seed=2)
    pair = torch.from_numpy(events.user), torch.from_numpy(events.item)
    bias, product = objective.bias(*pair), objective.interaction(z, *pair)
    objective.calibrate(z, interactions(list(zip(*pair, strict=True)), (bias + true_weight * product).detach().numpy()))
    assert float(objective.trust) == pytest.approx(expected, abs=1e-6)


def test_bpr_has_no_squared_error_and_joint_has_one(z):
    events, measure = random_events(20, USERS, ITEMS, seed=3), Settings(topk=(3,), explicit=True)
    seen, statistics = random_events(20, USERS, ITEMS), Counters()
    statistics.absorb(seen, USERS, ITEMS)
    z = Embeddings(*(t.detach().float() for t in z))
    for objective, has in ((BPR(), False), (grown(Joint(width=WIDTH)).float(), True)):
        scorer = ModelScorer(z, objective, statistics, np.ones(USERS, bool))
        metrics = {metric for _, metric, _, _ in evaluate(scorer, events, world_of(seen, USERS, ITEMS), measure).rows}
        assert ("mse" in metrics) == has
        assert "recall@3" in metrics


def test_nodes_are_those_whose_embeddings_a_loss_reads(batch):
    items = set(batch.item.tolist())
    read = {BPR(): batch.negative, Softmax(): batch.shared, Rating(): batch.negative[:0]}
    for objective, negatives in read.items():
        own = batch if objective.negatives.shared else batch._replace(shared=batch.shared[:0])
        users, found = objective.nodes(own)
        assert set(users.tolist()) == set(batch.user.tolist())
        assert set(found.tolist()) == items | set(negatives.tolist())


def test_default_objective_follows_the_feedback():
    assert isinstance(for_feedback("explicit", 16), Joint)
    assert isinstance(for_feedback("implicit"), Softmax)


def test_softmax_is_minus_the_mean_log_share_over_shared_samples(z, batch):
    user, item = z.user.detach().numpy(), z.item.detach().numpy()
    cos = lambda a, b: a @ b / np.linalg.norm(a) / np.linalg.norm(b)  # noqa: E731
    loss, samples, tau = 0.0, batch.shared.tolist(), 0.2
    for u, i, positive in zip(*(c.tolist() for c in (batch.user, batch.item, batch.positive)), strict=True):
        if positive:
            own = np.exp(cos(user[u], item[i]) / tau)
            others = sum(np.exp(cos(user[u], item[j]) / tau) for j in samples if j != i)
            loss -= np.log(own / (own + others)) / int(batch.positive.sum())
    found = Softmax(l2=0.3, temperature=tau, popularity=0.0)(z, batch)
    assert found.item() == pytest.approx(loss + 0.3 * norm(z, batch, negatives=False), rel=1e-9)


def test_softmax_ranks_by_cosine_where_popularity_is_left_out(z):
    found = Softmax(popularity=0.0).scores(z, torch.tensor([2]))[0]
    expected = [torch.cosine_similarity(z.user[2], row, dim=0) for row in z.item]
    assert found.argsort().tolist() == torch.stack(expected).argsort().tolist()


COUNTS = np.array([9.0, 0.0, 1.0, 3.0, 2.0, 0.0])


def counted(objective):
    objective.grow(random_events(25, USERS, ITEMS), USERS, ITEMS)
    objective.count(COUNTS)
    return objective.double()


def tables(z):
    """Return the tables and their cosines, [u, i]."""
    user, item = z.user.detach().numpy(), z.item.detach().numpy()
    length = np.linalg.norm(user, axis=1)[:, None] * np.linalg.norm(item, axis=1)
    return user, item, user @ item.T / length


def scored(z, objective):
    return objective.scores(z, torch.arange(USERS)).detach().numpy()


def test_every_ranking_score_holds_the_item_term(z):
    user, item, cosine = tables(z)
    term = np.log1p(COUNTS)
    assert np.allclose(scored(z, counted(BPR(popularity=0.5))), user @ item.T + 0.5 * term, atol=1e-6)
    assert np.allclose(scored(z, counted(Joint(width=WIDTH, popularity=0.5))), user @ item.T + 0.5 * term, atol=1e-6)
    for soft in (Softmax(temperature=0.2, popularity=0.7), CrossEntropy(temperature=0.2, popularity=0.7)):
        assert np.allclose(scored(z, counted(soft)), cosine / 0.2 + 0.7 * term, atol=1e-6)
    for near in (Contrastive(popularity=0.1), DirectAU(popularity=0.1)):
        assert np.allclose(scored(z, counted(near)), cosine + 0.1 * term, atol=1e-6)


@pytest.mark.parametrize(
    "objective",
    [
        BPR(popularity=0.5),
        Joint(width=WIDTH),
        Rating(),
        Contrastive(popularity=0.3),
        DirectAU(),
        CrossEntropy(),
        Softmax(),
    ],
    ids=lambda o: type(o).__name__,
)
def test_factors_give_the_scores_and_the_length_of_vectors(z, objective):
    grown(objective)
    objective.count(np.arange(ITEMS) + 1.0)
    if isinstance(objective, Rating):
        objective.trust.fill_(0.7)
    f, user = objective.factors(z), torch.arange(USERS)
    product = f.user @ f.item.T + f.user_bias[:, None] + f.item_bias
    assert torch.allclose(product, objective.scores(z, user).to(product), atol=1e-6)
    if f.length is not None:
        assert torch.allclose(f.user.norm(dim=1), torch.full((USERS,), f.length, dtype=f.user.dtype))


def positives(batch):
    columns = zip(*(c.tolist() for c in (batch.user, batch.item, batch.negative, batch.positive)), strict=True)
    return [(u, i, j) for u, i, j, positive in columns if positive]


def test_losses_are_of_the_scores_with_their_item_term(z, batch):
    """Each by its formula over the scores; l2 = 0."""
    pairs = positives(batch)
    s = scored(z, bpr := counted(BPR(l2=0.0, popularity=0.5)))
    assert bpr(z, batch).item() == pytest.approx(np.mean([np.log1p(np.exp(s[u, j] - s[u, i])) for u, i, j in pairs]))
    s = scored(z, soft := counted(Softmax(l2=0.0, temperature=0.2, popularity=0.7)))
    others = {(u, i): sum(np.exp(s[u, j]) for j in batch.shared.tolist() if j != i) for u, i, _ in pairs}
    share = [np.exp(s[u, i]) / (np.exp(s[u, i]) + others[u, i]) for u, i, _ in pairs]
    assert soft(z, batch).item() == pytest.approx(-np.mean(np.log(share)))
    s = scored(z, every := counted(CrossEntropy(l2=0.0, temperature=0.2, popularity=0.7)))
    share = [np.exp(s[u, i]) / np.exp(s[u]).sum() for u, i, _ in pairs]
    assert every(z, batch).item() == pytest.approx(-np.mean(np.log(share)))
    s = scored(z, near := counted(Contrastive(l2=0.0, margin=0.2, negative_weight=3.0, popularity=0.1)))
    costs = [1 - s[u, i] + 3 * np.maximum(s[u, batch.shared] - 0.2, 0).mean() for u, i, _ in pairs]
    assert near(z, batch).item() == pytest.approx(np.mean(costs))


SLICED = {
    "bpr": lambda: BPR(l2=0.0, popularity=0.5),
    "bpr, candidates": lambda: BPR(l2=0.0, popularity=0.5, candidates=3),
    "bpr, all candidates": lambda: BPR(l2=0.0, popularity=0.5, candidates=3, hard=False),
    "joint": lambda: Joint(l2=0.0, width=WIDTH, popularity=0.5),
    "softmax": lambda: Softmax(l2=0.0),
    "softmax, corrected": lambda: Softmax(l2=0.0, corrected=True),
    "cross-entropy": lambda: CrossEntropy(l2=0.0),
    "contrastive": lambda: Contrastive(l2=0.0, margin=0.2, popularity=0.1),
}


@pytest.mark.parametrize("name", SLICED)
def test_while_a_past_is_remembered_each_event_has_the_term_of_its_time(z, batch, name):
    """The loss of a batch is the mean of its events' losses, each with the counts of its own slice as if they were now."""
    rng = np.random.default_rng(5)
    past = PastPopularity(np.array([0.0, 10.0, 20.0]), rng.integers(0, 30, (3, ITEMS)).astype(np.float32))
    within = past.slice_of(rng.uniform(0, 30, N))
    assert set(within) == {0, 1, 2}
    batch = batch._replace(positive=torch.ones(N, dtype=torch.bool))
    if "candidates" in name:
        batch = batch._replace(negative=torch.from_numpy(rng.integers(0, ITEMS, (N, 3))))
    one, alone = counted(SLICED[name]()), []
    sliced, table = batch._replace(within=torch.from_numpy(within)), one.term.table(past)
    with one.term.as_of(table):
        together, own = one(z, sliced).item(), one(z, batch).item()
    for n in range(N):
        single = counted(SLICED[name]())
        single.count(COUNTS, past.counts[within[n]].astype(float))
        alone.append(single(z, Batch(*(c[n : n + 1] for c in batch[:5]), batch.shared)).item())
    assert together == pytest.approx(np.mean(alone))
    # A batch that names no slice has today's term, inside as outside, and so has one whose slices nobody knows any more.
    assert own == one(z, batch).item() == one(z, sliced).item()


def test_softmax_over_all_items_is_cross_entropy(z, batch):
    """The event's own item counts once, as the positive."""
    every = batch._replace(shared=torch.arange(ITEMS))
    objectives = counted(Softmax(l2=0.0)), counted(CrossEntropy(l2=0.0))
    assert objectives[0](z, every).item() == pytest.approx(objectives[1](z, every).item())


@pytest.mark.parametrize("source", ["uniform", "popularity", "batch"])
def test_a_corrected_sample_stands_for_as_many_items_as_it_is_drawn_from(z, batch, source):
    """logQ: its share is divided by its chance to be a sample; all items as samples are cross-entropy."""
    soft = counted(Softmax(l2=0.0, corrected=True, negatives=source))
    weight = torch.ones(ITEMS) if source == "uniform" else torch.from_numpy(COUNTS + 1.0)
    s, often, loss = scored(z, soft), inclusion(weight, len(batch.shared)).numpy(), []
    for u, i, _ in positives(batch):
        others = [np.exp(s[u, j]) / often[j] for j in batch.shared.tolist() if j != i]
        loss.append(-np.log(np.exp(s[u, i]) / (np.exp(s[u, i]) + sum(others))))
    assert soft(z, batch).item() == pytest.approx(np.mean(loss))
    every = batch._replace(shared=torch.arange(ITEMS))
    assert soft(z, every).item() == pytest.approx(counted(CrossEntropy(l2=0.0))(z, every).item())


def test_bpr_takes_the_hardest_of_several_candidates(z, batch):
    rng = np.random.default_rng(3)
    several = batch._replace(negative=torch.from_numpy(rng.integers(0, ITEMS, (N, 4))))
    bpr = counted(BPR(l2=0.1, popularity=0.5, candidates=4))
    s = scored(z, bpr)
    hardest = [
        max(row, key=lambda j, u=u: s[u, j])
        for u, row in zip(batch.user.tolist(), several.negative.tolist(), strict=True)
    ]
    one = counted(BPR(l2=0.1, popularity=0.5))(z, batch._replace(negative=torch.tensor(hardest)))
    assert bpr(z, several).item() == pytest.approx(one.item())
    assert set(bpr.nodes(several)[1].tolist()) >= set(several.negative.flatten().tolist())


def test_bpr_takes_all_of_several_candidates_where_it_is_told_to(z, batch):
    several = batch._replace(negative=torch.from_numpy(np.random.default_rng(3).integers(0, ITEMS, (N, 4))))
    bpr = counted(BPR(l2=0.1, popularity=0.5, candidates=4, hard=False))
    single = counted(BPR(l2=0.1, popularity=0.5))
    each = [single(z, batch._replace(negative=several.negative[:, k])).item() for k in range(4)]
    assert bpr(z, several).item() == pytest.approx(np.mean(each))


def test_directau_is_alignment_and_uniformity(z, batch):
    """Over distinct rows, by loops; the item term stays out of the loss."""
    user, item, cosine = tables(z)
    aligned = np.mean([2 - 2 * cosine[u, i] for u, i, _ in positives(batch)])

    def uniformity(rows):
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        n = len(unit)
        pairs = [np.exp(-2 * ((unit[a] - unit[b]) ** 2).sum()) for a in range(n) for b in range(a + 1, n)]
        return np.log(np.mean(pairs))

    spread = uniformity(user[np.unique(batch.user)]) + uniformity(item[np.unique(batch.item)])
    found = counted(DirectAU(l2=0.0, gamma=3.0))(z, batch)
    assert found.item() == pytest.approx(aligned + 3 * spread / 2)


def test_cross_entropy_refuses_more_items_than_it_is_for():
    with pytest.raises(GnnrecError, match="objective=softmax"):
        CrossEntropy(most_items=5).grow(random_events(25, USERS, ITEMS), USERS, ITEMS)
