"""The benchmark runs, on small sizes, and writes what it prints. What it measures is no test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "benchmark.py"


def lines(folder: Path, *options: str) -> list[dict[str, object]]:
    command = [sys.executable, str(SCRIPT), "--quick", "--json", str(folder / "b.json"), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1500, check=False)
    assert done.returncode == 0, done.stderr
    written = json.loads((folder / "b.json").read_text())
    found = [line for one in written.values() for line in one["lines"]]
    assert all(one["run"]["torch"] and one["run"]["threads"] for one in written.values())
    assert all(one["complete"] for one in written.values())
    for line in found:
        assert str(line["what"]) in done.stdout
    return found


def test_a_step_is_the_authors_step(tmp_path):
    """Equal losses and gradients are asked for whatever the sizes; times are not."""
    found = {str(line["what"]): line for line in lines(tmp_path, "--only", "step")}
    equal = [line for what, line in found.items() if "relative difference" in what]
    assert len(equal) == 3
    assert all(line["met"] for line in equal)


def test_a_part_that_is_run_again_leaves_the_others(tmp_path):
    (tmp_path / "b.json").write_text('{"step": {"run": {"torch": "0", "threads": "1"}, "complete": true, "lines": []}}')
    lines(tmp_path, "--only", "start")
    written = json.loads((tmp_path / "b.json").read_text())
    assert set(written) == {"step", "start"}
    assert written["step"]["run"]["torch"] == "0"


@pytest.mark.slow
def test_every_benchmark_runs(tmp_path):
    found = {line["benchmark"] for line in lines(tmp_path)}
    expected = {
        "step",
        "accelerator",
        "ranks",
        "ranking",
        "extend",
        "history",
        "reading",
        "start",
        "growth",
        "quality",
        "methods",
        "update",
        "anchors",
    }
    assert expected == found


def test_a_whole_comparison_is_timed_on_any_accelerator():
    """Where there is none, the CPU stands in for it: then both tables are the same."""
    sys.path.insert(0, str(SCRIPT.parent))
    from bench.accelerator import whole

    took, gap = whole("cpu", quick=True)
    assert took.value > 0
    assert gap.value == 0
    assert "4 rows" in gap.note


def test_the_interval_of_a_ratio_holds_it_and_is_a_point_where_nothing_varies():
    sys.path.insert(0, str(SCRIPT.parent))
    from bench.update import interval

    same = {(s, t): 2.0 for s in range(3) for t in range(1, 6)}
    assert interval(same, dict.fromkeys(same, 0.5)) == (4.0, 4.0)
    varied = {(s, t): 2.0 + s + t for s, t in same}
    low, high = interval(varied, same)
    assert low < sum(varied.values()) / sum(same.values()) < high
