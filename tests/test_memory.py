"""The process's memory: peaks of a stretch of code, and freed blocks given back."""

from __future__ import annotations

import mmap
import subprocess
import sys

import pytest

from gnnrec import memory

MIB = 1 << 20
PIECES = """
import numpy as np
from gnnrec import memory
def resident():
    memory.reset_peak()
    return memory.peak()
memory.retain_large_blocks()
pieces, kept = [], []
for n in range(200):
    pieces.append(np.ones(1 << 16))  # half a MiB each
    kept.append(np.ones(16))  # lies between them, so that the heap cannot shrink from its end
before = resident()
pieces.clear()
memory.give_back()
print(before - resident())
"""


def test_the_peak_is_that_of_the_stretch():
    if not memory.reset_peak() or memory.peak() is None:
        pytest.skip("this system does not tell the peak of a process")
    before = memory.peak()
    with mmap.mmap(-1, 64 * MIB) as block:  # pages of its own: the heap may hold some that another test gave back
        block.write(b"x" * MIB * 64)
    assert 60 * MIB < memory.peak() - before < 150 * MIB
    assert memory.reset_peak()
    assert memory.peak() < before + 30 * MIB


def test_freed_pieces_go_back_to_the_system():
    if not memory.give_back() and not sys.platform.startswith("linux"):
        pytest.skip("this allocator gives nothing back")
    done = subprocess.run([sys.executable, "-c", PIECES], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 80 * MIB
