"""`evaluate` against a twin written with loops, and the ways a score could flatter itself."""

from __future__ import annotations

from dataclasses import replace
from math import log2

import numpy as np
import pytest
import torch

from gnnrec.core.errors import GnnrecError
from gnnrec.counters.counters import Counters
from gnnrec.data.types import Interactions
from gnnrec.evaluation.evaluate import Settings, Slice, evaluate, evaluate_all, rank
from gnnrec.evaluation.ranking import tie_order, top_items
from gnnrec.scorers.blend import BlendScorer, BlendWeights
from gnnrec.scorers.references import ItemKNNScorer
from gnnrec.testing.worlds import interactions, world_of

USERS, ITEMS, UNIVERSE = 25, 30, 36
TOPK = (1, 5, 20)
MEASURE = Settings(topk=TOPK, explicit=True, universe=UNIVERSE)


class Fixed:
    """Distinct scores for everybody, drawn once."""

    def __init__(self, seed=0, users=USERS + 5):
        self.table = torch.randn(users, UNIVERSE, generator=torch.Generator().manual_seed(seed))

    def scores(self, user, num_items):
        return self.table[torch.from_numpy(user), :num_items].clone()

    def predict(self, user, item):
        return (self.table[torch.from_numpy(user), torch.from_numpy(item)] + 3).double().numpy()


class Constant:
    """Everything is worth the same."""

    def __init__(self, value=1.0):
        self.value = value

    def scores(self, user, num_items):
        return torch.full((len(user), num_items), self.value)

    def predict(self, user, item):
        return None


@pytest.fixture
def held_out():
    """Return (absorbed, events): the latter with unknown users, unknown items, repeats, and masked pairs."""
    rng = np.random.default_rng(2)
    popular = 1.0 / (1 + np.arange(ITEMS))
    seen = sorted(
        {
            (int(u), int(i))
            for u, i in zip(
                rng.integers(0, USERS - 2, 200), rng.choice(ITEMS, 200, p=popular / popular.sum()), strict=True
            )
        }
    )
    pairs = [
        (int(u), int(i)) for u, i in zip(rng.integers(0, USERS + 4, 120), rng.integers(0, UNIVERSE, 120), strict=True)
    ]
    pairs += pairs[:10] + seen[:5]
    return interactions(seen), interactions(pairs, rng.integers(1, 6, len(pairs)).tolist())


def twin(scorer, events, world, settings):
    """Return every row `evaluate` should give, by loops over users and definitions."""
    items = settings.universe if settings.candidates == "universe" else world.num_items
    masked = set(zip(*(c.tolist() for c in world.seen.edges()), strict=True)) if settings.mask == "absorbed" else set()
    relevant: dict[int, set[int]] = {}
    for u, i, v in zip(events.user.tolist(), events.item.tolist(), events.value.tolist(), strict=True):
        if (settings.positive_from is None or v >= settings.positive_from) and (u, i) not in masked:
            relevant.setdefault(u, set()).add(i)
    lists = {}
    for u in relevant:
        score = scorer.scores(np.array([u]), items)[0].tolist()
        lists[u] = sorted((i for i in range(items) if (u, i) not in masked), key=lambda i: -score[i])
    order = sorted(range(world.num_items), key=lambda i: (-world.popularity[i], i))
    third = {i: n * 3 // world.num_items for n, i in enumerate(order)}
    known = lambda u: u < world.num_users  # noqa: E731
    users = {
        "all": lambda u: True,
        "known_user": known,
        "new_user": lambda u: not known(u),
        "returning_user": lambda u: known(u) and not world.recent[u],
    }
    parts = {
        "known_item": lambda i: i < world.num_items,
        "new_item": lambda i: i >= world.num_items,
        **{n: lambda i, k=k: third.get(i) == k for k, n in enumerate(("head_item", "middle_item", "tail_item"))},
    }
    rows = {}
    for segment, member in users.items():
        rows |= means(segment, {u: t for u, t in relevant.items() if member(u)}, lists, settings.topk)
    for segment, keep in parts.items():
        cut = {u: {i for i in t if keep(i)} for u, t in relevant.items()}
        rows |= means(segment, {u: t for u, t in cut.items() if t}, lists, settings.topk)
    total = [i < items for t in relevant.values() for i in t]
    rows["all", "ceiling"] = sum(total) / len(total), len(total)
    for segment, member in (("all", lambda u: True), ("known_user", known)):
        for k in settings.topk:
            values = [min(k, sum(i < items for i in t)) / len(t) for u, t in relevant.items() if member(u)]
            rows[segment, f"ceiling@{k}"] = np.mean(values), len(values)
    return rows | errors(scorer, events, world)


def means(segment, relevant, lists, topk):
    rows = {}
    for k in topk if relevant else ():
        found: dict[str, list[float]] = {}
        for u, truth in relevant.items():
            hit = [i in truth for i in lists[u][:k]]
            n, ranks = sum(hit), [r + 1 for r, h in enumerate(hit) if h]
            ideal = sum(1 / log2(r + 2) for r in range(min(k, len(truth))))
            values = {
                "recall": n / len(truth),
                "precision": n / k,
                "f1": 2 * n / (k + len(truth)),
                "hit_rate": float(n > 0),
                "mrr": 1 / ranks[0] if ranks else 0.0,
                "ndcg": sum(1 / log2(r + 1) for r in ranks) / ideal,
                "map": sum((j + 1) / r for j, r in enumerate(ranks)) / min(k, len(truth)),
            }
            for name, value in values.items():
                found.setdefault(f"{name}@{k}", []).append(value)
        rows |= {(segment, name): (np.mean(values), len(values)) for name, values in found.items()}
    return rows


def errors(scorer, events, world):
    columns = (events.user, events.item, events.value)
    known = [(u, i, v) for u, i, v in zip(*columns, strict=True) if u < world.num_users and i < world.num_items]
    off = [float(scorer.predict(np.array([u]), np.array([i]))[0] - v) for u, i, v in known]
    mse = np.mean(np.square(off))
    values = {"mse": mse, "rmse": mse**0.5, "mae": np.mean(np.abs(off))}
    return {("all", name): (value, len(known)) for name, value in values.items()}


@pytest.mark.parametrize("candidates", ["known", "universe"])
@pytest.mark.parametrize("positive_from", [None, 4.0])
@pytest.mark.parametrize("mask", ["absorbed", "none"])
def test_equals_the_twin(held_out, candidates, positive_from, mask):
    seen, events = held_out
    world = world_of(seen, USERS, ITEMS, recent=range(0, USERS, 3))
    settings = replace(MEASURE, candidates=candidates, positive_from=positive_from, mask=mask)
    expected = twin(Fixed(), events, world, settings)
    found = {(s, m): (v, n) for s, m, v, n in evaluate(Fixed(), events, world, settings).rows}
    assert set(found) == set(expected)
    for key, (value, n) in expected.items():
        assert found[key] == (pytest.approx(value, abs=1e-9), n), key


def test_without_segments_the_rest_is_the_same(held_out):
    seen, events = held_out
    world = world_of(seen, USERS, ITEMS)
    whole, part = ({(r[0], r[1]): r for r in evaluate(Fixed(), events, world, MEASURE, s).rows} for s in (True, False))
    assert set(part) < set(whole)
    assert all(whole[key] == row for key, row in part.items())
    assert {segment for segment, _ in part} == {"all", "known_user"}


@pytest.mark.parametrize("block", [1, 7, 20])
def test_block_size_does_not_change_a_bit(held_out, block):
    seen, events = held_out
    world = world_of(seen, USERS, ITEMS)
    found = [evaluate(Fixed(), events, world, replace(MEASURE, block=b)) for b in (block, 1024)]
    assert found[0].rows == found[1].rows
    assert all(np.array_equal(found[0].per_user[m], found[1].per_user[m]) for m in found[0].per_user)


def test_every_user_and_every_unknown_item_counts():
    world = world_of(interactions([(0, 0), (1, 1)]), 2, 2)
    events = interactions([(0, 1), (0, 5), (7, 0), (8, 9)])
    found = evaluate(Fixed(), events, world, replace(MEASURE, topk=(5,)))
    rows = {(s, m): (v, n) for s, m, v, n in found.rows}
    assert found.user.tolist() == [0, 7, 8]
    assert found.relevant.tolist() == [2, 1, 1]
    assert found.known.tolist() == [True, False, False]
    assert rows["all", "recall@5"] == (pytest.approx((0.5 + 1 + 0) / 3), 3)
    assert rows["new_user", "recall@5"] == (0.5, 2)
    assert rows["all", "ceiling"] == (0.5, 4)


def test_absorbed_items_are_never_recommended(held_out):
    seen, _ = held_out
    world, user = world_of(seen, USERS, ITEMS), np.arange(USERS)
    for scorer in (Fixed(), Constant()):
        top = rank(scorer, user, world, replace(MEASURE, topk=(ITEMS,)))
        row, at = torch.nonzero(top >= 0, as_tuple=True)
        assert not world.seen.has(row.numpy(), top[row, at].numpy()).any()
        assert len(row) == USERS * ITEMS - world.seen.num_edges
    everything = world_of(interactions([(0, i) for i in range(ITEMS)]), USERS, ITEMS)
    assert (rank(Fixed(), np.array([0]), everything, MEASURE) == -1).all()


def test_users_with_all_items_seen_get_0_and_not_an_error():
    world = world_of(interactions([(0, i) for i in range(ITEMS)]), 1, ITEMS)
    rows = evaluate(Fixed(), interactions([(0, 3), (0, ITEMS)]), world, MEASURE).rows
    assert next((v, n) for s, m, v, n in rows if (s, m) == ("all", "recall@20")) == (0, 1)
    assert not evaluate(Fixed(), interactions([(0, 3)]), world, MEASURE, segments=False).rows[
        :-3
    ]  # nothing is relevant


class Knowing(Fixed):
    """Scores relevant items above all others."""

    def __init__(self, events):
        super().__init__()
        self.table[torch.from_numpy(events.user), torch.from_numpy(events.item)] += 100


@pytest.mark.parametrize("candidates", ["known", "universe"])
@pytest.mark.parametrize("mask", ["absorbed", "none"])
def test_what_a_ceiling_says_is_reached_by_who_knows_the_truth(held_out, candidates, mask):
    seen, events = held_out
    settings = replace(MEASURE, candidates=candidates, mask=mask)
    rows = evaluate(Knowing(events), events, world_of(seen, USERS, ITEMS), settings).rows
    found = {(s, m): v for s, m, v, _ in rows}
    for segment in ("all", "known_user"):
        for k in TOPK:
            assert found[segment, f"recall@{k}"] == pytest.approx(found[segment, f"ceiling@{k}"], abs=1e-12)
    assert (found["all", "ceiling"] == 1) == (candidates == "universe")


def test_rows_scored_together_are_those_scored_alone(held_out):
    seen, events = held_out
    statistics, other = Counters((10.0,)), interactions([(u, (7 * u) % UNIVERSE) for u in range(3, USERS)])
    statistics.absorb(seen, USERS, ITEMS)
    model = Fixed()
    blend = BlendScorer(model, statistics, BlendWeights(1.0, 0.5, 0.5, 10.0))
    scorers = {"model": model, "blend": blend, "itemknn": ItemKNNScorer(statistics), "constant": Constant()}
    small = world_of(seen.take(seen.item < 20), USERS, 20)
    slices = [Slice(events, world_of(seen, USERS, ITEMS)), Slice(other, small, segments=False)]
    settings = replace(MEASURE, block=6)
    together = evaluate_all(scorers, slices, settings)
    for s, found in zip(slices, together, strict=True):
        for name, scorer in scorers.items():
            alone = evaluate(scorer, s.events, s.world, settings, s.segments)
            assert found[name].rows == alone.rows, name
            assert found[name].per_user.keys() == alone.per_user.keys()


def test_no_events_give_no_rows():
    assert evaluate(Fixed(), Interactions.empty(), world_of(interactions([(0, 0)]), 1, 1), MEASURE).rows == []


def recalls(scorer, events, world, k, seeds):
    settings = [Settings(topk=(k,), seed=s) for s in range(seeds)]
    rows = [evaluate(scorer, events, world, s, segments=False).rows for s in settings]
    return np.array([next(v for s, m, v, _ in r if (s, m) == ("all", f"recall@{k}")) for r in rows])


def test_constant_scores_reach_k_of_n_and_not_the_popular_items():
    seen = interactions([(u, i) for u in range(40) for i in range(100) if (u >= 10 and i < 10) or i == 99 - u])
    world, popular = world_of(seen, 50, 100), interactions([(40 + u, i) for u in range(10) for i in range(10)])
    found = recalls(Constant(), popular, world, 10, 300)
    assert found.mean() == pytest.approx(0.1, abs=4 * found.std() / np.sqrt(300))
    assert found.std() > 0


def test_partly_tied_scores_are_fair_at_the_cut():
    class Halves(Constant):
        def scores(self, user, num_items):
            return (torch.arange(num_items) < 10).float().expand(len(user), -1).clone()

    world, truth = world_of(interactions([(0, 0)]), 2, 40), interactions([(1, 0), (1, 1)])
    found = recalls(Halves(), truth, world, 5, 400)
    assert found.mean() == pytest.approx(0.5, abs=4 * found.std() / 20)
    assert recalls(Halves(), truth, world, 10, 5).tolist() == [1] * 5


def test_a_single_tie_across_the_cut_is_fair():
    class Tied(Constant):
        def scores(self, user, num_items):
            return torch.tensor([9.0, 5.0, 5.0, 1.0]).expand(len(user), -1).clone()

    world = world_of(interactions([(0, 0)]), 2, 4)
    for item in (1, 2):
        found = recalls(Tied(), interactions([(1, item)]), world, 2, 200)
        assert found.mean() == pytest.approx(0.5, abs=0.15)


def test_renaming_items_and_users_leaves_metrics_unchanged(held_out):
    seen, events = held_out
    known = events.take(events.item < ITEMS)
    rng = np.random.default_rng(5)
    order, plain, other = rng.permutation(ITEMS), Fixed(), Fixed()
    who = np.concatenate([rng.permutation(USERS), np.arange(USERS, len(plain.table))])  # who is new stays so
    renamed = lambda e: Interactions(who[e.user], order[e.item], e.value, e.time)  # noqa: E731
    other.table[:, torch.from_numpy(order)] = plain.table[:, :ITEMS]
    other.table[torch.from_numpy(who)] = other.table.clone()
    worlds_of = world_of(seen, USERS, ITEMS), world_of(renamed(seen), USERS, ITEMS)
    rows = [
        evaluate(s, e, w, MEASURE, False).rows
        for s, e, w in zip((plain, other), (known, renamed(known)), worlds_of, strict=True)
    ]
    for a, b in zip(*rows, strict=True):
        assert a[:2] == b[:2]
        assert a[2] == pytest.approx(b[2], abs=1e-9)
    tied = [recalls(Constant(), e, w, 5, 300) for e, w in zip((known, renamed(known)), worlds_of, strict=True)]
    assert tied[0].mean() == pytest.approx(
        tied[1].mean(), abs=4 * np.hypot(tied[0].std(), tied[1].std()) / np.sqrt(300)
    )


def test_tie_order_is_a_seeded_permutation():
    assert sorted(tie_order(0, 50).tolist()) == list(range(50))
    assert torch.equal(tie_order(0, 50), tie_order(0, 50))
    assert not torch.equal(tie_order(0, 50), tie_order(1, 50))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_scores_that_are_not_finite_are_refused(bad):
    scores = torch.randn(3, 10)
    scores[1, 4] = bad
    with pytest.raises(GnnrecError, match="NaN or infinite"):
        top_items(scores, 5, tie_order(0, 10))
    with pytest.raises(GnnrecError, match="NaN or infinite"):
        evaluate(Constant(bad), interactions([(0, 1)]), world_of(interactions([(0, 0)]), 1, 4), MEASURE)


def test_huge_but_finite_scores_are_accepted():
    scores = torch.tensor([[3e38, 3e38, 1.0, 2.0]])
    assert set(top_items(scores, 2, tie_order(0, 4))[0].tolist()) == {0, 1}
