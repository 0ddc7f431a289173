"""Verdicts by named rules, each on the case it is meant for; reports as JSON and as a page."""

from __future__ import annotations

import json
import re

import numpy as np
import polars as pl
import pytest
from support.stores import DAY, START, add, write

from gnnrec.core.errors import GnnrecError
from gnnrec.quality.measures import MEASURES
from gnnrec.quality.rules import RULES, rules_of
from gnnrec.store.ingest import Policy
from gnnrec.store.table import Store

USERS, ITEMS = 60, 40
ACCEPT = Policy(blocked="accept")


def day(k, n=300, seed=0, ratings=(0.1, 0.2, 0.3, 0.3, 0.1), users=None, hour=0):
    """Return a day's rows from the same population as every other day."""
    rng = np.random.default_rng(1000 * seed + k)
    popular = 1 / np.arange(1, ITEMS + 1)
    user = rng.integers(0, USERS, n) if users is None else users
    item = rng.choice(ITEMS, n, p=popular / popular.sum())
    value = rng.choice(5, n, p=ratings) + 1
    second = START - START % DAY + k * DAY + np.sort(rng.integers(0, DAY // 2, n)) + 3600 * hour
    return [f"u{u},i{i},{r},{t}" for u, i, r, t in zip(np.broadcast_to(user, n), item, value, second, strict=True)]


@pytest.fixture
def store(tmp_path):
    """Return a store of ten days like each other."""
    made = Store(tmp_path / "store")
    for k in range(10):
        add(made, write(tmp_path / f"{k}.csv", day(k)), repeats="all", policy=ACCEPT)
    return made


def verdict(store, folder, lines, **options):
    return add(store, write(folder / "new.csv", lines), repeats="all", policy=ACCEPT, **options).verdict


def names(found, level):
    return {a.rule for a in found.alerts if a.level == level}


def test_a_day_like_the_others_passes(store, tmp_path):
    assert verdict(store, tmp_path, day(10)).level == "PASS"


def test_a_changed_rating_scale_blocks(store, tmp_path):
    found = verdict(store, tmp_path, day(10, ratings=(0.7, 0.2, 0.1, 0, 0)))
    assert "values drift" in names(found, "BLOCK")


def test_rows_that_cannot_be_used_block(store, tmp_path):
    assert "many rows set aside" in names(verdict(store, tmp_path, [*day(10), *["broken"] * 60]), "BLOCK")


def test_a_file_cut_off_a_bot_and_a_moved_clock_warn(store, tmp_path):
    assert "unusual number of rows" in names(verdict(store, tmp_path, day(10, n=30)), "WARN")
    bot = np.where(np.arange(300) < 150, 1000, np.random.default_rng(0).integers(0, USERS, 300))
    assert "one user has too many rows" in names(verdict(store, tmp_path, day(11, users=bot)), "WARN")
    moved = verdict(store, tmp_path, day(12, hour=9))
    assert "hours of the day drift" in names(moved, "WARN") | names(moved, "BLOCK")


def test_new_ids_for_old_users_warn(store, tmp_path):
    renamed = [line.replace("u", "customer-", 1) for line in day(10)]
    assert "unusual share of new users" in names(verdict(store, tmp_path, renamed), "WARN")


def test_a_blocked_version_is_refused_and_the_store_stays(store, tmp_path):
    head = store.head
    with pytest.raises(GnnrecError, match=r"many rows set aside.*--blocked accept"):
        add(store, write(tmp_path / "bad.csv", [*day(10), *["broken"] * 60]), repeats="all")
    assert store.head == head


def test_every_alert_has_value_threshold_n_and_advice(store, tmp_path):
    for alert in verdict(store, tmp_path, [*day(10, ratings=(0.7, 0.2, 0.1, 0, 0)), *["broken"] * 60]).alerts:
        assert alert.threshold
        assert alert.advice
        assert alert.n == 300
        assert np.isfinite(alert.value)


def test_the_report_is_json_and_one_page_without_anything_from_elsewhere(store, tmp_path):
    file = write(tmp_path / "x.csv", [*day(10), "planted,<script>alert(1)</script>,abc,1"])
    done = add(store, file, repeats="all", policy=ACCEPT, page=True)
    content = json.loads(store.report(done.version, "json").read_text())
    assert {"verdict", "alerts", "measures", "rows", "drift", "version", "content"} <= set(content)
    assert content["rows"]["read"] == content["rows"]["kept"] + sum(content["rows"]["set_aside"].values())
    page = store.report(done.version, "html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "planted" not in page + json.dumps(content), "a report names no user"
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert '<svg role="img"' in page


def test_own_rules_are_checked(tmp_path):
    assert rules_of(RULES)["rules"]
    path = tmp_path / "rules.yaml"
    for text, said in (
        ("rules: 3", "need a list"),
        ("{", "cannot be read"),
        ("rules: [{name: x, measure: rows, advice: y, warn: {abov: 1}}]", "numbers for"),
        ("rules: [{name: x, warn: {above: 1}}]", "needs name"),
    ):
        path.write_text(text)
        with pytest.raises(GnnrecError, match=said):
            rules_of(path)
    with pytest.raises(GnnrecError, match="cannot be read"):
        rules_of(tmp_path / "none.yaml")


def test_measures_of_an_empty_version_are_not_a_guess(tmp_path):
    store = Store(tmp_path / "s")
    add(store, write(tmp_path / "a.csv", day(0)), policy=ACCEPT)
    done = add(store, write(tmp_path / "b.csv", []), policy=ACCEPT)
    measures = json.loads(store.report(done.version, "json").read_text())["measures"]
    assert measures["mean_value"] is None
    assert done.verdict.level == "WARN"


def test_shares_of_counts_are_those_of_polars(store):
    rows = store.rows().collect()
    newest = store.versions[-1]
    measures = store.quality(newest)["measures"]
    own = rows.filter(pl.col("version") == newest.number)
    assert measures["rows"] == own.height
    assert measures["mean_value"] == pytest.approx(own["value"].mean())
    assert measures["top_user_share"] == pytest.approx(own["user"].value_counts()["count"].max() / own.height)
    earlier = rows.filter(pl.col("version") < newest.number)
    fresh = own["item"].unique().is_in(earlier["item"].implode()).not_().sum()
    assert measures["new_item_share"] == pytest.approx(fresh / own["item"].n_unique())


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("x", "a rule needs name"),
        ({"name": "n", "measure": "row", "advice": "a"}, "looks at row; did you mean|looks at row"),
        ({"name": "n", "measure": "values", "advice": "a", "warn": {"psi_above": 1}}, "needs against"),
        ({"name": "n", "measure": "rows", "advice": "a", "warn": {"above": "lots"}}, "numbers for"),
        ({"name": "n", "measure": "rows", "advice": "a", "warn": {"over": 1}}, "numbers for"),
        ({"name": "n", "measure": "rows", "advice": "a", "warn": [1]}, "numbers for"),
    ],
)
def test_a_rule_that_no_rule_can_be_is_refused(tmp_path, rule, why):
    path = tmp_path / "rules.yaml"
    path.write_text(json.dumps({"rules": [rule]}))
    with pytest.raises(GnnrecError, match=why):
        rules_of(path)


def test_hourly_files_of_one_day_are_not_blocked_for_their_hours(tmp_path):
    made = Store(tmp_path / "store")
    for k in range(6):
        second = START - START % DAY + 3600 * k
        lines = [f"u{n % USERS},i{n % ITEMS},{1 + n % 5},{second + n}" for n in range(600)]
        add(made, write(tmp_path / f"{k}.csv", lines), repeats="all")
    assert len(made.versions) == 6


def test_values_of_a_continuous_scale_that_move_are_noticed(store, tmp_path):
    def lines(k, middle):
        rng = np.random.default_rng(k)
        return [
            f"u{n % USERS},i{n % ITEMS},{v:.6f},{START + 9 * DAY + n}"
            for n, v in enumerate(rng.normal(middle, 1, 2000))
        ]

    made = Store(tmp_path / "continuous")
    for k in range(3):
        add(made, write(tmp_path / f"c{k}.csv", lines(k, 0)), repeats="all", policy=ACCEPT)
    assert "values drift" not in names(made_verdict(made, tmp_path, lines(3, 0)), "BLOCK")
    assert "values drift" in names(made_verdict(made, tmp_path, lines(4, 3)), "BLOCK")


def made_verdict(made, folder, lines):
    return add(made, write(folder / "more.csv", lines), repeats="all", policy=ACCEPT, page=True).verdict


def test_sound_versions_seldom_warn(tmp_path):
    """Ten like each other, then ten more: three deviations by Student's t are passed by one rule in 370."""
    made, alarms = Store(tmp_path / "many"), 0
    for k in range(20):
        done = add(made, write(tmp_path / f"m{k}.csv", day(k, seed=3)), repeats="all", policy=ACCEPT)
        alarms += done.verdict.level != "PASS" if k >= 10 else 0
    assert alarms <= 2


def test_the_report_is_a_contract(store):
    found = store.quality(store.versions[-1])
    assert {
        "verdict",
        "alerts",
        "measures",
        "rows",
        "drift",
        "examples",
        "time",
        "values",
        "degrees",
        "lineage",
    } <= set(found)
    assert set(found["measures"]) == set(MEASURES)
    assert sum(found["values"].values()) == found["rows"]["kept"]


def test_a_filter_on_users_brings_no_user_into_a_report(store, tmp_path):
    options = {"normalise_ids": True, "filters": [{"column": "user", "not_matches": "planted", "reason": "bot"}]}
    file = write(tmp_path / "x.csv", [*day(10), " planted@x.org,i1,1,1300000000"])
    done = add(store, file, policy=ACCEPT, page=True, repeats="all", **options)
    assert done.version.counts.set_aside["bot"] == 1
    texts = [store.report(done.version, kind).read_text() for kind in ("json", "html")]
    assert not any("planted" in text for text in texts)
