"""What lasts is an alarm once; the first events are enough of them; few rows and repeated pairs are said."""

from __future__ import annotations

import json
from functools import reduce
from operator import add as plus

import numpy as np
import polars as pl
import pytest
from support.stores import DAY, START, add, write

from gnnrec.core.errors import GnnrecError
from gnnrec.quality.measures import measured
from gnnrec.quality.row_counts import RowCounts
from gnnrec.quality.rules import rules_of
from gnnrec.quality.statistics import Statistics
from gnnrec.quality.verdict import Past, judge
from gnnrec.store.table import Store

ITEMS = 20


def events(k, n, weights):
    rng = np.random.default_rng(k)
    item = rng.choice(ITEMS, n, p=weights / weights.sum())
    moment = (START + k * DAY) * 10**6 + np.sort(rng.integers(0, 3 * 3600, n)) * 10**6
    return pl.DataFrame(
        {
            "user": [f"u{u}" for u in rng.integers(0, 300, n)],
            "item": [f"i{i}" for i in item],
            "value": np.ones(n),
            "time": pl.Series(moment).cast(pl.Datetime("us", "UTC")),
        }
    )


def judged(sizes, weights, repeat=0.0):
    """Return the verdict on each of these versions, judged as a store does it but for the rules on history."""
    rules = rules_of() | {"least": 10**6}
    past, seen, verdicts = Past(), [], []
    for k, (n, weight) in enumerate(zip(sizes, weights, strict=True)):
        new = Statistics.of(events(k, n, weight))
        counts = RowCounts(round(n / (1 - repeat)), n, repeat=round(n / (1 - repeat)) - n)
        measures = measured(new, 1, counts, 0, 0, past.measures)
        verdicts.append(judge(new, measures, past, rules))
        seen.append(new)
        enough = np.searchsorted(np.cumsum([s.rows for s in seen]), rules["first"])
        past = Past(
            (*past.numbers, k),
            (*past.measures, measures),
            (*past.alerts, {a.rule: a.since for a in verdicts[-1].alerts}),
            reduce(plus, seen[: enough + 1]) if enough < len(seen) else None,
            tuple(seen[-rules["recent"] :]),
        )
    return verdicts


USUAL, OTHER = 1 / np.arange(1, ITEMS + 1), 1 / np.arange(ITEMS, 0, -1)


def test_a_small_first_version_is_not_what_all_others_are_measured_by():
    verdicts = judged([138, *[340] * 57], [OTHER, *[USUAL] * 57])
    assert [v.level for v in verdicts].count("WARN") <= 3
    assert not any("first" in a.rule for v in verdicts for a in v.alerts)
    assert verdicts[40].drifts["popularity", "first"] is not None
    assert verdicts[5].drifts["popularity", "first"] is None


def test_a_change_that_stays_is_an_alarm_once_and_then_still_so():
    verdicts = judged([400] * 50, [USUAL] * 25 + [OTHER] * 25)
    anew = [(k, a.rule) for k, v in enumerate(verdicts) for a in v.alerts if a.since is None]
    assert anew == [(25, "item popularity drifts"), (25, "item popularity differs from the first events")]
    assert [v.level for v in verdicts].count("WARN") == 1
    assert {a.since for v in verdicts[26:] for a in v.alerts} == {25}
    assert any(a.rule.endswith("first events") for a in verdicts[-1].alerts)


def test_what_was_over_and_begins_again_is_an_alarm_again():
    verdicts = judged([400] * 60, [USUAL] * 20 + [OTHER] * 15 + [USUAL] * 15 + [OTHER] * 10)
    rule = "item popularity differs from the first events"
    assert [k for k, v in enumerate(verdicts) for a in v.alerts if a.rule == rule and a.since is None] == [20, 50]


def test_repeated_pairs_are_said_once_with_the_key_that_keeps_them():
    verdicts = judged([400] * 12, [USUAL] * 12, repeat=0.42)
    said = [a for a in verdicts[0].alerts if a.rule == "many repeated pairs"]
    assert verdicts[0].level == "WARN"
    assert "data.repeats=all" in said[0].advice
    assert said[0].value == pytest.approx(0.42, abs=0.01)
    assert [v.level for v in verdicts[1:]] == ["PASS"] * 11
    assert all(a.since == 0 for v in verdicts[1:] for a in v.alerts)
    assert not judged([400], [USUAL], repeat=0.1)[0].alerts


def test_few_rows_are_said():
    assert [a.rule for a in judged([99], [USUAL])[0].alerts] == ["few rows"]
    assert not judged([100], [USUAL])[0].alerts


def test_a_store_says_since_when(tmp_path):
    store = Store(tmp_path / "s")
    for k in range(3):
        lines = [f"u{n % 30},i{n % 7},{1 + n % 5},{START + k * DAY + n}" for n in range(60)]
        done = add(store, write(tmp_path / f"{k}.csv", lines), repeats="all", page=True)
    assert [a.since for a in done.verdict.alerts] == [0]
    assert done.verdict.level == "PASS"
    assert json.loads(store.report(done.version, "json").read_text())["alerts"][0]["since"] == 0
    assert "still so since version 0" in store.report(done.version, "html").read_text()


def test_once_is_yes_or_no(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(json.dumps({"rules": [{"name": "n", "measure": "rows", "advice": "a", "once": "often"}]}))
    with pytest.raises(GnnrecError, match="once: true or false"):
        rules_of(path)
