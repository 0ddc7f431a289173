"""Crash-safe files: a reader finds the old content or the new, never something between."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from gnnrec.core.errors import GnnrecError

SUMS = "SHA256SUMS"
"""Name of the file of checksums in a folder written by `write_folder`."""


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


def check_private(path: Path, said: str) -> None:
    """Refuse a file with a secret that others may read.

    Args:
        path: of the file.
        said: how it was asked for.

    Raises:
        GnnrecError: names the command that mends it.
    """
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise GnnrecError(f"{said} can be read by others; chmod 600 {path}")


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


def write_folder(target: Path, contents: Mapping[str, bytes], known: Mapping[str, str] | None = None) -> None:
    """Write files and their checksums as a folder that is there whole or not at all, in the place of one that was there.

    A kill may leave a folder ``.NAME.….tmp`` beside it, which `remove_strays` removes.

    Args:
        target: the folder.
        contents: its files, by name.
        known: SHA-256 of some of them, where it has been computed already.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    temporary.mkdir()
    digests = {name: (known or {}).get(name) or sha256(content) for name, content in contents.items()}
    sums = "".join(f"{digest}  {name}\n" for name, digest in digests.items())
    try:
        _write_all(temporary, {**contents, SUMS: sums.encode()})
        sync_folder(temporary)
    except BaseException:  # a full disk gets its room back
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    # A rename does not replace a folder that holds files; a kill in between leaves neither, never a mixture.
    if target.exists():
        shutil.rmtree(target)
    temporary.rename(target)
    sync_folder(target.parent)


def _write_all(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files, and wait until the disk has them: all at once, so that it waits for none before the next is there."""
    for name, content in contents.items():
        write_new(folder / name, content)
    for name in contents:
        sync_file(folder / name)


def read_folder(path: Path) -> dict[str, bytes]:
    """Return the files that `write_folder` wrote, by name.

    Raises:
        ValueError: one is not what was written.
        OSError: one is missing.
    """
    contents = {}
    for name, digest in sums_of(path).items():
        contents[name] = (path / name).read_bytes()
        if sha256(contents[name]) != digest:
            raise ValueError(f"checksum of {path.name}/{name} differs")
    return contents


def sums_of(path: Path) -> dict[str, str]:
    """Return the SHA-256 that each file of a folder had when `write_folder` wrote it, by name.

    Raises:
        ValueError: what holds them is damaged.
        OSError: it is missing.
    """
    lines = (path / SUMS).read_text().splitlines()
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


def remove_strays(folder: Path) -> None:
    """Remove what killed processes left half written in `folder`."""
    for stray in folder.glob(".*.tmp"):
        shutil.rmtree(stray, ignore_errors=True)


def write_durable(path: Path, content: bytes | str) -> None:
    """Write `content` to a new file and wait until the disk has it."""
    write_new(path, content)
    sync_file(path)


def write_new(path: Path, content: bytes | str) -> None:
    """Write `content` to a new file; the disk may not have it yet."""
    with naming(path), path.open("xb") as file:
        file.write(content.encode() if isinstance(content, str) else content)


def append_durable(path: Path, content: bytes) -> None:
    """Append `content` to a file, and wait until the disk has it; where it does not take it, the file is as it was.

    Raises:
        OSError: names the file.
    """
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    before = os.fstat(handle).st_size
    try:
        with naming(path):
            rest = memoryview(content)
            while rest:  # a disk that fills takes a part, and only then says no
                rest = rest[os.write(handle, rest) :]
            os.fsync(handle)
    except BaseException:
        with suppress(OSError):
            os.ftruncate(handle, before)
        raise
    finally:
        os.close(handle)
    sync_folder(path.parent)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have an error of the disk say which file it was about; a write that fails knows no name."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def sync_file(path: Path) -> None:
    """Wait until the disk has the content of a file that has been written."""
    sync_folder(path)


def sync_folder(path: Path) -> None:
    """Wait until the disk has the folder's names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with naming(path):
            os.fsync(handle)
    finally:
        os.close(handle)


def sha256(content: bytes) -> str:
    """Return the hex digest of `content`."""
    return hashlib.sha256(content).hexdigest()
