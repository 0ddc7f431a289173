"""Scripts of records, run on a world that takes seconds."""

from __future__ import annotations

import sys

TINY = [
    *("data.users=60", "data.items=40", "data.events=900", "stream.increments=3", "encoder.width=4"),
    *("fit.max_epochs=1", "fit.base.max_epochs=1", "threads=1", "logger=none"),
]


def ran(monkeypatch, script, *arguments):
    """Return what a script's `main` returns for these arguments."""
    monkeypatch.setattr(sys, "argv", [f"scripts/{script.__name__}.py", *map(str, arguments)])
    return script.main()
