"""Mean ranks and critical distances, against a published example."""

from __future__ import annotations

import polars as pl
import pytest

from gnnrec.core.errors import GnnrecError
from gnnrec.reporting.ranks import draw, ranks

# Demšar (JMLR 2006), table 6: AUC of C4.5 without and with pruning or cross-validated m on 14 data sets.
DEMSAR = {
    "c45": [0.763, 0.599, 0.954, 0.628, 0.882, 0.936, 0.661, 0.583, 0.775, 1.000, 0.940, 0.619, 0.972, 0.957],
    "c45+m": [0.768, 0.591, 0.971, 0.661, 0.888, 0.931, 0.668, 0.583, 0.838, 1.000, 0.962, 0.666, 0.981, 0.978],
    "c45+cf": [0.771, 0.590, 0.968, 0.654, 0.886, 0.916, 0.609, 0.563, 0.866, 1.000, 0.965, 0.614, 0.9751, 0.946],
    "c45+m+cf": [0.798, 0.569, 0.967, 0.657, 0.898, 0.931, 0.685, 0.625, 0.875, 1.000, 0.962, 0.669, 0.975, 0.970],
}


def frame(values):
    rows = [(f"d{b}", name, v) for name, column in values.items() for b, v in enumerate(column)]
    return pl.DataFrame(rows, schema=["block", "strategy", "value"], orient="row")


def test_the_published_example():
    found = ranks(frame(DEMSAR))
    assert dict(zip(found.names, found.mean, strict=True)) == pytest.approx(
        {"c45": 3.143, "c45+m": 2.000, "c45+cf": 2.893, "c45+m+cf": 1.964}, abs=1e-3
    )
    assert found.distance == pytest.approx(1.25, abs=5e-3)
    assert found.names[0] == "c45+m+cf"
    assert found.p < 0.05


def test_runs_of_rows_that_are_not_shown_to_differ():
    found = ranks(frame({n: [float(v)] * 40 for n, v in zip("abcde", (5, 4, 4, 2, 1), strict=True)}))
    assert found.mean == (1.0, 2.5, 2.5, 4.0, 5.0)
    assert 0.9 < found.distance < 1.0
    assert found.cliques == [(1, 2)]
    assert len(ranks(frame({"a": [1.0], "b": [2.0]})).cliques) == 1


def test_a_row_that_lacks_a_block_is_refused():
    with pytest.raises(GnnrecError, match="every one of them once in every block"):
        ranks(frame({"a": [1.0, 2.0], "b": [1.0]}))


def test_the_figure_is_written(tmp_path):
    draw(ranks(frame(DEMSAR)), path := tmp_path / "ranks.png")
    assert path.read_bytes()[:4] == b"\x89PNG"
