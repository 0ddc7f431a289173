"""Tasks beside each other: bases first, killed ones again, all stopped in order where the command is."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gnnrec.core import resources, signals
from gnnrec.core.errors import GnnrecError
from gnnrec.launching.base import Attempt, Place
from gnnrec.launching.tasks import POINT, RUN, Task, failure_of, note_failure

POLL = 0.1
"""Seconds between two looks at the tasks."""
ASLEEP = 5.0
"""Seconds between two looks of which more do not count as time of a try: the machine slept, and its processes with it."""
GRACE = 60.0
"""Seconds that a task which was asked to end may take for it."""


@dataclass(slots=True)
class Try:
    """A try at a task: how long it has been at it, and how much of what it wrote has been passed on."""

    attempt: Attempt
    task: Task
    read: int
    seconds: float = 0.0
    seen: float = field(default_factory=time.monotonic)
    late: bool = False

    def tick(self) -> None:
        """Count the time since the last look."""
        now = time.monotonic()
        self.seconds, self.seen = self.seconds + min(now - self.seen, ASLEEP), now

    def pass_on(self, say: Callable[[str], None]) -> None:
        """Say the whole lines that have come since the last time, each with the name of its task."""
        if not self.task.log.is_file():
            return
        with self.task.log.open("rb") as file:
            file.seek(self.read)
            whole, mark, _ = file.read().rpartition(b"\n")
        self.read += len(whole) + len(mark)
        for line in whole.decode(errors="replace").splitlines():
            if line.strip():
                say(line if line.startswith(self.task.name) else f"{self.task.name}: {line}")


class Supervisor:
    """Works tasks off.

    Args:
        tasks: in the order in which they are begun, a base before what waits for it.
        place: where they are worked on.
        say: takes lines of progress.
    """

    def __init__(self, tasks: Sequence[Task], place: Place, say: Callable[[str], None]) -> None:
        self.place, self.limits, self.say = place, place.limits, say
        self.waiting = [task for task in tasks if not task.made]
        self.running: list[Try] = []
        self.settled: list[Task] = []
        self.tries: Counter[Path] = Counter()
        self.runs, self.ended = sum(task.kind == RUN for task in self.waiting), 0

    def run(self) -> None:
        """Return once every task is made, or has failed and says why.

        Raises:
            GnnrecError: what ended one would end all others.
            OSError: the same, of a disk.
        """
        try:
            while self.waiting or self.running:
                self.turn()
        except BaseException as error:
            self.stop(error)
            raise
        finally:
            self.place.release()

    def add(self, task: Task) -> None:
        """Take up one more task; one that is made is settled."""
        (self.settled if task.made else self.waiting).append(task)

    def turn(self) -> None:
        """Begin what there is room for and look once at what runs; what has ended meanwhile is appended to `settled`."""
        self._begin()
        time.sleep(POLL)
        signals.check()
        for one in list(self.running):
            self._look(one)

    def _begin(self) -> None:
        """Begin what there is room for and whose base is there."""
        for task in list(self.waiting):
            if len(self.running) >= self.limits.workers:
                return
            if not self._awaits_base(task):
                self.waiting.remove(task)
                task.failure.unlink(missing_ok=True)
                begun, self.tries[task.file] = self.tries[task.file], self.tries[task.file] + 1
                read = task.log.stat().st_size if task.log.is_file() else 0
                self.running.append(Try(self.place.begin(task, resume=begun > 0), task, read))

    def _awaits_base(self, task: Task) -> bool:
        """Return whether the base of a task is still to come: neither made nor given up."""
        found = [*self.waiting, *(one.task for one in self.running)] if task.after else []
        return any(other.folder == task.after and not other.made for other in found)

    def _look(self, one: Try) -> None:
        one.tick()
        ended = one.attempt.ended()  # asked first: what it wrote before that is passed on whole
        one.pass_on(self.say)
        if ended:
            self.running.remove(one)
            self._settle(one)
        elif self.limits.timeout is not None and one.seconds > self.limits.timeout and not one.late:
            one.late = True
            one.attempt.stop()
        elif one.late and one.seconds > (self.limits.timeout or 0) + GRACE:
            one.attempt.kill()

    def _settle(self, one: Try) -> None:
        """Say how a try has ended, and have the task taken up again where its process was killed."""
        task = one.task
        if task.made:
            self._count(task, "done")
        elif one.late:
            more = "" if task.kind == POINT else "; resume=true goes on from its newest state"
            self._give_up(task, f"launcher.timeout={self.limits.timeout:g} s is over{more}")
        elif (failure := failure_of(task)) is not None:
            if failure.get("ends"):
                raise ending(failure)
            self._give_up(task, str(failure["error"]))
        elif self.tries[task.file] <= self.limits.retries:
            self.say(f"{task.name}: killed; taken up again from its newest state")
            self.waiting.insert(0, task)
        else:
            times = f"{n} times" if (n := self.tries[task.file]) > 1 else "once"
            self._give_up(
                task, f"killed {times}, perhaps for want of memory ({resources.LOWER}); its words: {task.log}"
            )

    def _give_up(self, task: Task, reason: str) -> None:
        """Note why a task has failed, and with it what waits for it."""
        if failure_of(task) is None:
            note_failure(task, reason)
        self._count(task, "failed")
        for later in [t for t in self.waiting if t.after == task.folder]:
            self.waiting.remove(later)
            note_failure(later, reason)
            self._count(later, "failed with its base")

    def _count(self, task: Task, how: str) -> None:
        self.settled.append(task)
        if task.kind == POINT:  # whoever asked for it says what it came to
            return
        self.ended += task.kind == RUN
        counted = f"; {self.ended} of {self.runs} runs" if task.kind == RUN else ""
        self.say(f"{task.name}: {how}{counted}")

    def stop(self, error: BaseException) -> None:
        """End all tries in order, and those that do not heed it at once."""
        for one in self.running:
            one.attempt.stop()
        end = time.monotonic() + GRACE
        while any(not one.attempt.ended() for one in self.running) and time.monotonic() < end:
            time.sleep(POLL)
        for one in self.running:
            if not one.attempt.ended():
                one.attempt.kill()
        with suppress(OSError, ValueError):  # a closed terminal takes no more words
            for one in self.running:
                one.pass_on(self.say)
        if names := [one.task.name for one in self.running]:
            error.add_note(names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more")


def ending(failure: Mapping[str, Any]) -> Exception:
    """Return what has ended a task and would end all others: a full disk, mostly."""
    number = failure.get("errno")
    return OSError(number, os.strerror(number), failure.get("file")) if number else GnnrecError(str(failure["error"]))
