"""kill −9 at random moments: the run goes on and ends with the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gnnrec.testing.worlds import VARYING, newest

TESTS = Path(__file__).resolve().parents[1]


def exact(x):
    """Return the bytes of a tensor, a number or text as it is."""
    return x.numpy().tobytes() if hasattr(x, "numpy") else x


def ends(folder):
    return newest(Path(folder) / "base"), newest(Path(folder) / "run")


@pytest.mark.parametrize(("kills", "seed"), [(8, 0), pytest.param(100, 1, marks=pytest.mark.slow)])
def test_a_run_killed_at_random_moments_ends_with_the_same_bytes(tmp_path, kills, seed):
    command = [sys.executable, str(TESTS / "support" / "lives.py"), str(tmp_path), str(kills), str(seed)]
    path = os.pathsep.join([str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
    lived = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert lived.returncode == 0, lived.stderr[-3000:]
    told = json.loads(lived.stdout.splitlines()[-1])
    assert len(told["hits"]) == kills
    assert len(set(told["hits"])) >= 4, "the kills hit too few different moments to prove anything"
    expected = ends(told["whole"])
    assert expected[1].index == 12
    for torn in told["torn"]:
        for whole, found in zip(expected, ends(torn), strict=True):
            assert_same(whole, found)


def assert_same(whole, found):
    assert whole.meta == found.meta
    for a, b in ((whole.weights, found.weights), (whole.strategy, found.strategy)):
        assert set(a) == set(b)
        assert [n for n in a if exact(a[n]) != exact(b[n])] == []
    for name, table in whole.tables.items():
        keep = ~pl.col("metric").is_in(VARYING) if name == "results" else pl.lit(True)
        assert table.height
        assert_frame_equal(table.filter(keep), found.tables[name].filter(keep), check_exact=True)
