"""The bundle that serves, and the watch on the pointer: a new one is read and probed beside it, then takes its place."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.serving import bundle
from gnnrec.serving.answers import Answers

log = logging.getLogger(__name__)
AGAIN = 5.0
"""Seconds until a bundle that could not be taken up is looked at again."""


class Holder:
    """Holds what serves.

    Args:
        folder: of bundles.

    Attributes:
        answers: of the bundle that serves; whoever reads it once has one bundle to the end of a request.
        swaps: how often another took its place.
        problem: why the bundle that the pointer names does not serve; "" where it does.

    Raises:
        GnnrecError: there is no bundle, or it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.swaps, self.problem = folder, 0, ""
        self._seen, self._again = self._stamp(), 0.0
        self.answers = loaded(folder)
        self._stop = threading.Event()

    def look(self) -> bool:
        """Take up what the pointer names where that has changed; return whether something else serves now."""
        stamp = self._stamp()
        if stamp == self._seen and not (self.problem and time.monotonic() > self._again):
            return False
        self._seen = stamp
        try:
            fresh = loaded(self.folder)
        except GnnrecError as error:
            self._again = time.monotonic() + AGAIN
            if (said := one_line(str(error))) != self.problem:
                self.problem = said
                log.warning("bundle %d goes on serving: %s", self.answers.bundle.number, said)
            return False
        self.problem = ""
        if fresh.bundle.manifest == self.answers.bundle.manifest:
            return False
        self.answers = fresh
        self.swaps += 1
        log.info("bundle %d serves", fresh.bundle.number)
        return True

    def watch(self, every: float = 0.02) -> threading.Thread:
        """Look so often, in seconds, until `close`."""

        def go_on() -> None:
            while not self._stop.wait(every):
                try:
                    self.look()
                except Exception as error:  # the watch does not end, whatever a bundle holds
                    self.problem, self._again = one_line(f"{type(error).__name__}: {error}"), time.monotonic() + AGAIN
                    log.warning("bundle %d goes on serving: %s", self.answers.bundle.number, self.problem)

        thread = threading.Thread(target=go_on, name="bundles", daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()

    def _stamp(self) -> tuple[int, int, int]:
        """Return what changes with the pointer."""
        try:
            found = (self.folder / bundle.POINTER).stat()
        except OSError:
            return (0, 0, 0)
        return found.st_mtime_ns, found.st_ino, found.st_size


def loaded(folder: Path) -> Answers:
    """Return the answers of the bundle that the pointer names, after a few have been asked for.

    Raises:
        GnnrecError: there is none, or it is damaged.
    """
    place = bundle.pointed(folder)
    if place is None:
        raise GnnrecError(f"{folder} holds no bundle; `gnnrec export RUN` makes one")
    try:
        answers = Answers(bundle.read(place))
        answers.probe()
    except GnnrecError:
        raise
    except (ArithmeticError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise GnnrecError(f"{place} gives no lists ({error}); `gnnrec export RUN` makes it anew") from None
    return answers
