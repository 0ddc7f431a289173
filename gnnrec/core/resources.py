"""What a machine runs out of, memory and files open at once: recognised, and said in one line."""

from __future__ import annotations

import errno
import os
import re
import resource
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from gnnrec.core import allocator
from gnnrec.core.errors import GnnrecError

LOWER = "lower fit.batch_size, evaluation.block, encoder.width or threads, or give it more memory"
FEWER = "give fewer or smaller files at once, or give it more memory"
FILES = 64
"""Files a command may have open at once beside those it inherits: a run needs half of them."""
_MEMORY = re.compile(
    r"not enough memory|(?:can't|cannot) allocate memory|out of memory|bad_alloc|can't (?:start new|spawn worker) thread",
    re.I,
)
_FILES = re.compile(r"too many open files", re.I)
_AMOUNT = re.compile(r"\d[\d.,]* (?:bytes|[KMGTPE]i?B)")


class MemoryShortError(GnnrecError):
    """Memory did not suffice."""


@contextmanager
def told(what: str) -> Iterator[None]:
    """Let a want of memory in the block be one line that names `what`, and let go of what the block held.

    Raises:
        MemoryShortError: memory did not suffice.
    """
    try:
        yield
    except BaseException as error:  # a panic of polars is no Exception
        if isinstance(error, GnnrecError) or not of_memory(error):
            raise
        line = _memory(what, error, LOWER)
        for held in _chain(error):
            traceback.clear_frames(held.__traceback__)
        allocator.give_back()
        raise MemoryShortError(line) from None


def explained(what: str, error: BaseException) -> str | None:
    """Return the line for an error that has come out of a command for want of memory or files; None: it is another."""
    if of_files(error):
        said = f"{error}; " if isinstance(error, GnnrecError) else ""
        return f"{said}{_too_few()}"
    if not isinstance(error, GnnrecError) and of_memory(error):
        return _memory(what, error, FEWER if what.startswith("data") else LOWER)
    return None


def of_files(error: BaseException) -> bool:
    """Return whether an error, or one that it came from, means that no more files may be open."""
    numbers = (errno.EMFILE, errno.ENFILE)
    return any(getattr(e, "errno", None) in numbers or _FILES.search(str(e)) for e in _chain(error))


def of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory did not suffice, on the processor or beside it."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or bool(_MEMORY.search(str(error)))


def check_files() -> None:
    """Open and close as many files as a command may need.

    Raises:
        GnnrecError: the process may not open so many.
    """
    opened: list[int] = []
    try:
        while len(opened) < FILES:
            opened.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        raise GnnrecError(f"{_too_few()}; nothing was changed") from None
    finally:
        for handle in opened:
            os.close(handle)


def _too_few() -> str:
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return f"too many open files: this process may have {allowed} at once; allow it more (`ulimit -n 1024`) and run it again"


def _memory(what: str, error: BaseException, advice: str) -> str:
    amount = _AMOUNT.search(str(error))
    asked = f" ({amount.group()} more were asked for)" if amount else ""
    return f"{what}: memory did not suffice{asked}; {advice}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came from."""
    found: BaseException | None = error
    for _ in range(20):  # a chain may be a ring
        if found is None:
            return
        yield found
        found = found.__cause__ or found.__context__
