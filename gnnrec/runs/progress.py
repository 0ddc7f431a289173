"""Progress of runs: a bar with increment, epoch, loss and time left on a terminal, lines elsewhere, one every 30 s at least."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from gnnrec.learner import Learner

EVERY = 30.0
"""Seconds without a line after which one is printed."""


class Bar:
    """Progress of one run.

    Args:
        title: row and seed.
        last: number of the last increment, 0 where only the base is fitted.
        epochs: returns the most epochs of the fit in progress.
        quiet: print nothing.
    """

    def __init__(self, title: str, last: int, epochs: Callable[[], int], quiet: bool) -> None:
        self.title, self.last, self.epochs, self.quiet = title, last, epochs, quiet
        self.begin = self.since = self.printed = time.monotonic()
        self.t, self.done, self.fitted, self.text = 0, 0, 0, ""
        live = sys.stderr.isatty() and not quiet
        self.bar = tqdm(total=max(last, 1), desc=title, unit="increment", leave=True) if live else None
        self._ended = threading.Event()
        if not live and not quiet:
            threading.Thread(target=self._beat, daemon=True).start()

    def epoch(self, epoch: int, loss: float, valid: float | None) -> None:
        """Show an epoch's mean loss and valid metric."""
        score = "" if valid is None else f", valid {valid:.4f}"
        self.fitted, self.text = epoch, f"epoch {epoch} of at most {self.epochs()}, loss {loss:.4f}{score}"
        if self.bar is not None:
            self.bar.set_postfix_str(self.text)

    def go_on(self, t: int) -> None:
        """Count the increments up to `t` as done earlier."""
        self.t = t
        if self.bar is not None:
            self.bar.update(t)

    def increment(self, t: int, waits: bool = False) -> None:
        """Count an increment as done; one that waits is trained on with a later one, and has no epochs of its own."""
        now = time.monotonic()
        self.t, self.done, self.since, self.fitted = t, self.done + 1, now, 0
        self.text = "waits" if waits else self.text
        if self.bar is not None:
            self.bar.set_postfix_str(self.text, refresh=False)
            self.bar.update()
        else:
            left = (now - self.begin) / self.done * (self.last - t)
            self._print(f"increment {t}, {now - self.begin:.0f} s, about {left:.0f} s left", now)
        self.text = ""  # of the next increment nothing is known yet

    def close(self) -> None:
        """Leave the line as it is."""
        self._ended.set()
        if self.bar is not None:
            self.bar.close()

    def _beat(self) -> None:
        """Print a line whenever none has been printed for a while, however long an epoch takes."""
        while not self._ended.wait(max(0.01, self.printed + EVERY - time.monotonic())):
            if (now := time.monotonic()) - self.printed >= EVERY:
                at = f"at increment {self.t + 1} of {self.last}, " if self.last else ""
                self._print(f"{at}{now - self.begin:.0f} s{self._left(now)}", now)

    def _left(self, now: float) -> str:
        """Return how long it may still take: by the increments done, or by the epochs if none is."""
        later, spent = self.last - self.t - 1, now - self.since
        if self.done:
            mean = (self.since - self.begin) / self.done
            return f", about {max(mean - spent, 0.0) + mean * later:.0f} s left"
        if not self.fitted:
            return ""
        fit = spent / self.fitted * self.epochs()
        return f", at most about {max(fit - spent, 0.0) + fit * max(later, 0):.0f} s left"

    def _print(self, text: str, now: float) -> None:
        if self.quiet:
            return
        self.printed, rest = now, f"; {self.text}" if self.text else ""
        print(f"{self.title}: {text}{rest}", file=sys.stderr, flush=True)


class Progress:
    """Progress of a command.

    Args:
        quiet: print nothing.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet

    def say(self, text: str) -> None:
        """Print a line to stderr."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    @contextmanager
    def job(self, row: str, seed: int, last: int, learner: Learner) -> Iterator[Bar]:
        """Show a run's progress up to increment `last` while it lasts, fed by the learner's epochs."""
        bar = Bar(f"{row}, seed {seed}", last, lambda: learner.fits.planned, self.quiet)
        learner.on_epoch = bar.epoch
        try:
            yield bar
        finally:
            learner.on_epoch = None
            bar.close()
