"""Names that stand for ids in tables: a keyed hash, as a plain one could be undone by hashing every possible id."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from gnnrec.core.errors import GnnrecError
from gnnrec.core.files import check_private

LENGTH = 16
"""Hexadecimal digits of a pseudonym: among a million ids two share one with a chance of 3 in 100 million."""
LEAST = 16
"""Least bytes of a key."""


def key_at(path: Path) -> bytes:
    """Return the key in a file that its owner alone may read; a new one where there is no file.

    Raises:
        GnnrecError: others may read it, it is too short, or it cannot be read or made.
    """
    path = path.expanduser()
    try:
        if not path.exists():
            _make(path)
        check_private(path, f"privacy.key={path}")
        key = path.read_bytes().strip()
    except OSError as error:
        raise GnnrecError(
            f"privacy.key={path} cannot be used: {error.strerror}; name a file, or a place for one"
        ) from error
    if len(key) < LEAST:
        raise GnnrecError(f"privacy.key={path} holds {len(key)} bytes; a key has {LEAST} or more")
    return key


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_hex(32) + "\n")


def pseudonyms(ids: Iterable[str], key: bytes) -> list[str]:
    """Return HMAC-SHA256 of each id under the key, its first 16 hexadecimal digits."""
    return [hmac.new(key, name.encode(), hashlib.sha256).hexdigest()[:LENGTH] for name in ids]
