"""Memory of the process: its peak over a stretch of code, and how the allocator treats large blocks."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

MOST = 32 << 20
"""Older versions of glibc take no larger threshold."""
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def reset_peak() -> bool:
    """Start a new stretch; False where the system keeps one peak for the whole process only."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return True


def peak() -> float | None:
    """Return the peak resident bytes since `reset_peak`, None where the system does not tell."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text())
    except OSError:
        return None
    return float(found.group(1)) * 1024 if found else None


def give_back() -> bool:
    """Return freed blocks to the system; False where the allocator cannot.

    Glibc keeps what lies between blocks in use, so that columns gathered from thousands of pieces would be held twice.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return False
    return bool(trim(0) == 1)


def retain_large_blocks(limit: int = 64 << 20) -> bool:
    """Let glibc serve blocks up to `limit` bytes (or `MOST`) from its heap and keep them when freed; False on other systems.

    By default it maps every table-sized temporary anew and the kernel clears its pages each time: measured, that is
    half the time of a training step on a graph of 80,000 edges. Called by the command line; call it yourself in a notebook.
    """
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    kept = any(mallopt(mmap_threshold, size) == 1 for size in (limit, min(limit, MOST)))
    others = [mallopt(name, value) == 1 for name, value in ((trim_threshold, 8 * limit), (top_pad, limit))]
    return kept and all(others)
