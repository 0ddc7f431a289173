"""The same command once for each rank of `trainer=dimension_parallel`: what rank 0 says and writes is what there is.

The other ranks do the same on the same data, in folders of their own that are thrown away.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gnnrec.core import ranks, signals

GRACE = 10.0
"""Seconds that the others may take to end by themselves once one has failed: mostly all fail alike, and rank 0 says why."""
LEAVE = 30.0
"""Seconds that a rank may take to end in order."""


def begin(arguments: Sequence[str], processes: int) -> int:
    """Run `gnnrec ARGUMENTS` as so many ranks and return its exit code: rank 0's, or that of another that failed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    begun: list[subprocess.Popen[bytes]] = []
    try:
        for rank in range(processes):
            own = {k: str(v) for k, v in {**shared, "RANK": rank, "LOCAL_RANK": rank}.items()}
            said = None if rank == 0 else subprocess.DEVNULL
            command = [sys.executable, "-m", "gnnrec", *arguments]
            begun.append(subprocess.Popen(command, env={**os.environ, **own}, stdin=said, stdout=said, stderr=said))
        return _ended(begun)
    except signals.Interrupted as interrupted:
        _stop(begun)  # rank 0 says what was interrupted and how it goes on
        return 128 + (signals.received(interrupted) or 0)
    finally:
        _stop(begun)


def _ended(begun: Sequence[subprocess.Popen[bytes]]) -> int:
    """Wait until all have ended, or one has failed and the others have had time to."""
    latest = float("inf")
    while any(rank.poll() is None for rank in begun) and time.monotonic() < latest:
        if latest == float("inf") and any(rank.returncode for rank in begun):
            latest = time.monotonic() + GRACE
        time.sleep(0.1)
    lost = next((n for n, rank in enumerate(begun) if rank.returncode), None)
    if lost and begun[0].returncode is None:
        code = begun[lost].returncode
        print(
            f"gnnrec: rank {lost} ended with {code}, and the others with it; rank 0 keeps its states", file=sys.stderr
        )
    return next((abs(rank.returncode) for rank in begun if rank.returncode), 0)


def _stop(begun: Sequence[subprocess.Popen[bytes]]) -> None:
    """End in order, then at once, what has not ended."""
    for rank in begun:
        if rank.poll() is None:
            rank.terminate()
    for rank in begun:
        with suppress(subprocess.TimeoutExpired):
            rank.wait(LEAVE)
        if rank.poll() is None:
            rank.kill()
            rank.wait()


def scratch(output: Path) -> Path:
    """Return a folder for a rank other than 0, with what is in `output` now; it goes when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix=f"gnnrec-rank{ranks.number()}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if output.is_dir():
        shutil.copytree(output, folder / "output", ignore=shutil.ignore_patterns("*.lock"))
    return folder / "output"
