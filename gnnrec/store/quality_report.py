"""The quality report of an ingest: measured against the accepted versions, judged, written as JSON and HTML.

What later versions are compared with is kept beside the report, as counts of items, values and hours; no user is in them. So a
report reads the counts of a few versions, never their events.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from io import BytesIO
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gnnrec.core.files import sha256, write_atomic
from gnnrec.data.clean.rows import Example
from gnnrec.quality import verdict as quality
from gnnrec.quality.measures import measured
from gnnrec.quality.statistics import Statistics
from gnnrec.quality.verdict import Past, Verdict
from gnnrec.store.sorted_rows import Facts
from gnnrec.store.table import Store
from gnnrec.store.version import Version

_SHARES = {
    "set aside": "set_aside_share",
    "duplicate": "duplicate_share",
    "late": "late_share",
    "new users": "new_user_share",
    "new items": "new_item_share",
}
EXAMPLES = re.compile(r"<!--examples-->.*?<!--/examples-->", re.DOTALL)
"""Where a page shows rows that were set aside; `gnnrec.reporting.quality` marks it."""
VALUES, QUANTILES = 20, (0.0, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
"""Values that a report counts, the most frequent; and quantiles of events per user and per item that it tells."""
_NO_USERS = pl.DataFrame(schema={"key": pl.String(), "count": pl.Int64()})
_KINDS = {"items": pl.String(), "values": pl.Float64(), "hours": pl.Int64()}


def past_of(store: Store, rules: Mapping[str, Any]) -> Past:
    """Return what the versions of a store say that a new one is judged by.

    The first events are those of its oldest versions that together have as many as the rules ask for: one version alone may be
    a day of a hundred, from which every later one differs.
    """
    versions = store.versions if store.exists else ()
    reports = [store.quality(v) or {"measures": {}, "alerts": []} for v in versions]
    alerts = tuple({a["rule"]: a.get("since") for a in r["alerts"]} for r in reports)
    recent = tuple(statistics(store, v) for v in versions[-int(rules["recent"]) :])
    first = _first(store, versions, int(rules["first"]))
    return Past(tuple(v.number for v in versions), tuple(r["measures"] for r in reports), alerts, first, recent)


def _first(store: Store, versions: Sequence[Version], events: int) -> Statistics | None:
    """Return the statistics of the oldest versions that together have so many events; None: all have fewer."""
    total = np.cumsum([v.counts.kept for v in versions])
    last = int(np.searchsorted(total, events))
    return reduce(add, (statistics(store, v) for v in versions[: last + 1])) if last < len(versions) else None


def review(
    store: Store,
    version: Version,
    facts: Facts,
    examples: Mapping[str, Sequence[Example]],
    rules: Mapping[str, Any],
    page: bool = True,
    later: list[Callable[[], None]] | None = None,
) -> Verdict:
    """Judge a version before it is committed, and write its report under its content hash.

    Args:
        store: without it.
        version: its record.
        facts: about its events.
        examples: rows set aside.
        rules: as `quality.rules.rules_of` returns them.
        page: whether to draw the HTML page too.
        later: gets what draws the page, for the caller to call; None: it is drawn at once.
    """
    new, past = facts.statistics, past_of(store, rules)
    fresh = version.new_users, version.new_items
    measures = measured(new, facts.components, version.counts, *fresh, past.measures, _since(store, version))
    verdict = quality.judge(new, measures, past, rules)
    content = quality.as_json(verdict, measures, version.counts)
    content |= {"version": version.number, "content": version.content, "store": store.path.name}
    content |= _contract(version, new)
    content["examples"] = {reason: [_nameless(e) for e in some] for reason, some in examples.items()}
    write_atomic(store.report(version, "json"), _text(content))
    keep(store, version, new)
    if page:
        path, title = store.report(version, "html"), f"{store.path.name}, version {version.number}"
        draw = partial(_page, path, title, content, examples, new, past)
        draw() if later is None else later.append(draw)
    return verdict


def _nameless(example: Example) -> dict[str, object]:
    """Return an example as a report shows it: a report may be passed on, and names no user."""
    return {"file": example.file, "row": example.row, "value": example.nameless}


def keep(store: Store, version: Version, found: Statistics) -> None:
    """Write the counts that later versions are compared with."""
    tables = [
        getattr(found, kind).select(pl.lit(kind).alias("kind"), pl.col("key").cast(pl.String), "count")
        for kind in _KINDS
    ]
    buffer = BytesIO()
    pl.concat(tables).write_parquet(buffer)
    write_atomic(store.report(version, "parquet"), buffer.getvalue())


def _contract(version: Version, new: Statistics) -> dict[str, object]:
    """Return what the report tells beside verdict and measures: span, values, degrees, and where the rows come from."""
    shown = new.values.sort("count", "key", descending=[True, False]).head(VALUES).sort("key")
    return {
        "time": {"first": version.first, "last": version.last},
        "values": dict(zip(map(str, shown["key"]), shown["count"], strict=True)),
        "degrees": {side: _quantiles(getattr(new, side)["count"]) for side in ("users", "items")},
        "lineage": {
            "files": [{"name": f.name, "sha256": f.sha256, "bytes": f.bytes} for f in version.files],
            "cleaning": sha256(json.dumps(version.cleaning, sort_keys=True, default=str).encode()),
            "code": version.code,
        },
    }


def _quantiles(count: pl.Series) -> dict[str, float | None]:
    return {str(q): None if not len(count) else float(count.quantile(q, "nearest") or 0) for q in QUANTILES}


def _since(store: Store, version: Version) -> float | None:
    """Return the hours between the newest event of the store and the first of a version; None where one has no time."""
    newest = max((v.last for v in (store.versions if store.exists else ()) if v.last is not None), default=None)
    return None if newest is None or version.first is None else (version.first - newest) / 3600


def drop_examples(store: Store, version: Version) -> None:
    """Take the examples of rows set aside out of a version's report and page."""
    path = store.report(version, "json")
    found = store.quality(version)
    if found is not None and found.get("examples"):
        write_atomic(path, _text(found | {"examples": {}}))
    page = store.report(version, "html")
    if page.exists():
        write_atomic(page, EXAMPLES.sub("", page.read_text("utf-8")))


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def statistics(store: Store, version: Version) -> Statistics:
    """Return the counts of a version without its users: as kept, or from its events where the file is gone or damaged."""
    try:
        table = pl.read_parquet(store.report(version, "parquet"), glob=False)
        parts = {
            kind: table.filter(pl.col("kind") == kind).select(pl.col("key").cast(type_), "count").sort("key")
            for kind, type_ in _KINDS.items()
        }
    except (OSError, pl.exceptions.PolarsError):
        rows = store.rows().filter(pl.col("version") == version.number).collect(engine="streaming")
        found = Statistics.of(rows)
        parts = {kind: getattr(found, kind) for kind in _KINDS}
    return Statistics(_NO_USERS, **parts)


def _page(
    path: Path,
    title: str,
    content: Mapping[str, Any],
    examples: Mapping[str, Sequence[Example]],
    new: Statistics,
    past: Past,
) -> None:
    from gnnrec.reporting import quality as page  # matplotlib takes a while to load

    lines = [*zip(past.numbers, past.measures, strict=True), (content["version"], content["measures"])]
    table = [{"version": n, "rows": m.get("rows"), **{k: m.get(v) for k, v in _SHARES.items()}} for n, m in lines]
    shown = [(reason, f"{e.file}:{e.row} {e.nameless}") for reason, some in examples.items() for e in some]
    page.write(
        path,
        title=title,
        content=content,
        examples=shown,
        new=new,
        old=reduce(add, past.recent) if past.recent else None,
        history=pl.DataFrame(table, infer_schema_length=None),
    )
