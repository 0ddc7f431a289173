"""SIGTERM, SIGINT and SIGHUP: the first ends a command in order, one more ends it at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
TOGETHER = 0.2
"""Seconds within which two count as one: `timeout` and a closing terminal signal the process and then its group."""


class Interrupted(BaseException):
    """A signal has come; no `Exception`, for what goes on after a failure must not go on after this."""


_received: signal.Signals | None = None


def received(error: BaseException | None = None) -> signal.Signals | None:
    """Return the signal that ends this command, whatever became of its exception in foreign code; None: none has come."""
    return signal.SIGINT if _received is None and isinstance(error, KeyboardInterrupt) else _received


def check() -> None:
    """Raise `Interrupted` again where foreign code has swallowed it."""
    if _received is not None:
        raise Interrupted(_received.name)


@contextmanager
def watched() -> Iterator[None]:
    """Raise `Interrupted` in the block at the first signal; those ignored from the start, as under `nohup`, stay ignored."""
    global _received
    _received = None
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    ours = [s for s in SIGNALS if signal.getsignal(s) not in (signal.SIG_IGN, None)]
    threading.Thread(target=_await_second, args=(reader, ours), daemon=True).start()
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    before = {s: signal.signal(s, _raise) for s in ours}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        os.close(writer)


def _raise(number: int, _: FrameType | None) -> None:
    """Raise at the first signal only, so that what is cleaned up afterwards is not disturbed."""
    global _received
    if _received is None:
        _received = signal.Signals(number)
        raise Interrupted(_received.name)


def _await_second(reader: int, ours: Collection[int]) -> None:
    """End the process at the second signal, from a thread: the main one may be deep in a product and see none."""
    first: float | None = None
    while byte := os.read(reader, 1):
        now = time.monotonic()
        if byte[0] not in ours:
            continue
        if first is not None and now - first >= TOGETHER:
            os._exit(128 + byte[0])
        first = now if first is None else first
    os.close(reader)
