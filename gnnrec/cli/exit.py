"""How a command ends: with its exit code and at most one line, whatever ended it."""

from __future__ import annotations

import codecs
import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import TextIOWrapper
from typing import TextIO

from gnnrec.core import resources, signals
from gnnrec.core.errors import GnnrecError, one_line

GO_ON = {
    "run": "resume=true goes on from the newest state",
    "compare": "resume=true goes on from the newest state; finished runs are kept",
    "sweep": "the same command goes on; finished trials and runs are kept, and with resume=true a run's newest state",
    "update": "what served serves; the same command goes on with what waits",
    "rollback": "what served serves, or what was asked for; the same command decides",
    "data ingest": "the store has the old version or the new one; the same command reads what is missing",
    "data forget": "the same command completes an erasure that was begun",
}
"""What to do after an interruption."""
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
"""A disk that takes no more: nothing is wrong with what was asked."""
_PLAIN = {
    **{"±": "+-", "×": "x", "≥": ">=", "≤": "<=", "−": "-", "–": "-", "—": "-", "→": "->", "…": "...", "·": "."},
    **{
        "‘": "'",
        "’": "'",
        "“": '"',
        "”": '"',
        "•": "*",
        "Δ": "d",
        "\u202f": ",",
        "\u00a0": " ",
        "²": "^2",
        "√": "sqrt",
    },
}
"""How a character is written where the encoding does not have it."""


def guarded(command: Callable[[list[str]], int], arguments: list[str]) -> int:
    """Run a command and return its exit code: its own, 2 for bad input and want of memory or files, 128 + a signal's number."""
    _print_anywhere()
    try:
        with signals.watched():
            try:
                return command(arguments)
            except BaseException as error:
                return _ended(error, arguments)
    except (signals.Interrupted, OSError) as error:  # came as it was ending; or there was no file left to begin with
        return _ended(error, arguments)


def _ended(error: BaseException, arguments: Sequence[str]) -> int:
    """Say what ended a command and return its exit code; what nobody foresaw goes on up with its traceback."""
    what = _name(arguments)
    if (number := signals.received(error)) is not None:
        _say(_interrupted(what, error, number))
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                _let_go(stream)
        return 128 + number
    if isinstance(error, BrokenPipeError):
        _let_go(sys.stdout)
        return 0
    line = resources.explained(what, error) or (str(error) if isinstance(error, GnnrecError | OSError) else None)
    if isinstance(error, OSError) and error.errno in DISK and what in GO_ON:
        line = f"{error}; once the disk takes files again: {GO_ON[what]}"
    if line is None or os.environ.get("GNNREC_DEBUG"):
        raise error
    _say(line)
    return 2


def _print_anywhere() -> None:
    """Let text reach a terminal or a pipe that cannot write every character: what it cannot is written in others."""
    codecs.register_error("gnnrec", _plainly)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="gnnrec")


def _plainly(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(_PLAIN.get(c, "?") for c in error.object[error.start : error.end]), error.end


def _name(arguments: Sequence[str]) -> str:
    return " ".join(arguments[: 2 if arguments[:1] == ["data"] else 1]) or "gnnrec"


def _interrupted(what: str, error: BaseException, number: signal.Signals) -> str:
    where = "".join(f" in {note}" for note in getattr(error, "__notes__", ()))
    return f"{what} was interrupted by {number.name}{where}; {GO_ON.get(what, 'nothing is lost: run it again')}"


def _let_go(stream: TextIO) -> None:
    """Have what is still to be written to nobody go nowhere; as Python ends, it would be an error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _say(line: str) -> None:
    """Print a line to stderr, if there still is one: a closed terminal takes none."""
    with suppress(OSError, ValueError):
        print(f"gnnrec: {one_line(line)}", file=sys.stderr, flush=True)
