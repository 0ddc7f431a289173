"""Item neighbours on residuals: the formula by loops, and ratings that biases do not explain."""

import numpy as np

import gnnrec as gr
from gnnrec.evaluation.reference import Counted, reference_rows
from gnnrec.evaluation.settings import Settings
from gnnrec.evaluation.world import worlds
from gnnrec.objectives.bias import BiasTerms
from gnnrec.scorers import residuals
from gnnrec.scorers.blend import Grid
from gnnrec.scorers.residuals import ResidualNeighbours
from gnnrec.testing.worlds import interactions

USERS, ITEMS = 12, 9


def rated(seed=0, n=60):
    rng = np.random.default_rng(seed)
    pairs = np.unique(np.stack([rng.integers(0, USERS, n), rng.integers(0, ITEMS, n)], 1), axis=0)
    return interactions([tuple(map(int, p)) for p in pairs], rng.integers(1, 6, len(pairs)).astype(float))


def absorbed(events):
    biases = BiasTerms()
    biases.grow(events, USERS, ITEMS)
    biases.absorb(events)
    return biases


def test_it_is_the_formula_by_loops(monkeypatch):
    monkeypatch.setattr(residuals, "BLOCK", 5)
    events = rated()
    biases = absorbed(events)
    left = events.value - biases.partial(events.user, events.item).double().numpy()
    r = {(u, i): x for u, i, x in zip(events.user.tolist(), events.item.tolist(), left.tolist(), strict=True)}
    length = [np.sqrt(sum(x**2 for (_, j), x in r.items() if j == i)) for i in range(ITEMS)]

    def near(i, j):
        both = [u for u in range(USERS) if (u, i) in r and (u, j) in r]
        if i == j or not both:
            return 0.0
        cos = sum(r[u, i] * r[u, j] for u in both) / length[i] / length[j]
        return cos * len(both) / (len(both) + 7.0)

    made = ResidualNeighbours(events, biases, USERS, ITEMS, shrinkage=7.0, pull=0.2)
    user, item = (x.ravel() for x in np.meshgrid(np.arange(USERS), np.arange(ITEMS), indexing="ij"))
    expected = []
    for u, i in zip(user.tolist(), item.tolist(), strict=True):
        own = [(near(i, j), x) for (v, j), x in r.items() if v == u]
        expected.append(sum(s * x for s, x in own) / (0.2 + sum(abs(s) for s, _ in own)))
    assert np.allclose(made.interaction(user, item), expected)
    assert np.allclose(made.predict(user, item), biases.partial(user, item).double().numpy() + expected)


def test_an_item_that_nobody_shares_has_no_interaction():
    events = interactions([(0, 0), (1, 1), (2, 2)], [5.0, 1.0, 3.0])
    made = ResidualNeighbours(events, absorbed(events), USERS, ITEMS)
    assert not made.interaction(np.arange(USERS), np.arange(USERS) % ITEMS).any()


def test_two_tastes_are_told_apart_where_biases_see_none():
    rng = np.random.default_rng(0)
    pairs = [(u, i) for u in range(40) for i in range(20) if rng.random() < 0.6]
    value = [4.0 + (1 if (u % 2) == (i % 2) else -1) + 0.3 * rng.normal() for u, i in pairs]
    train = rng.random(len(pairs)) < 0.8
    events = interactions(pairs, value)
    fitted, test = events.take(train), events.take(~train)
    biases = BiasTerms()
    biases.grow(fitted, 40, 20), biases.absorb(fitted)
    made = ResidualNeighbours(fitted, biases, 40, 20, shrinkage=5.0)
    alone = biases.partial(test.user, test.item).double().numpy()
    errors = [((test.value - x) ** 2).mean() for x in (alone, made.predict(test.user, test.item))]
    assert errors[1] < 0.5 * errors[0]


def test_it_is_a_row_where_it_is_asked_for():
    stream = gr.simulate(users=60, items=30, events=900).stream(increments=2)
    asked = "e", stream, worlds(stream), Settings(topk=(20,), explicit=True), Grid(half_life=(100.0,))
    found = reference_rows(*asked, {"residual_itemknn": Counted("residual_itemknn")})["results"]
    mse = found.filter((found["strategy"] == "residual_itemknn") & (found["metric"] == "mse"))["value"]
    assert len(mse)
    assert np.isfinite(mse.to_numpy()).all()
    assert "residual_itemknn" not in set(reference_rows(*asked)["results"]["strategy"])


def test_a_log_without_ratings_has_no_such_row():
    stream = gr.simulate(users=60, items=30, events=900).stream(increments=2)
    asked = "e", stream, worlds(stream), Settings(topk=(20,), explicit=False), Grid(half_life=(100.0,))
    rows = {row: Counted(row) for row in ("residual_itemknn", "popularity")}
    assert set(reference_rows(*asked, rows)["results"]["strategy"]) == {"popularity", "oracle"}
