"""Two comparisons set against each other, row by row."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from gnnrec.cli.main import main
from gnnrec.core.errors import GnnrecError
from gnnrec.reporting.against import against

TINY = ["data=simulated", "data.users=60", "data.items=40", "data.events=900", "stream.increments=2", "logger=none"]
TINY += ["figures=false", "threads=1", "fit.base.max_epochs=1", "fit.max_epochs=1", "encoder.width=8"]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return two comparisons that differ in a strategy's setting and in one row."""
    root = tmp_path_factory.mktemp("pair")
    rows = (("new", "[frozen,fine_tune]", "fit.lr=0.02"), ("old", "[frozen,replay,fine_tune]", "fit.lr=0.01"))
    for name, strategies, rate in rows:
        assert main(["compare", *TINY, f"strategies={strategies}", rate, f"output={root / name}"]) == 0
    return root / "new", root / "old"


def test_rows_of_one_name_are_set_against_each_other(pair: tuple[Path, Path]) -> None:
    found = against(*pair, resamples=300)
    here, there = (pl.read_csv(folder / "summary.csv") for folder in pair)
    names = set(here.select("strategy", "scorer").iter_rows()) & set(there.select("strategy", "scorer").iter_rows())
    assert set(found.frame.select("strategy", "scorer").iter_rows()) == names
    ranked = found.frame.drop_nulls("difference")
    assert ranked.height >= 6
    expected = ranked["recall@20_all"] - ranked["recall@20_all of the other"]
    assert ranked["difference"].to_list() == pytest.approx(expected.to_list(), abs=1e-6)
    popular = ranked.filter(pl.col("strategy") == "popularity").row(0, named=True)
    assert (popular["difference"], popular["low"], popular["high"]) == (0, 0, 0)
    assert "rows are of one of them alone" in found.notes[0]


def test_a_comparison_does_not_differ_from_itself(pair: tuple[Path, Path]) -> None:
    frame = against(pair[1], pair[1], resamples=100).frame.drop_nulls("difference")
    assert set(frame["difference"]) == {0.0}
    assert frame.filter(pl.col("strategy") == "replay").height == 2


def test_the_command_prints_and_writes_it(pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    new, old = map(str, pair)
    capsys.readouterr()
    assert main(["report", new, "--against", old, "--latex"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split("  ")[0] == "strategy"
    assert {p.suffix for p in (pair[0] / "tables").glob("against-old.*")} == {".csv", ".md", ".tex"}


def test_what_does_not_compare_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    new, old = pair
    with pytest.raises(GnnrecError, match="holds no comparison"):
        against(new, tmp_path)
    for key, value, said in (
        ("fingerprint", "f" * 64, "different data or streams"),
        ("protocol", "another", "measured differently"),
    ):
        shutil.copytree(old, copy := tmp_path / key)
        record = json.loads((copy / "run.json").read_text())
        (copy / "run.json").write_text(json.dumps({**record, key: value}))
        with pytest.raises(GnnrecError, match=said):
            against(new, copy)
    (tmp_path / "protocol" / "run.json").write_text('{"protocol": "p"}')
    with pytest.raises(GnnrecError, match="does not say which data"):
        against(new, tmp_path / "protocol")
