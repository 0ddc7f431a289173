"""Files of the data tests; real logs where $GNNREC_DATA points at them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write a file and return its path."""

    def _write(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return _write


@pytest.fixture(scope="session")
def real_root() -> Path:
    """The folder of real logs."""
    root = os.environ.get("GNNREC_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("GNNREC_DATA does not point at a folder of real logs")
    return Path(root)
