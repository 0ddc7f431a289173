"""What the commands about a store print."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gnnrec.core.errors import one_line
from gnnrec.quality.verdict import Alert
from gnnrec.store.ingest import Ingested
from gnnrec.store.table import Store
from gnnrec.store.version import Version

if TYPE_CHECKING:
    from gnnrec.runs.build import Scene

_HEADS = (
    "version",
    "content",
    "read",
    "kept",
    "duplicate",
    "known",
    "repeat",
    "set aside",
    "late",
    "new users",
    "new items",
)


def announced(scene: Scene) -> Scene:
    """Say on stderr what is worth knowing about the data before anything is trained on them; return what was given."""
    for note in scene.setting.stream.notes:
        print(f"note: {one_line(note)}", file=sys.stderr, flush=True)
    return scene


def ingested(store: Store, done: Ingested) -> str:
    """Return what an ingest did."""
    lines = [f"{one_line(name)}: already in version {version}" for name, version in done.seen.items()]
    if done.version is None:
        return "\n".join([*lines, "nothing new: no version was made"])
    version, counts = done.version, done.version.counts
    known, aside = sum(counts.known.values()), sum(counts.set_aside.values())
    lines.append(
        f"version {version.number}: read {counts.read:,} = kept {counts.kept:,} + duplicate {counts.duplicate:,} "
        f"+ known {known:,} + repeat {counts.repeat:,} + set aside {aside:,}"
    )
    lines += [f"  {n:>10,} known from version {v}" for v, n in counts.known.items()]
    for reason, count in counts.set_aside.items():
        shown = "; ".join(f"{one_line(e.file)}:{e.row} '{e.value}'" for e in done.examples.get(reason, [])[:2])
        lines.append(f"  {count:>10,} {reason}: {shown}")
    if counts.late:
        lines.append(
            f"  {counts.late:>10,} late: earlier than the newest event of an earlier version, kept for training"
        )
    lines.append(
        f"  new users {version.new_users:,} of {version.users:,}, new items {version.new_items:,} of {version.items:,}"
    )
    if version.aside:
        lines.append(f"  set aside with their text: {store.aside / version.aside}.jsonl")
    lines += [f"  note: {note}" for note in done.notes]
    if done.verdict is not None:
        lines.append(f"  quality {done.verdict.level}: {store.report(version, 'html')}")
        lines += [_alert(a) for a in done.verdict.alerts]
    return "\n".join(lines)


def _alert(alert: Alert) -> str:
    if alert.since is not None:
        return f"    {alert.rule} ({alert.value:.4g}): still so since version {alert.since}"
    return f"    {alert.level} {alert.rule} ({alert.value:.4g}; {alert.threshold}): {alert.advice}"


def log(store: Store) -> str:
    """Return a line per version."""
    rows: list[tuple[str, ...]] = [(*_HEADS, "from", "to")]
    for version in store.versions:
        counts = version.counts
        known, aside = sum(counts.known.values()), sum(counts.set_aside.values())
        numbers = (counts.read, counts.kept, counts.duplicate, known, counts.repeat, aside, counts.late)
        rows.append(
            (
                str(version.number),
                store.contents[version.number][:12],
                *(f"{n:,}" for n in (*numbers, version.new_users, version.new_items)),
                _day(version.first),
                _day(version.last),
            )
        )
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def show(store: Store, version: Version) -> str:
    """Return everything about a version, with the first rows it set aside."""
    counts = version.counts
    lines = [f"version {version.number}, content {store.contents[version.number]}, by gnnrec {version.code}"]
    lines += [f"  file {one_line(f.name)}, {f.bytes:,} bytes, sha256 {f.sha256}" for f in version.files]
    lines += [f"  {name} {_day(moment)} UTC" for name, moment in (("from", version.first), ("to", version.last))]
    lines.append(
        f"  users {version.users:,} ({version.new_users:,} new), items {version.items:,} ({version.new_items:,} new)"
    )
    lines.append(
        f"  read {counts.read:,} = kept {counts.kept:,}, duplicate {counts.duplicate:,}, repeat {counts.repeat:,}"
    )
    lines += [f"  known from version {v}: {n:,}" for v, n in counts.known.items()]
    lines += [f"  set aside for {reason}: {n:,}" for reason, n in counts.set_aside.items()]
    aside = store.aside_of(version)
    if aside is not None and aside[0].exists():
        with aside[0].open() as file:
            found = [json.loads(line) for _, line in zip(range(5), file, strict=False)]
        lines += [f"    {one_line(r['file'])}:{r['row']} {r['reason']}: {one_line(r['raw'])[:100]}" for r in found]
        lines.append(f"    all in {aside[0]}")
    set_apart = {k: v for k, v in version.cleaning.items() if v not in (None, [], {}, False)}
    return "\n".join([*lines, f"  cleaned by {json.dumps(set_apart, ensure_ascii=False)}"])


def diff(store: Store, old: Version, new: Version) -> str:
    """Return what came between two versions, and what changed in how they were cleaned."""
    between = [v for v in store.versions if old.number < v.number <= new.number]
    total: Counter[str] = Counter()
    for version in between:
        total.update({f"set aside for {reason}": n for reason, n in version.counts.set_aside.items()})
        total.update({"read": version.counts.read, "kept": version.counts.kept, "late": version.counts.late})
    lines = [f"version {old.number} to {new.number}: {len(between)} versions"]
    lines += [f"  {n:>10,} rows {what}" for what, n in sorted(total.items()) if n]
    lines.append(f"  users {old.users:,} to {new.users:,}, items {old.items:,} to {new.items:,}")
    return "\n".join([*lines, *(f"  {line}" for line in changed(old.cleaning, new.cleaning))])


def changed(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    """Return a line per key of the cleaning configuration that differs."""
    keys = sorted({*old, *new})
    return [f"cleaning: data.{k}={old.get(k)} became {new.get(k)}" for k in keys if old.get(k) != new.get(k)]


def _day(seconds: float | None) -> str:
    return "-" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
