"""Raw files become a version of a store: every row read is kept, a duplicate, a repeat, known already, or set aside."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import polars as pl

from gnnrec import __version__
from gnnrec.core.errors import GnnrecError, nearest
from gnnrec.core.files import write_hashed
from gnnrec.data.clean.event_buffer import Gathered
from gnnrec.data.clean.external_sort import LIMIT, Overflow
from gnnrec.data.clean.ids import spelled
from gnnrec.data.clean.rows import Example
from gnnrec.data.dataset import Dataset
from gnnrec.data.datasets import File, Lost
from gnnrec.data.side import ITEM
from gnnrec.quality.row_counts import RowCounts
from gnnrec.quality.rules import rules_of
from gnnrec.quality.verdict import Verdict
from gnnrec.store.quality_report import review
from gnnrec.store.sorted_rows import Facts, SortedRows
from gnnrec.store.table import Store
from gnnrec.store.version import Version

TITLE = "title"
_PAIR = ["user", "item"]
_EVENT = [*_PAIR, "value", "time"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What to do with files that do not follow the store in time.

    Attributes:
        late: rows earlier than the newest event of the store: "accept" keeps them (a stream puts them into train), "refuse".
        out_of_order: files all of whose rows are late: "refuse", or "accept".
        blocked: a version whose quality report says BLOCK: "refuse", or "accept".
    """

    late: str = "accept"
    out_of_order: str = "refuse"
    blocked: str = "refuse"

    def __post_init__(self) -> None:
        for key in ("late", "out_of_order", "blocked"):
            if getattr(self, key) not in ("accept", "refuse"):
                value = str(getattr(self, key))
                raise GnnrecError(
                    f"--{key.replace('_', '-')} {value} is not a choice{nearest(value, ['accept', 'refuse'])}"
                )


@dataclass(frozen=True, slots=True)
class Ingested:
    """What an ingest did.

    Attributes:
        version: its record; None: every file was in the store already.
        seen: names of files left out and the version that holds each.
        examples: rows set aside, a few per reason.
        notes: what was inferred or is unusual.
        verdict: of the quality report.
    """

    version: Version | None
    seen: Mapping[str, int]
    examples: Mapping[str, list[Example]]
    notes: tuple[str, ...]
    verdict: Verdict | None = None


def ingest(
    store: Store,
    log: File,
    cleaning: Mapping[str, object],
    policy: Policy | None = None,
    rules: Mapping[str, Any] | None = None,
    page: bool = True,
    origin: str | None = None,
    later: list[Callable[[], None]] | None = None,
) -> Ingested:
    """Read the files of `log` into a new version.

    Args:
        store: to write to; made where there is none.
        log: files and how to clean them.
        cleaning: the configuration that `log` was made from, for the record.
        policy: for files that do not follow the store in time, or are judged unsound.
        rules: of the quality report; the shipped ones where None.
        page: whether to draw the report as an HTML page too.
        origin: commit of another Delta table that the files are.
        later: gets what draws the page, for the caller to call; None: it is drawn before the version is there.

    Raises:
        GnnrecError: the files cannot be read, rows are refused, or another process is writing. The store is as it was.
    """
    if log.rules.repeats == "last":
        raise GnnrecError("data.repeats=last would change earlier versions; a store takes first or all")
    with store.writing(begin=True):
        old = store.versions if store.exists else ()
        blobs = log.blobs()
        held = {b.source: v for b in blobs if (v := _holder(old, b.source.sha256)) is not None}
        seen = {source.name: version for source, version in held.items()}
        left = [b for b in blobs if b.source not in held]
        if not left:
            for number in set(seen.values()):  # a process that was killed may have left its commit unconfirmed
                store.sync(number)
            return Ingested(None, seen, {}, ())
        newest = max((v.last for v in old if v.last is not None), default=None)
        with Overflow(store.scratch, LIMIT) as overflow, store.stage() as staged:
            reading = log.gather(left, overflow=overflow)
            events = reading.events
            _check_timed(old, events)
            ids = {"user": events.users.all(), "item": events.items.all()}
            ordered = SortedRows(ids, events.timed, newest, overflow)
            known, repeat = _take(events, ordered, store, bool(old), log.rules.repeats)
            facts = Facts.of(ordered, staged)
            _check_order(ordered, facts, policy or Policy())
            data = log.describe(reading, events.account_only(log.name), facts.statistics.items["key"])
            counts = _counted(data, ordered.height, known, repeat, facts.late)
            version = _record(store, facts, data, counts, cleaning)
            version = replace(version, aside=_set_aside(store, reading.lost), side=_beside(store, data), origin=origin)
            verdict = review(store, version, facts, data.examples, rules or rules_of(), page, later)
            if verdict.level == "BLOCK" and (policy or Policy()).blocked == "refuse":
                raise GnnrecError(_blocked(store, version, verdict))
            store.append(staged, version)
        return Ingested(version, seen, data.examples, data.notes, verdict)


def _check_timed(old: Sequence[Version], events: Gathered) -> None:
    """Refuse files without times where earlier versions have them: one row without a time leaves all without an order."""
    if not events.timed and any(v.last is not None for v in old):
        raise GnnrecError(
            "the store has times and these files have none; name the column in data.columns.time, or how it is written in "
            "data.time_unit and data.time_range, or make a store of their own"
        )


def _take(events: Gathered, ordered: SortedRows, store: Store, grown: bool, repeats: str) -> tuple[dict[int, int], int]:
    """Put what is new into `ordered`; return how many rows equal one of each earlier version, or repeat an earlier pair."""
    known: Counter[int] = Counter()
    repeat = 0
    for columns in events.parts():
        rows, same, again = _apart(ordered.frame(columns), ordered.ids, store, grown, repeats)
        known.update(same)
        repeat += again
        ordered.keep(rows)
    return dict(sorted(known.items())), repeat


def _blocked(store: Store, version: Version, verdict: Verdict) -> str:
    alerts = (a for a in verdict.alerts if a.level == "BLOCK")
    why = "; ".join(f"{a.rule} ({a.value:.4g}, {a.threshold}): {a.advice}" for a in alerts)
    end = "" if why.endswith("?") else "."
    report = store.report(version, "html")
    return f"BLOCK, no version was made: {why}{end} See {report}; --blocked accept takes it all the same"


def _holder(versions: Sequence[Version], digest: str) -> int | None:
    """Return the version that read a file of this hash."""
    return next((v.number for v in versions if any(f.sha256 == digest for f in v.files)), None)


def _counted(data: Dataset, kept: int, known: Mapping[int, int], repeat: int, late: int) -> RowCounts:
    found = data.counts
    aside, repeats = dict(found.set_aside), found.repeat + repeat
    counts = RowCounts(found.rows_read, kept, found.duplicate, repeats, known, aside, dict(found.matched), late)
    counts.check()
    return counts


def _set_aside(store: Store, lost: Iterable[Lost]) -> str | None:
    """Write down what was set aside and return the file's name, which is its hash; None: nothing was."""
    # Written before the commit that names it: after a crash between the two it is a leftover, never a loss.
    return write_hashed(store.aside, ".jsonl", _quarantine(lost))


def _beside(store: Store, data: Dataset) -> str | None:
    """Write down titles and side information of the items and return the file's name, which is its hash; None: nothing."""
    side = data.side
    if data.titles:
        titles = pl.DataFrame({ITEM: list(data.titles), TITLE: list(data.titles.values())})
        side = titles if side is None else side.join(titles, on=ITEM, how="full", coalesce=True)
    if side is None:
        return None
    buffer = BytesIO()
    side.sort(ITEM).write_parquet(buffer)
    return write_hashed(store.sides, ".parquet", [buffer.getvalue()])


def _record(
    store: Store,
    facts: Facts,
    data: Dataset,
    counts: RowCounts,
    cleaning: Mapping[str, object],
) -> Version:
    grown, ids = store.exists, (facts.statistics.users["key"], facts.statistics.items["key"])
    (users, new_users), (items, new_items) = _novel(ids, store) if grown else [(len(i), len(i)) for i in ids]
    return Version(
        number=store.head + 1,
        content=facts.content,
        cleaning=dict(cleaning),
        files=data.sources,
        counts=counts,
        first=facts.first,
        last=facts.last,
        users=users,
        items=items,
        new_users=new_users,
        new_items=new_items,
        feedback=data.feedback,
        aside=None,
        code=__version__,
    )


def _apart(
    rows: pl.DataFrame, ids: Mapping[str, pl.Series], store: Store, grown: bool, repeats: str
) -> tuple[pl.DataFrame, dict[int, int], int]:
    """Return the rows that are new, how many equal one of each earlier version, and how many repeat an earlier pair."""
    if not grown or not rows.height:
        return rows, {}, 0
    events = spelled(rows.select(_EVENT), ids)
    pairs = events.lazy().select(_PAIR).unique()
    before = store.rows().select(*_EVENT, "version").join(pairs, on=_PAIR, how="semi").collect(engine="streaming")
    held = before.group_by(_EVENT).agg(pl.col("version").min().alias("held"))
    found = events.join(held, on=_EVENT, how="left", nulls_equal=True, maintain_order="left")["held"]
    known, fresh = Counter(found.drop_nulls().to_list()), found.is_null()
    first = fresh
    if repeats != "all":
        met = before.select(_PAIR).unique().with_columns(met=True)
        first = fresh & events.join(met, on=_PAIR, how="left", maintain_order="left")["met"].is_null()
    return rows.filter(first), dict(sorted(known.items())), int(fresh.sum()) - int(first.sum())


def _check_order(ordered: SortedRows, facts: Facts, policy: Policy) -> None:
    """Refuse what the policy does not take: late rows, or files that came out of order."""
    if ordered.height and facts.late == ordered.height and policy.out_of_order == "refuse":
        raise GnnrecError(
            f"all {facts.late:,} new rows are earlier than the newest event of the store: files out of order; ingest the "
            "older files first, or pass --out-of-order accept"
        )
    if facts.late and policy.late == "refuse":
        raise GnnrecError(
            f"{facts.late:,} rows are earlier than the newest event of the store; pass --late accept to keep them"
        )


def _quarantine(lost: Iterable[Lost]) -> Iterator[bytes]:
    """Yield a line per row set aside, a JSON object: file, its hash, row, reason, user (null: no such cell), raw text."""
    for one in lost:
        source = {"file": one.source.name, "sha256": one.source.sha256}
        for row, reason, user, text in one:
            content = {**source, "row": row, "reason": reason, "user": user, "raw": text}
            yield (json.dumps(content, ensure_ascii=False) + "\n").encode()


def _novel(ids: Sequence[pl.Series], store: Store) -> list[tuple[int, int]]:
    """Return how many distinct users and items there are now, and how many of them, given those of the version, are new."""
    known = pl.collect_all([store.rows().select(name).unique() for name in _PAIR], engine="streaming")
    found = []
    for mine, (before,) in zip(ids, known, strict=True):
        fresh = int((~mine.is_in(before.implode())).sum())
        found.append((len(before) + fresh, fresh))
    return found
