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
FOLDER = "GNNREC_RANKS"
"""In the environment of ranks: the folder that they write to, but for the first."""
LEAVE = 30.0
"""Seconds that a rank may take to end in order."""


def begin(arguments: Sequence[str], processes: int) -> int:
    """Run `gnnrec ARGUMENTS` as so many ranks and return its exit code: rank 0's, or that of another that failed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shared = {"WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    begun: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="gnnrec-ranks-") as name:
        folder = Path(name)
        env = {"OMP_NUM_THREADS": str(max(cores // processes, 1)), **os.environ, FOLDER: name}
        try:
            for rank in range(processes):
                own = {k: str(v) for k, v in {**shared, "RANK": rank, "LOCAL_RANK": rank}.items()}
                begun.append(_one(arguments, {**env, **own}, _said(folder, rank) if rank else None))
            return _ended(begun, folder)
        except signals.Interrupted as interrupted:
            _stop(begun)  # rank 0 says what was interrupted and how it goes on
            return 128 + (signals.received(interrupted) or 0)
        finally:
            _stop(begun)


def _one(arguments: Sequence[str], env: dict[str, str], said: Path | None) -> subprocess.Popen[bytes]:
    """Begin a rank; what one beside the first says goes into a file, with GNNREC_DEBUG set to the terminal."""
    command = [sys.executable, "-m", "gnnrec", *arguments]
    if said is None or env.get("GNNREC_DEBUG"):
        return subprocess.Popen(command, env=env)
    with said.open("wb") as file:
        return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=file)


def _said(folder: Path, rank: int) -> Path:
    return folder / f"rank{rank}.txt"


def _ended(begun: Sequence[subprocess.Popen[bytes]], folder: Path) -> int:
    """Wait until all have ended, or one has failed and the others have had time to; return the exit code."""
    latest = float("inf")
    while any(rank.poll() is None for rank in begun) and time.monotonic() < latest:
        if latest == float("inf") and any(rank.returncode for rank in begun):
            latest = time.monotonic() + GRACE
        time.sleep(0.1)
    lost = next((n for n, rank in enumerate(begun) if rank.returncode), None)
    if lost and (begun[0].returncode is None or begun[0].returncode == 0):
        print(f"gnnrec: rank {lost} ended with {begun[lost].returncode}{_last(_said(folder, lost))}", file=sys.stderr)
    codes = (rank.returncode for rank in begun if rank.returncode)
    return next((code if code > 0 else 128 - code for code in codes), 0)


def _last(said: Path) -> str:
    """Return the last line that a rank has said, behind a colon."""
    lines = said.read_text(encoding="utf-8", errors="replace").split("\n") if said.is_file() else []
    return next((f": {line.removeprefix('gnnrec: ')}" for line in reversed(lines) if line.strip()), "")


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
    """Return a folder for a rank other than 0, with what is in `output` now; whoever began the ranks removes it."""
    folder = Path(tempfile.mkdtemp(prefix=f"gnnrec-rank{ranks.number()}-", dir=os.environ.get(FOLDER)))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if output.is_dir():
        shutil.copytree(output, folder / "output", ignore=shutil.ignore_patterns("*.lock"))
    return folder / "output"
