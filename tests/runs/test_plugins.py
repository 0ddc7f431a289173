"""Code of others: its exceptions end one run, its edits make another run, its modules are found and nothing else is."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

import polars as pl
import pytest
from test_cli import TINY, refused, runs

from gnnrec.cli.main import compose, main
from gnnrec.config.sources import sources
from gnnrec.runs import build

SHOP = {
    "__init__.py": "from shop.names import NAME\n",
    "names.py": "NAME = 'shop'\n",
    "rates.py": "from .deep import factor\nRATE = factor.FACTOR\n",
    "deep/__init__.py": "",
    "deep/factor.py": "FACTOR = 1\n",
    "unused.py": "VALUE = 1\n",
    "strategies.py": """
import torch
from gnnrec.strategies.base import Strategy
from shop import rates

class Late(Strategy):
    def update(self, learner, new):
        if new.index == 2:
            raise KeyError("no such user\\nin two lines")
        super().update(learner, new)

class Never(Strategy):
    def __init__(self, seed=0):
        raise RuntimeError("no licence")

class Views(Strategy):
    def state_dict(self):
        table = torch.ones(4, 3)
        return {"top": table[:2], "all": table, "turned": table.T, "names": ["a"], "best": None}
    def load_state_dict(self, state):
        assert state["names"] == ["a"]

class Pair(Strategy):
    def state_dict(self):
        return {"pair": (1, 2)}

class Plain(Strategy):
    pass
""",
    "encoders.py": """
from gnnrec.encoders.lightgcn import LightGCN

class Broken(LightGCN):
    def rows(self, *given):
        raise IndexError("row 7")
""",
}
NAMES = ("late", "never", "views", "pair", "plain")


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Return the arguments that make a package of plug-ins known, and its folder."""
    package = tmp_path / "code" / "shop"
    for name, text in SHOP.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    for name in NAMES:
        own = tmp_path / "own" / "strategy" / f"{name}.yaml"
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text(f"_target_: shop.strategies.{name.capitalize()}\nseed: ${{seed}}\n")
    monkeypatch.syspath_prepend(str(package.parent))
    yield ["--config-dir", str(tmp_path / "own"), *TINY, "plugins.allow=[shop.]", f"output={tmp_path / 'out'}"], package
    for name in [n for n in sys.modules if n == "shop" or n.startswith("shop.")]:
        del sys.modules[name]


def test_an_exception_of_one_strategy_ends_its_run_and_no_other(shop, tmp_path, capsys):
    arguments, _ = shop
    assert main(["compare", *arguments, "strategies=[late,never,views,pair,stale]"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert "late, seed 0 failed: KeyError: 'no such user\\nin two lines'; see " in err
    assert "never, seed 0 failed: RuntimeError: no licence; see " in err
    assert "pair, seed 0 failed: a strategy's state holds 'pair', a tuple" in err
    rows = pl.read_parquet(tmp_path / "out" / "results.parquet").filter(pl.col("scorer") != "reference")
    assert set(rows["strategy"]) == {"views", "stale"}
    (late,) = (tmp_path / "out").glob("late-*")
    assert "line 9, in update" in (late / "traceback.txt").read_text()
    assert '"status": "failed"' in (late / "status.json").read_text()
    assert "no licence" in (tmp_path / "out" / "report.html").read_text()


def test_where_every_run_fails_the_error_is_one_line(shop, tmp_path, capsys):
    arguments, _ = shop
    broken = ["encoder._target_=shop.encoders.Broken", "strategies=[stale,frozen]"]
    assert main(["compare", *arguments, *broken]) == 2
    err = capsys.readouterr().err
    (line,) = [s for s in err.splitlines() if s.startswith("gnnrec: ")]
    assert "stale, seed 0 failed: IndexError: row 7; see " in line
    assert Path(line.rpartition("see ")[2]).is_file()
    assert "Traceback" not in err


def test_a_grid_goes_on_after_a_plug_in_s_exception(shop, tmp_path, capsys):
    arguments, _ = shop
    assert main(["run", "-m", *arguments, "strategy=late,stale"]) == 1
    assert "no such user" in capsys.readouterr().err
    assert len(runs(tmp_path / "out", "stale")) == 1


def test_a_run_by_edited_code_is_another_run(shop, tmp_path, capsys):
    arguments, package = shop
    call = ["compare", *arguments, "strategies=[plain,stale]"]
    assert main(call) == 0
    assert len(runs(tmp_path / "out", "plain")) == 1
    (package / "deep" / "factor.py").write_text("FACTOR = 2\n")
    assert main(call) == 0
    assert len(runs(tmp_path / "out", "plain")) == 2
    assert len(runs(tmp_path / "out", "stale")) == 1
    assert len(list((tmp_path / "out").glob("base-*"))) == 1
    (package / "unused.py").write_text("VALUE = 2\n")
    assert main(call) == 0
    assert len(runs(tmp_path / "out", "plain")) == 2


def test_the_code_of_a_base_s_parts_is_part_of_the_base(shop):
    arguments, package = shop
    config = compose([*arguments[2:], "encoder._target_=shop.encoders.Broken"])
    plain = compose(arguments[2:])
    _, stream = build.load(plain)
    digests = build.base_digest, build.run_digest
    before = [d(c, stream) for c in (config, plain) for d in digests]
    (package / "encoders.py").write_text(SHOP["encoders.py"] + "\n# edited\n")
    after = [d(c, stream) for c in (config, plain) for d in digests]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, True, True]


def test_another_version_or_protocol_is_another_run(monkeypatch):
    config = compose(TINY)
    _, stream = build.load(config)
    digests = build.base_digest, build.run_digest, build.reference_digest
    for name, value in (("__version__", "99"), ("PROTOCOL", 99)):
        before = [d(config, stream) for d in digests]
        with monkeypatch.context() as patch:
            patch.setattr(build, name, value)
            assert not set(before) & {d(config, stream) for d in digests}


def test_what_says_how_rows_are_measured_is_in_the_protocol_s_hash(monkeypatch):
    base = build.protocol_hash(compose(TINY))
    same, other = (
        build.protocol_hash(compose([*TINY, more])) for more in ("evaluation.block=7", "evaluation.topk=[20]")
    )
    assert base == same != other
    monkeypatch.setattr(build, "PROTOCOL", 99)
    assert build.protocol_hash(compose(TINY)) != base


def test_the_modules_of_a_plug_in_s_package_are_found(shop):
    found = sources([{"_target_": "shop.strategies.Plain", "inner": {"_target_": "gnnrec.x.Y"}}], ["shop."])
    assert set(found) == {"shop", "shop.names", "shop.strategies", "shop.rates", "shop.deep", "shop.deep.factor"}


def test_modules_beside_a_file_of_its_own_are_found(tmp_path, monkeypatch):
    (tmp_path / "alone_plugin.py").write_text("import beside_plugin, json\nclass A: pass\n")
    (tmp_path / "beside_plugin.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert set(sources({"_target_": "alone_plugin.A"}, ["alone_plugin."])) == {"alone_plugin", "beside_plugin"}


@pytest.mark.parametrize("text", ["def broken(:", "raise RuntimeError('at import')"])
def test_code_that_does_not_run_is_no_matter_here(tmp_path, monkeypatch, text):
    for name in ("__init__.py", "inner.py"):
        (tmp_path / "torn_plugin" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "torn_plugin" / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    assert set(sources({"_target_": "torn_plugin.inner.A"}, ["torn_plugin."])) <= {"torn_plugin", "torn_plugin.inner"}


def test_nothing_is_imported_that_is_not_allowed(shop):
    assert sources({"_target_": "shop.strategies.Plain"}, ["other."]) == {}
    assert sources({"_target_": "shop.strategies.Plain"}, []) == {}
    assert "shop" not in sys.modules


def test_runs_of_another_protocol_do_not_share_a_table(tmp_path, monkeypatch, capsys):
    both = [tmp_path / "then", tmp_path / "now"]
    assert main(["run", *TINY, "strategy=stale", f"output={both[1]}"]) == 0
    monkeypatch.setattr(build, "PROTOCOL", 1)
    assert main(["run", *TINY, "strategy=stale", f"output={both[0]}"]) == 0
    monkeypatch.undo()
    assert "measured differently: by protocol" in refused(capsys, "report", *map(str, both))
    assert main(["report", str(both[0])]) == 0
    assert "reference rows would not compare, left out" in capsys.readouterr().err
    rows = pl.read_parquet(both[0] / "results.parquet", glob=False)
    assert set(rows["scorer"]) == {"model", "blend"}


def test_finished_runs_of_an_older_version_stay_readable(tmp_path, capsys):
    assert main(["run", *TINY, "strategy=stale", f"output={tmp_path}"]) == 0
    (folder,) = runs(tmp_path, "stale")
    shutil.rmtree(folder / "state")
    (folder / "status.json").write_text((folder / "status.json").read_text().replace('"protocol"', '"other"'))
    assert main(["report", str(tmp_path)]) == 0
    assert "measured by protocol of an older version" in capsys.readouterr().err
