"""The model of a step over machines is its formulas."""

from __future__ import annotations

from pathlib import Path

import pytest
import scale


def test_one_machine_of_one_is_the_same_whatever_is_split():
    job = scale.Job(1e6, 1e7, 64, 3, 2048, 1024, 1, 1e-10, 1e9, 32.0)
    (_, held, took, _, _), *others = scale.rows(job)
    for _, other_held, other_took, _, wait in others:
        assert (other_held, other_took, wait) == (held, took, 0.0)


def test_columns_share_tables_and_work_and_not_the_graph():
    job = scale.Job(1e6, 1e7, 64, 3, 2048, 1024, 4, 1e-10, 1e9, 32.0)
    one, copied, spread = scale.rows(job)
    assert copied[1] == one[1]
    assert copied[3] == 1e6 * 64 * 4
    assert spread[2] == pytest.approx(one[2] / 4)
    assert spread[1] == pytest.approx(1e7 * 32 + 7 * 1e6 * 64 * 4 / 4)
    assert spread[3] == 2048 * 1025 * 4
    assert one[2] == pytest.approx(6 * 2e7 * 64 * 1e-10)


def test_the_page_shows_what_the_script_prints(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["scale.py"])
    scale.main()
    page = (Path(scale.__file__).parents[1] / "docs" / "scale.md").read_text()
    for line in capsys.readouterr().out.splitlines():
        if line.startswith("|"):
            assert line in page
