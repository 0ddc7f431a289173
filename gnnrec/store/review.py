"""The quality report of an ingest: measured against the accepted versions, judged, written as JSON and HTML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any

import polars as pl

from gnnrec.data.rows import Example
from gnnrec.files import write_atomic
from gnnrec.quality import verdict as quality
from gnnrec.quality.statistics import Statistics
from gnnrec.quality.verdict import Verdict
from gnnrec.store.table import Store
from gnnrec.store.version import Version

_SHARES = {
    "set aside": "set_aside_share",
    "duplicate": "duplicate_share",
    "late": "late_share",
    "new users": "new_user_share",
    "new items": "new_item_share",
}


def review(
    store: Store,
    version: Version,
    rows: pl.DataFrame,
    examples: Mapping[str, Sequence[Example]],
    rules: Mapping[str, Any],
) -> Verdict:
    """Judge a version before it is committed, and write its report under its content hash.

    Args:
        store: without it.
        version: its record.
        rows: its events.
        examples: rows set aside.
        rules: `quality.rules_of`.
    """
    new = Statistics.of(rows)
    measures = quality.measured(new, rows, version.counts, version.new_users, version.new_items)
    before = _before(store)
    verdict = quality.judge(new, measures, [(s, m) for _, s, m in before], rules)
    content = quality.as_json(verdict, measures, version.counts)
    content |= {"version": version.number, "content": version.content, "store": store.path.name}
    write_atomic(store.report(version, "json"), json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    recent = [s for _, s, _ in before[-int(rules["recent"]) :]]
    _page(store, version, content, examples, new, reduce(add, recent) if recent else None, before, measures)
    return verdict


def _before(store: Store) -> list[tuple[int, Statistics, dict[str, Any]]]:
    """Return number, statistics and measures of the versions that are there."""
    if not store.exists or not store.versions:
        return []
    every = store.rows().select("user", "item", "value", "time", "version").collect(engine="streaming")
    parts = every.partition_by("version", as_dict=True)
    none = every.clear()
    found = []
    for version in store.versions:
        measures = (store.quality(version) or {"measures": {}})["measures"]
        found.append((version.number, Statistics.of(parts.get((version.number,), none)), measures))
    return found


def _page(
    store: Store,
    version: Version,
    content: Mapping[str, Any],
    examples: Mapping[str, Sequence[Example]],
    new: Statistics,
    old: Statistics | None,
    before: Sequence[tuple[int, Statistics, Mapping[str, Any]]],
    measures: Mapping[str, float | None],
) -> None:
    from gnnrec.reporting import quality as page  # matplotlib takes a while to load

    lines = [(n, s.rows, m) for n, s, m in before] + [(version.number, new.rows, measures)]
    table = [{"version": n, "rows": r, **{k: m.get(v) for k, v in _SHARES.items()}} for n, r, m in lines]
    shown = [(reason, f"{e.file}:{e.row} {e.value}") for reason, some in examples.items() for e in some]
    page.write(
        store.report(version, "html"),
        title=f"{store.path.name}, version {version.number}",
        content=content,
        examples=shown,
        new=new,
        old=old,
        history=pl.DataFrame(table, infer_schema_length=None),
    )
