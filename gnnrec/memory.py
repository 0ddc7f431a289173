"""Peak resident memory of a stretch of code, where the system can tell."""

from __future__ import annotations

import re
from pathlib import Path

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
