"""Energy that the processors of this machine take, where its counters may be read (RAPL): of everything that runs on it."""

from __future__ import annotations

import threading
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
"""Where Linux has the counters; since 2020 most systems let only root read them."""
EVERY = 60.0
"""Seconds between two looks: a counter of 2^32 steps of 61 µJ is full after some twenty minutes at 200 W."""
COUNTED = ("package", "dram")
"""Domains that are added up: cores and uncore are parts of a package, psys has everything again."""


class Meter:
    """Counts joules from now on, of every processor package and its memory.

    Args:
        folder: where the counters are.
    """

    def __init__(self, folder: Path = POWERCAP) -> None:
        self._counters = _counters(folder)
        self._last = {path: _read(path) for path in self._counters}
        self._microjoules, self._ended, self._alone = 0, threading.Event(), threading.Lock()
        if None in self._last.values():
            self._counters = {}
        if self._counters:
            threading.Thread(target=self._watch, daemon=True).start()

    def joules(self) -> float | None:
        """Return what was taken since the beginning, and count no longer; None where it cannot be read."""
        self._ended.set()
        self.look()
        return self._microjoules / 1e6 if self._counters else None

    def look(self) -> None:
        """Add what was taken since the last look; a counter that is lower by now went past its end once."""
        with self._alone:
            for path, end in self._counters.items():
                now, before = _read(path), self._last[path]
                if now is None or before is None:
                    self._counters = {}
                    return
                self._microjoules += now - before + (end + 1 if now < before else 0)
                self._last[path] = now

    def _watch(self) -> None:
        while not self._ended.wait(EVERY):
            self.look()


def _counters(folder: Path) -> dict[Path, int]:
    """Return file of a counter → its largest value, each domain once."""
    found: dict[Path, int] = {}
    for zone in sorted(folder.glob("intel-rapl:*")):
        try:
            name, end = (zone / "name").read_text().strip(), int((zone / "max_energy_range_uj").read_text())
        except (OSError, ValueError):
            continue
        if name.startswith(COUNTED):
            found[zone / "energy_uj"] = end
    return found


def _read(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
