"""Every command and every block of Python on docs/interop.md runs, in the order of the page."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from support.stores import grown

from gnnrec.cli.main import main

PAGE = (Path(__file__).parents[2] / "docs" / "interop.md").read_text()


@pytest.fixture
def place(tmp_path, monkeypatch):
    pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    lines = [f"u{rng.integers(40)},i{rng.integers(30)},{1 + n % 5},{1_600_000_000 + 3600 * n}" for n in range(900)]
    (tmp_path / "log.csv").write_text("user,item,rating,time\n" + "\n".join(lines) + "\n")
    grown(tmp_path).path.rename(tmp_path / "shop")
    monkeypatch.chdir(tmp_path)
    small = ["strategies=[frozen]", "logger=none", "figures=false", "fit.base.max_epochs=1", "encoder.width=4"]
    assert main(["compare", "data=file", "data.path=log.csv", *small, "seeds=[0]", "output=runs/mine"]) == 0


def test_the_page_runs_from_top_to_bottom(place, capsys):
    names: dict[str, object] = {}
    ran = 0
    for language, block in re.findall(r"```(\w+)\n(.*?)```", PAGE, flags=re.DOTALL):
        if language == "python":
            exec(block, names)
            ran += 1
        for line in block.splitlines() if language == "bash" else ():
            assert line.startswith("gnnrec "), line
            assert main(shlex.split(line, comments=True)[1:]) == 0, line
            ran += 1
    assert ran >= 18
    assert names["frame"].shape[0] > 0
    assert names["data"]["user"].num_nodes > 0
