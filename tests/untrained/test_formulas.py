"""Every recommender without training against its formula written with dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from gnnrec.core.errors import GnnrecError
from gnnrec.counters.itemknn import ItemKNN
from gnnrec.testing.untrained import ITEMS, USERS, log
from gnnrec.testing.worlds import interactions
from gnnrec.untrained.ease import EASE
from gnnrec.untrained.filter import GraphFilter
from gnnrec.untrained.itemknn import NearestItems
from gnnrec.untrained.popularity import PopularItems
from gnnrec.untrained.subspace import Subspace

EVENTS = log()
ACTIVE = np.unique(EVENTS.user)


def dense(half_life=None):
    """Return R, ones or decayed sums."""
    r = np.zeros((USERS, ITEMS))
    age = np.arange(len(EVENTS) - 1, -1, -1)
    np.add.at(r, (EVENTS.user, EVENTS.item), 1.0 if half_life is None else 2.0 ** (-age / half_life))
    return (r > 0).astype(float) if half_life is None else r


def power(sums, exponent):
    """Return sums to a power, 1 where a sum is 0."""
    return np.where(sums > 0, sums, 1.0) ** exponent


def absorbed(made, cut=50):
    for part in (EVENTS.take(slice(0, cut)), EVENTS.take(slice(cut, None))):
        made.absorb(part, USERS, ITEMS)
        made.scores(ACTIVE, ITEMS)
    return made.scores(ACTIVE, ITEMS).numpy()


def near(found, expected):
    assert np.allclose(found, expected[ACTIVE], rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def p_of(r, a, b, c):
    g = r.T @ (power(r.sum(1), -2 * a)[:, None] * r)
    return power(r.sum(0), -b)[:, None] * g * power(r.sum(0), -c)


@pytest.mark.parametrize("half_life", [None, 30.0])
@pytest.mark.parametrize("exponents", [(0.5, 0.5, 0.5), (0.3, 0.5, 0.4), (0.0, 0.2, 0.9)])
def test_a_linear_filter(exponents, half_life):
    a, b, c = exponents
    r = dense(half_life)
    found = absorbed(GraphFilter(user_exponent=a, before=b, after=c, half_life=half_life))
    near(found, r @ p_of(r, a, b, c))


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("s", [0.7, 1.0, 1.4])
def test_turbo_cf(order, s):
    r = dense()
    p = p_of(r, 0.6, 0.4, 0.4) ** s
    f = p if order == 1 else 2 * p - p @ p
    near(absorbed(GraphFilter(user_exponent=0.6, before=0.4, after=0.4, power=s, order=order)), r @ f)


@pytest.mark.parametrize("linear", [0.0, 1.0])
def test_gf_cf(linear):
    r = dense()
    normal = power(r.sum(1), -0.5)[:, None] * r * power(r.sum(0), -0.5)
    v = np.linalg.svd(normal)[2][:3].T
    root = power(r.sum(0), 0.5)
    ideal = (v @ v.T) * root / root[:, None]
    made = GraphFilter(linear=linear, low_pass=0.3, vectors=3, passes=300, warm=300)
    expected = r @ (linear * normal.T @ normal + 0.3 * ideal)
    assert np.allclose(absorbed(made), expected[ACTIVE], atol=1e-3 * expected.max())


def test_few_passes_from_the_last_basis_follow_a_small_change():
    """Two passes from chance are far off; two from the basis of before are near."""
    before, now = (sparse.csr_matrix(m) for m in planted_spectrum())
    v = np.linalg.svd(now.toarray())[2][:8].T
    warm, cold = Subspace(8, passes=200, warm=2), Subspace(8, passes=2)
    warm.refresh(before)
    off = [np.abs(found @ found.T - v @ v.T).max() for found in (warm.refresh(now).numpy(), cold.refresh(now).numpy())]
    assert off[0] < 0.1 * off[1]
    warm.forget()
    again = warm.refresh(now).numpy()
    assert np.allclose(again @ again.T, v @ v.T, atol=1e-4)


def planted_spectrum():
    """Return two matrices, little apart, whose singular values fall slowly."""
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.standard_normal((n, 100)))[0] for n in (300, 200))
    matrix = (left * 0.93 ** np.arange(100)) @ right.T
    return matrix, matrix + 0.001 * rng.standard_normal(matrix.shape)


@pytest.mark.parametrize("neighbours", [None, 4])
@pytest.mark.parametrize("shrinkage", [0.0, 3.0])
@pytest.mark.parametrize("asymmetry", [0.5, 0.2])
@pytest.mark.parametrize("users", [{}, {"exponent": 0.3}, {"tf_idf": True}])
def test_itemknn(neighbours, shrinkage, asymmetry, users):
    r = dense()
    weight = power(r.sum(1), -2 * users.get("exponent", 0.0))
    if "tf_idf" in users:
        weight = np.maximum(np.log(ITEMS / (1 + r.sum(1))), 0) ** 2
    g = r.T @ (weight[:, None] * r)
    norm = power(np.diag(g), 1.0)
    s = g / (norm[:, None] ** asymmetry * norm ** (1 - asymmetry) + shrinkage)
    np.fill_diagonal(s, 0)
    if neighbours:
        for i in range(ITEMS):
            s[np.argsort(-s[:, i].astype(np.float32), kind="stable")[neighbours:], i] = 0
    near(absorbed(NearestItems(neighbours, shrinkage, asymmetry, **users)), r @ s)


def test_itemknn_as_it_stands_is_the_counter_to_the_byte():
    counter, made = ItemKNN(), NearestItems()
    for x in (counter, made):
        x.absorb(EVENTS, USERS, ITEMS)
    assert np.array_equal(counter.known_scores(ACTIVE), made.scores(ACTIVE, ITEMS).numpy())


def test_all_neighbours_by_the_general_way_are_the_plain_ones():
    near(absorbed(NearestItems(neighbours=ITEMS)), absorbed_everywhere(NearestItems()))


def absorbed_everywhere(made):
    made.absorb(EVENTS, USERS, ITEMS)
    return made.scores(np.arange(USERS), ITEMS).numpy()


def ease(r, l2):
    p = np.linalg.inv(r.T @ r + l2 * np.eye(r.shape[1]))
    b = -p / np.diag(p)
    np.fill_diagonal(b, 0)
    return r @ b


def test_ease():
    near(absorbed(EASE(l2=3.0)), ease(dense(), 3.0))


def test_ease_regresses_other_items_on_the_most_popular_ones():
    r, found = dense(), absorbed(EASE(l2=3.0, most_items=6))
    inside = np.sort(np.argsort(-r.sum(0), kind="stable")[:6])
    outside = np.setdiff1d(np.arange(ITEMS), inside)
    x = r[:, inside]
    assert np.allclose(found[:, inside], ease(x, 3.0)[ACTIVE], atol=1e-5)
    ridge = np.linalg.inv(x.T @ x + 3.0 * np.eye(6)) @ x.T @ r[:, outside]
    assert np.allclose(found[:, outside], (x @ ridge)[ACTIVE], atol=1e-5)


@pytest.mark.parametrize("half_life", [None, 25.0])
def test_popularity(half_life):
    expected = np.zeros(ITEMS)
    for n, item in enumerate(EVENTS.item[::-1]):
        expected[item] += 1.0 if half_life is None else 2.0 ** (-n / half_life)
    assert np.allclose(absorbed(PopularItems(half_life)), expected, rtol=1e-5)


def test_ials_folds_new_events_in_by_one_exact_step():
    pytest.importorskip("implicit")
    from gnnrec.untrained.ials import IALS

    made = IALS(factors=4, l2=0.1, alpha=5.0, refit=1.0)
    made.absorb(EVENTS, USERS, ITEMS)
    made.scores(ACTIVE, ITEMS)
    made.absorb(interactions([(USERS - 1, 0), (USERS - 1, 3)]), USERS, ITEMS)
    found = made.scores(np.array([USERS - 1]), ITEMS)[0].numpy()
    y = made._model.item_factors.astype(float)
    confidence = np.where(np.isin(np.arange(ITEMS), [0, 3]), 5.0, 1.0)
    system = (y.T * confidence) @ y + 0.1 * np.eye(4)
    x = np.linalg.solve(system, (y.T * confidence) @ (confidence > 1))
    assert np.allclose(found, y @ x, atol=1e-4)


def test_ials_says_what_to_install(monkeypatch):
    from gnnrec.untrained import ials

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(ials.importlib, "import_module", missing)
    with pytest.raises(GnnrecError, match=r"pip install 'gnnrec\[baselines\]'"):
        ials.IALS()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: GraphFilter(order=3), "order=3"),
        (lambda: GraphFilter(linear=0.0), "linear=0"),
        (lambda: GraphFilter(half_life=0.0), "half_life=0.0 must be above 0"),
        (lambda: NearestItems(neighbours=0), "neighbours=0"),
        (lambda: NearestItems(asymmetry=1.5), "asymmetry=1.5"),
        (lambda: EASE(l2=0.0), "l2=0.0"),
        (lambda: PopularItems(half_life=-1.0), "half_life=-1.0"),
        (lambda: absorbed(GraphFilter(order=2, most_items=5)), "most_items=5"),
    ],
)
def test_what_cannot_be_is_refused(make, said):
    with pytest.raises(GnnrecError, match=said):
        make()
