"""What a log and its stream hold, as text: rows by fate, dirt with examples, growth per increment."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from gnnrec.core.errors import one_line
from gnnrec.data.dataset import Dataset
from gnnrec.data.types import Increment, Interactions, Stream

_TITLES = ("t", "train", "valid", "test", "next", "new users", "new items", "known x known", "from", "to")


def summarise(dataset: Dataset, stream: Stream, quality: str = "") -> str:
    """Return the text of ``gnnrec data summary``.

    Args:
        dataset, stream: the log and its increments.
        quality: of each increment, as text (gnnrec.quality.increments); empty: left out.
    """
    parts = [_head(dataset, stream), _rows(dataset), _growth(dataset, stream), *([quality] if quality else [])]
    notes = list(dict.fromkeys((*dataset.notes, *stream.notes)))
    if notes:
        parts.append("\n".join(["notes", *(f"  {note}" for note in notes)]))
    return "\n\n".join(parts) + "\n"


def _head(dataset: Dataset, stream: Stream) -> str:
    users, items, events = len(dataset.user_ids), len(dataset.item_ids), len(dataset)
    lines = [
        f"data {dataset.name}: {events:,} events, {users:,} users, {items:,} items, "
        f"density {events / max(users * items, 1):.2%}, {dataset.feedback}"
    ]
    if dataset.feedback == "explicit":
        value = dataset.value
        lines.append(
            f"  ratings {value.min():g} to {value.max():g}, mean {value.mean():.3f}, deviation {value.std():.3f}"
        )
    if dataset.time is not None and events:
        lines.append(f"  time {_day(dataset.time[0])} to {_day(dataset.time[-1])} UTC")
    lines += [f"  file {one_line(s.name)}, {s.bytes:,} bytes, sha256 {s.sha256[:16]}" for s in dataset.sources]
    if dataset.titles:
        titled = sum(i in dataset.titles for i in dataset.item_ids)
        lines.append(f"  titles for {titled:,} of {items:,} items")
    return "\n".join([*lines, f"  stream {len(stream.increments)} increments, fingerprint {stream.fingerprint[:16]}"])


def _rows(dataset: Dataset) -> str:
    counts = dataset.counts
    aside = sum(counts.set_aside.values())
    lines = [
        f"rows read {counts.rows_read:,} = kept {counts.kept:,} + duplicate {counts.duplicate:,} "
        f"+ repeat {counts.repeat:,} + set aside {aside:,}"
    ]
    for reason in dict.fromkeys((*counts.set_aside, *counts.matched)):
        count = counts.set_aside.get(reason, 0)
        raw = counts.matched.get(reason, count)
        also = f" (of {raw:,} that match; the others were set aside for an earlier reason)" if raw != count else ""
        shown = "; ".join(f"{one_line(e.file)}:{e.row} '{e.value}'" for e in dataset.examples.get(reason, [])[:2])
        lines.append(f"  {count:>10,} {reason}{also}{': ' if shown else ''}{shown}")
    return "\n".join(lines)


def _growth(dataset: Dataset, stream: Stream) -> str:
    rows: list[tuple[str, ...]] = [_TITLES]
    users = items = 0
    for increment in stream.increments:
        seen = increment.observed
        rows.append(
            (
                str(seen.index),
                *(f"{len(part):,}" for part in (seen.train, seen.valid, increment.test, increment.upcoming)),
                f"{seen.num_users - users:,}",
                f"{seen.num_items - items:,}",
                _known(increment),
                *_range(seen.train, dataset.time is not None),
            )
        )
        users, items = seen.num_users, seen.num_items
    widths = [max(len(row[k]) for row in rows) for k in range(len(_TITLES))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([*lines, "known x known: share of next events whose user and item are known; from, to: of train"])


def _known(increment: Increment) -> str:
    events, seen = increment.upcoming, increment.observed
    if not len(events):
        return "-"
    return f"{np.mean((events.user < seen.num_users) & (events.item < seen.num_items)):.1%}"


def _range(events: Interactions, timed: bool) -> tuple[str, str]:
    if not timed or not len(events):
        return "-", "-"
    return _day(events.time[0]), _day(events.time[-1])


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(float(seconds), UTC).strftime("%Y-%m-%d %H:%M")
