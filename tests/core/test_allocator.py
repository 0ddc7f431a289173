"""The process's memory: peaks of a stretch of code, and freed blocks given back."""

from __future__ import annotations

import ctypes
import mmap
import subprocess
import sys
from pathlib import Path

from gnnrec.core import allocator

MIB = 1 << 20
PIECES = """
import numpy as np
from gnnrec.core import allocator
def resident():
    allocator.reset_peak()
    return allocator.peak()
allocator.retain_large_blocks()
pieces, kept = [], []
for n in range(200):
    pieces.append(np.ones(1 << 16))  # half a MiB each
    kept.append(np.ones(16))  # lies between them, so that the heap cannot shrink from its end
before = resident()
pieces.clear()
allocator.give_back()
print(before - resident())
"""


def test_the_peak_is_that_of_the_stretch():
    if not allocator.reset_peak():  # a system that keeps no such peak must say so, and has no place to reset it
        assert not Path("/proc/self/clear_refs").exists()
        return
    before = allocator.peak()
    with mmap.mmap(-1, 64 * MIB) as block:  # pages of its own: the heap may hold some that another test gave back
        for _ in range(64):
            block.write(b"x" * MIB)
    assert 60 * MIB < allocator.peak() - before < 80 * MIB
    assert allocator.reset_peak()
    assert allocator.peak() < before + 30 * MIB


def test_freed_pieces_go_back_to_the_system():
    if not hasattr(ctypes.CDLL(None), "malloc_trim"):  # another allocator than glibc's must say that it cannot
        assert allocator.give_back() is False
        return
    done = subprocess.run([sys.executable, "-c", PIECES], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 80 * MIB
