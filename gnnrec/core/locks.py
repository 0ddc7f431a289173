"""Locks that end with the process that holds them, and a refusal of file systems that lack what they stand on."""

from __future__ import annotations

import errno
import os
import secrets
import socket
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, SoftFileLock

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.core.files import write_atomic

LOCK = ".lock"
"""In a folder that is locked."""
_MISSING = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_ELSEWHERE = "choose a folder on a local disk"


def take(path: Path, timeout: float = 0) -> AbstractContextManager[object]:
    """Return the lock at `path`, held.

    Args:
        path: of its file; the folder must exist.
        timeout: seconds to wait for another holder; −1: for ever.

    Raises:
        filelock.Timeout: another process holds it.
        GnnrecError: the file system has no such locks.
    """
    lock = FileLock(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # of the soft lock that is refused below
            held = lock.acquire(timeout=timeout)
    except (NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _MISSING:
            raise
        raise _without("locks", path.parent, error) from None
    if isinstance(lock, SoftFileLock):  # a mere file, which outlives a kill
        lock.release()
        raise _without("locks", path.parent, OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)))
    return held


def sign(path: Path) -> None:
    """Write beside a lock that is held which process holds it, so that whoever is refused can name it."""
    with suppress(OSError):  # what is locked is locked without it
        write_atomic(_signature(path), f"{os.getpid()} on {socket.gethostname()}\n")


def holder(path: Path) -> str:
    """Return which process holds a lock, as far as it has said so."""
    try:
        return f"another process ({one_line(_signature(path).read_text()[:200])})"
    except (OSError, ValueError):
        return "another process"


def held(path: Path) -> str | None:
    """Return which process holds a lock, as far as can be told: one of another machine may have died unseen."""
    try:
        who = one_line(_signature(path).read_text()[:200])
        pid, _, host = who.partition(" on ")
        return who if host != socket.gethostname() or _lives(int(pid)) else None
    except (OSError, ValueError):
        return None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _signature(path: Path) -> Path:
    return path.with_name(f"{path.name}.holder")


def check_renames(folder: Path) -> None:
    """Rename a file in `folder`, as whatever is written whole or not at all will be.

    Raises:
        GnnrecError: the file system cannot.
    """
    with _trial("renames", folder) as (one, other):
        one.replace(other)


def check_links(folder: Path) -> None:
    """Link a file in `folder`, as Delta Lake does to commit.

    Raises:
        GnnrecError: the file system cannot.
    """
    with _trial("hard links", folder) as (one, other):
        other.hardlink_to(one)


@contextmanager
def _trial(what: str, folder: Path) -> Iterator[tuple[Path, Path]]:
    """Yield a file and a name beside it, which go whatever happens."""
    one, other = (folder / f".{secrets.token_hex(8)}.tmp" for _ in range(2))
    try:
        one.touch()
        yield one, other
    except OSError as error:
        if error.errno not in (*_MISSING, errno.EPERM, errno.EXDEV, errno.EMLINK):
            raise
        raise _without(what, folder, error) from None
    finally:
        one.unlink(missing_ok=True)
        other.unlink(missing_ok=True)


def _without(what: str, folder: Path, error: Exception) -> GnnrecError:
    why = getattr(error, "strerror", None) or "not implemented"
    return GnnrecError(
        f"{folder} lies on a file system without {what} ({why}), so nothing can be kept safe there; {_ELSEWHERE}"
    )
