"""Crash-safe files: a reader finds the old content or the new, never something between."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write `content` to `path`: temporary file in the same folder, fsync, rename, fsync of the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        write_durable(temporary, content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_hashed(folder: Path, suffix: str, pieces: Iterable[bytes]) -> str | None:
    """Write the pieces to a file named by their SHA-256, whole or not at all, and return the digest; None: there are none."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{secrets.token_hex(8)}.tmp"
    try:
        digest, written = hashlib.sha256(), 0
        with temporary.open("xb") as file:
            for piece in pieces:
                digest.update(piece)
                written += file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        if not written:
            return None
        temporary.replace(folder / f"{digest.hexdigest()}{suffix}")
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(folder)
    return digest.hexdigest()


def write_durable(path: Path, content: bytes | str) -> None:
    """Write `content` to a new file and wait until the disk has it."""
    with path.open("xb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())


def sync_file(path: Path) -> None:
    """Wait until the disk has the content of a file that somebody else wrote."""
    sync_folder(path)


def sync_folder(path: Path) -> None:
    """Wait until the disk has the folder's names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(content: bytes) -> str:
    """Return the hex digest of `content`."""
    return hashlib.sha256(content).hexdigest()
