"""The journal of a live run: a line per decision, appended and on disk before anything follows from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.core.files import append_durable, write_atomic

FORMAT = 1
NAME = "decisions.jsonl"
ACCEPTED, KEPT, WAITS, BLOCKED, ROLLED_BACK = "accepted", "kept", "waits", "blocked", "rolled back"
"""Outcomes: a challenger serves; none passed; the policy waits; the data are not fit; an older champion serves again."""
FORGOT = "forgot"
"""Events were erased: what had learnt them is gone, and what came since is decided on anew."""
SCORED = "scored"
"""A line behind a decision, and none of its own: how well what served before did on what has come."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One decision: which data, which model, and why.

    Attributes:
        outcome: one of the above.
        champion: number of what serves from then on; 0 is the run's own newest state.
        parent: number of what served before.
        versions: of the store, that were decided on, and what their rows hash to.
        rows: events in them.
        reason: in words.
        policy: what the policy said.
        quality: recall@20 of what was served, by what came, by version; empty until an accepted model's bundle serves.
        tries: what was tried, each with the gate's checks.
        tried: the try that passed; "" where none did.
        seconds: of the tries together.
        model, graph: SHA-256 of the champion's weights and of its edges; "" where there is no new one.
        at: when, UTC.
        code: version of gnnrec.
        run: fingerprint of the data of the run that it all goes on from.
        replay: of a forgetting, the newest version of each round that is played again.
    """

    outcome: str
    champion: int
    parent: int
    versions: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0
    reason: str = ""
    policy: str = ""
    quality: Mapping[str, float | None] = field(default_factory=dict)
    tries: Sequence[Mapping[str, Any]] = ()
    tried: str = ""
    seconds: float = 0.0
    model: str = ""
    graph: str = ""
    at: str = ""
    code: str = ""
    format: int = FORMAT
    run: str = ""
    replay: Sequence[int] = field(default_factory=list)

    @property
    def numbers(self) -> list[int]:
        """The versions, ascending."""
        return sorted(map(int, self.versions))

    @property
    def unscored(self) -> bool:
        """Whether a line about how well what served before did is yet to come."""
        return self.outcome == ACCEPTED and bool(self.versions) and not self.quality


class Journal:
    """The decisions of one live run.

    Args:
        folder: of the live run.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._known: list[Entry] = []
        self._last, self._upto, self._lines = b"", 0, 0

    def entries(self) -> list[Entry]:
        """Return all decisions, oldest first; a last line that a kill has torn is no decision.

        Raises:
            GnnrecError: another line is no decision, or of another version of gnnrec.
        """
        for line in self._new_lines():
            _add(self._known, self._read(self._lines + 1, line))
            self._last, self._upto, self._lines = line + b"\n", self._upto + len(line) + 1, self._lines + 1
        return list(self._known)

    def readable(self) -> tuple[list[Entry], str]:
        """Return the decisions that can be read, and what is wrong with the first that cannot; "" where all can."""
        found: list[Entry] = []
        wrong = ""
        lines = self.path.read_bytes().split(b"\n")[:-1] if self.path.is_file() else []
        for number, line in enumerate(lines, 1):
            try:
                _add(found, self._read(number, line))
            except GnnrecError as error:
                wrong = wrong or str(error)
        return found, wrong

    def append(self, entry: Entry) -> None:
        """Write a decision, and wait until the disk has it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._mend()
        line = json.dumps(asdict(entry), allow_nan=False, sort_keys=True) + "\n"
        append_durable(self.path, line.encode())

    def _new_lines(self) -> list[bytes]:
        """Return the whole lines behind those that are known; all of them where the file is no longer the one that was read."""
        if not self.path.is_file():
            self._reset()
            return []
        with self.path.open("rb") as file:
            file.seek(self._upto - len(self._last))
            content = file.read()
            if not content.startswith(self._last):
                self._reset()
                file.seek(0)
                content = file.read()
        return content[len(self._last) :].split(b"\n")[:-1]

    def _reset(self) -> None:
        self._known, self._last, self._upto, self._lines = [], b"", 0, 0

    def _mend(self) -> None:
        """Take off what a kill has left of a line."""
        content = self.path.read_bytes() if self.path.is_file() else b""
        if content and not content.endswith(b"\n"):
            write_atomic(self.path, content[: content.rfind(b"\n") + 1])

    def _read(self, number: int, line: bytes) -> Entry:
        try:
            found = json.loads(line)
            if (version := found["format"]) == FORMAT:
                return Entry(**found)
        except (ValueError, KeyError, TypeError) as error:
            raise GnnrecError(
                f"{self.path}, line {number} is no decision ({one_line(str(error))}); restore the file from a copy, or remove "
                f"{self.path.parent} to begin again from the run"
            ) from None
        raise GnnrecError(
            f"{self.path} was written by another version of gnnrec (format {version}, this one has {FORMAT}); go on with "
            "that one"
        )


def _add(entries: list[Entry], new: Entry) -> None:
    """Add a decision, or to the decision that made a champion how well the one before it did."""
    if new.outcome != SCORED:
        entries.append(new)
        return
    at = next((k for k in reversed(range(len(entries))) if _made(entries[k], new.champion)), None)
    if at is not None:  # a journal that has lost that line is found out by what its champions name
        entries[at] = replace(entries[at], quality=new.quality)


def _made(entry: Entry, champion: int) -> bool:
    return entry.outcome == ACCEPTED and entry.champion == champion


def now() -> str:
    """Return the time as it stands in a decision."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def lineage(entries: Sequence[Entry], champion: int) -> list[Entry]:
    """Return the decisions that made a champion, oldest first; none for 0.

    Raises:
        GnnrecError: there is no such champion.
    """
    made = {e.champion: e for e in entries if e.outcome == ACCEPTED}
    chain: list[Entry] = []
    while champion:
        if champion not in made:
            raise GnnrecError(f"no decision made a champion {champion}; `gnnrec status` lists them")
        chain.append(made[champion])
        champion = chain[-1].parent
    return chain[::-1]


def standing(entries: Sequence[Entry]) -> list[Entry]:
    """Return the rounds that what serves has come through: those that a return to an older champion took back are left out."""
    found: list[Entry] = []
    for n, entry in enumerate(entries):
        if entry.outcome not in (ROLLED_BACK, FORGOT):
            found.append(entry)
            continue
        at = [k for k, e in enumerate(found) if e.outcome == ACCEPTED and e.champion == entry.champion]
        found = found[: at[0] + 1] if at else lineage(entries[:n], entry.champion)
    return found
