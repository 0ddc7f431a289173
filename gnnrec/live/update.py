"""One round of a live run: is there anything new, is it time, which try passes, and what serves from then on.

The order is the guarantee: a challenger's state is on disk before the decision that names it, the decision before the pointer.
A kill at any moment leaves the old champion or the new one; what was being tried is tried again, and comes out the same.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import polars as pl
import torch

from gnnrec import __version__
from gnnrec.core import signals
from gnnrec.core.errors import DivergedError, one_line
from gnnrec.data.types import Interactions
from gnnrec.evaluation.evaluate import Slice, evaluate_all
from gnnrec.learner import Learner
from gnnrec.live.champion import Champion, LiveFolder
from gnnrec.live.events import LiveEvents, UpdateEvents
from gnnrec.live.gate import METRIC, AcceptanceGate, Check, Judgement
from gnnrec.live.journal import ACCEPTED, BLOCKED, KEPT, ROLLED_BACK, WAITS, Entry, lineage, now
from gnnrec.live.ladder import LADDER, Rung
from gnnrec.policies.base import Came, Known, UpdatePolicy, reads_quality
from gnnrec.policies.pace import drift_of
from gnnrec.runs.state import Kept
from gnnrec.strategies.base import Strategy

COLUMNS = ("user", "item", "value", "time", "late", "version")


@dataclass(frozen=True, slots=True)
class Backlog:
    """Versions of a store that no champion has absorbed.

    Attributes:
        rows: their events: user, item, value, time (seconds), late, version; in order of version and place.
        contents: what the rows of each version hash to.
        verdicts: of the data's upkeep, by version.
    """

    rows: pl.DataFrame
    contents: dict[int, str]
    verdicts: dict[int, str]

    @property
    def verdict(self) -> str:
        """The worst."""
        order = ("", "PASS", "WARN", "BLOCK")
        return max(self.verdicts.values(), key=order.index, default="")


class Updater:
    """Brings a live run up to date.

    Args:
        folder: of the live run.
        policy: when to update.
        gate: what may serve.
        blocked: whether to learn from versions whose quality report says BLOCK.
        ladder: what is tried, in turn.
    """

    def __init__(
        self,
        folder: LiveFolder,
        policy: UpdatePolicy,
        gate: AcceptanceGate,
        blocked: bool = False,
        ladder: Sequence[Rung] = LADDER,
    ) -> None:
        self.folder, self.policy, self.gate, self.blocked = folder, policy, gate, blocked
        self.ladder = tuple(ladder)[: int(folder.config["live"]["tries"])]

    def round(self, champion: Champion, waiting: Backlog, again: bool = False) -> tuple[Entry | None, Champion]:
        """Decide on what waits; None where nothing does, or nothing new since it was last decided that the champion stays.

        Where a challenger is accepted under a policy that does not ask for it, `quality` of the decision is still empty.

        Args:
            champion: what serves.
            waiting: what it has not absorbed.
            again: try what was tried already.
        """
        if not waiting.rows.height or (self._tried(waiting) and not again):
            return None, champion
        batch, after = champion.events.batch(waiting.rows, self.folder.shares)
        quality = self.quality(champion, batch) if reads_quality(self.policy) else {}
        parts = {"champion": champion.number, "parent": champion.number, "rows": waiting.rows.height}
        contents = {str(v): c for v, c in waiting.contents.items()}
        made = {"at": now(), "code": __version__, "run": self.folder.saved.fingerprint}
        entry = Entry(KEPT, versions=contents, quality=quality, **made, **parts)  # type: ignore[arg-type]
        if waiting.verdict == "BLOCK" and not self.blocked:
            odd = [v for v, verdict in waiting.verdicts.items() if verdict == "BLOCK"]
            reason = f"the quality report of version {odd[0]} says BLOCK; look at it, then add --blocked accept"
            return self._stays(replace(entry, outcome=BLOCKED, reason=reason), champion, batch)
        decision = self.policy.decide(self._facts(batch, quality, waiting, champion))
        entry = replace(entry, policy=decision.reason)
        if not decision.update:
            return self._stays(replace(entry, outcome=WAITS, reason=decision.reason), champion, batch)
        return self._climb(champion, batch, after, entry)

    def _climb(
        self, champion: Champion, batch: UpdateEvents, after: LiveEvents, entry: Entry
    ) -> tuple[Entry, Champion]:
        """Try one rung after the other until a challenger passes."""
        tries: list[dict[str, object]] = []
        begin = time.perf_counter()
        for n, rung in enumerate(self.ladder):
            started = time.perf_counter()
            made = self._attempt(rung, champion, batch)
            signals.check()  # foreign code may have swallowed one
            seconds = time.perf_counter() - started
            if isinstance(made, str):
                tries.append({"try": rung.name, "passed": False, "reason": made, "seconds": seconds, "checks": []})
                continue
            learner, strategy = made
            verdict = self._judged(champion, learner, batch, seconds, _share(n, len(self.ladder)))
            tries.append(
                {
                    "try": rung.name,
                    "passed": verdict.passed,
                    "reason": verdict.reason,
                    "seconds": seconds,
                    "checks": [_plain(c) for c in verdict.checks],
                }
            )
            if verdict.passed:
                done = replace(entry, tries=tries, seconds=time.perf_counter() - begin)
                return self._accept(champion, learner, strategy, batch, after, replace(done, tried=rung.name))
            if verdict.undecided:
                break  # no other model makes more users of these: they wait for more
        kept = replace(entry, tries=tries, seconds=time.perf_counter() - begin, reason=str(tries[-1]["reason"]))
        return self._stays(kept, champion, batch)

    def _attempt(self, rung: Rung, champion: Champion, batch: UpdateEvents) -> tuple[Learner, Strategy] | str:
        """Return a challenger and the run's strategy behind it, or why there is none."""
        twin = champion.learner.fork()

        def make() -> Strategy:
            made = self.folder.strategy()
            made.load_state_dict(_copied(champion.kept))
            return made

        try:
            strategy = rung.attempt(twin, make, batch.main)
        except DivergedError as error:
            return one_line(str(error))
        twin.ready()
        z = twin.embed()
        if not all(bool(torch.isfinite(x).all()) for x in (z.user, z.item)):
            return "embeddings are not finite"
        return twin, strategy

    def _judged(
        self, champion: Champion, learner: Learner, batch: UpdateEvents, seconds: float, share: float
    ) -> Judgement:
        was, new = self.folder.served(champion.learner), self.folder.served(learner)
        known, world = champion.learner.seen.num_users, learner.history.world()
        measure = replace(learner.measure, candidates="known")
        return self.gate.judge(was, new, batch.judged, world, known, measure, seconds, share)

    def _accept(
        self,
        champion: Champion,
        learner: Learner,
        strategy: Strategy,
        batch: UpdateEvents,
        after: LiveEvents,
        entry: Entry,
    ) -> tuple[Entry, Champion]:
        """Make a challenger the champion: its state first, then the decision, then the pointer."""
        learner.extend(batch.tail)
        learner.absorb(batch.tail)
        learner.ready()
        number = 1 + max((e.champion for e in self.folder.journal.entries()), default=0)
        kept = strategy.state_dict()
        model, graph = self.folder.save(number, learner, kept, entry.numbers)
        reason = str(entry.tries[-1]["reason"])
        entry = replace(entry, outcome=ACCEPTED, champion=number, model=model, graph=graph, reason=reason)
        self._noted(entry)
        self.folder.point(number)
        return entry, Champion(number, learner, kept, after, max(entry.numbers))

    def _noted(self, entry: Entry) -> Entry:
        """Write a decision down, but for one that says what the last one said."""
        entries = self.folder.journal.entries()
        if not entries or replace(entries[-1], at=entry.at) != replace(entry, tries=[*entry.tries]):
            self.folder.journal.append(entry)
        return entry

    def _tried(self, waiting: Backlog) -> bool:
        """Return whether it has been decided already that what serves stays, with all that waits: nothing passed, or it had
        been learnt and was rolled back.
        """
        entries = self.folder.journal.entries()
        last = entries[-1] if entries else None
        if last is None or last.outcome not in (KEPT, ROLLED_BACK):
            return False
        made = [last] if last.outcome == KEPT else lineage(entries, last.parent)
        known = {v: c for e in made for v, c in e.versions.items()}
        if last.outcome == ROLLED_BACK:  # by hand: that events of it are forgotten since is no reason to learn it again
            return all(str(v) in known for v in waiting.contents)
        return all(known.get(str(v)) == c for v, c in waiting.contents.items())

    def _stays(self, entry: Entry, champion: Champion, batch: UpdateEvents) -> tuple[Entry, Champion]:
        """Note that what serves goes on serving, and how well it does on what has come."""
        return self._noted(replace(entry, quality=entry.quality or self.quality(champion, batch))), champion

    def quality(self, champion: Champion, batch: UpdateEvents) -> dict[str, float | None]:
        """Return recall@20 of what serves by the events of each version, as they came."""
        slices = [Slice(events, champion.learner.history.world(), segments=False) for events in batch.came.values()]
        measure = replace(champion.learner.measure, candidates="known")
        found = evaluate_all({"": self.folder.served(champion.learner)}, slices, measure)
        value = {v: f[""].per_user.get(METRIC) for v, f in zip(batch.came, found, strict=True)}
        return {str(v): float(x.mean()) if x is not None and len(x) else None for v, x in value.items()}

    def _facts(
        self, batch: UpdateEvents, quality: dict[str, float | None], waiting: Backlog, champion: Champion
    ) -> Known:
        past = [came for e in lineage(self.folder.journal.entries(), champion.number) for came in _came_of(e)]
        came = tuple(Came(v, len(x), _number(quality.get(str(v)))) for v, x in batch.came.items())
        events = Interactions.concat(list(batch.came.values()))
        log = list(champion.learner.counters.log)
        newest = max((float(x.time.max()) for x in log if len(x)), default=math.nan)
        age = float(events.time.max()) - newest
        return Known(
            tuple(past), came, age, drift_of(Interactions.concat(log[-3:]), events) if log else None, waiting.verdict
        )


def _came_of(entry: Entry) -> list[Came]:
    """Return what an update took up, version by version."""
    numbers = entry.numbers
    rows = entry.rows // len(numbers)
    return [
        Came(v, rows, _number(entry.quality.get(str(v))), entry.seconds if v == numbers[-1] else math.nan)
        for v in numbers
    ]


def _share(attempt: int, tries: int) -> float:
    """Return the share of the chance of a wrong yes that a try may have: half for the first, the rest for all others."""
    return 1.0 if tries == 1 else 0.5 if attempt == 0 else 0.5 / (tries - 1)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _copied(kept: Kept) -> Kept:
    return {name: x.clone() if isinstance(x, torch.Tensor) else x for name, x in kept.items()}


def _plain(check: Check) -> dict[str, object]:
    """Return a check as JSON holds it."""
    return {k: (None if isinstance(v, float) and not math.isfinite(v) else v) for k, v in asdict(check).items()}
