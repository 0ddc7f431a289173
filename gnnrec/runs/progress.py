"""Progress of runs: a bar with increment, epoch, loss and time left on a terminal, a line per increment elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from gnnrec.learner import Learner


class Bar:
    """Progress of one run.

    Args:
        title: row and seed.
        total: increments.
        quiet: print nothing.
    """

    def __init__(self, title: str, total: int, quiet: bool) -> None:
        self.title, self.total, self.quiet = title, total, quiet
        self.begin, self.done, self.last = time.monotonic(), 0, ""
        live = sys.stderr.isatty() and not quiet
        self.bar = tqdm(total=total, desc=title, unit="increment", leave=True) if live else None

    def epoch(self, epoch: int, loss: float, valid: float | None) -> None:
        """Show an epoch's mean loss and valid metric."""
        self.last = f"epoch {epoch}, loss {loss:.4f}" + ("" if valid is None else f", valid {valid:.4f}")
        if self.bar is not None:
            self.bar.set_postfix_str(self.last)

    def increment(self, t: int) -> None:
        """Count an increment as done."""
        self.done += 1
        if self.bar is not None:
            self.bar.update()
        elif not self.quiet:
            spent = time.monotonic() - self.begin
            left = spent / self.done * (self.total - self.done)
            rest = f"; {self.last}" if self.last else ""
            print(f"{self.title}: increment {t}, {spent:.0f} s, about {left:.0f} s left{rest}", file=sys.stderr)

    def close(self) -> None:
        """Leave the line as it is."""
        if self.bar is not None:
            self.bar.close()


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
            print(text, file=sys.stderr)

    @contextmanager
    def job(self, row: str, seed: int, total: int, learner: Learner) -> Iterator[Bar]:
        """Show a run's progress while it lasts, fed by the learner's epochs."""
        bar = Bar(f"{row}, seed {seed}", total, self.quiet)
        learner.on_epoch = bar.epoch
        try:
            yield bar
        finally:
            learner.on_epoch = None
            bar.close()
