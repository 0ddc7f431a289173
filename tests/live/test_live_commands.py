"""`gnnrec update`, `status` and `rollback` as they are typed, by the README's own lines."""

from __future__ import annotations

import html
import json
import re
import shlex
from pathlib import Path

import pytest
from support.live_runs import TINY, grow, made
from support.stores import DAY, START, rows, write

from gnnrec.cli.main import main
from gnnrec.store.table import Store

ROOT = Path(__file__).parents[2]
FAST = [x for x in TINY if not x.startswith("stream=")]


def typed(text, heading):
    """Return the commands below a heading."""
    (block,) = re.findall(rf"{heading}\n\n```bash\n(.*?)```", text, flags=re.DOTALL)
    return [shlex.split(line)[1:] for line in block.splitlines()]


@pytest.mark.parametrize(("file", "heading"), [("README.md", "## Keep a live model up to date")])
def test_the_lines_of_the_readme_work_word_by_word(file, heading, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("first.csv", "second.csv", "tomorrow.csv")):
        write(Path(name), rows(400, number, START + number * DAY, users=40, items=30))
    for name in ("first.csv", "second.csv"):
        assert main(["data", "ingest", "shop", name]) == 0
    for command in typed((ROOT / file).read_text(), heading):
        assert main([*command, *FAST] if command[0] == "run" else command) == 0, command
    said = capsys.readouterr().out
    assert re.search(r"^(accepted|kept): champion [01], version 2, \d+ events$", said, flags=re.MULTILINE)
    assert "serves, of version" in said
    assert "Data of version 2: " in said
    (page,) = Path("runs/store").glob("*/live/status.html")
    assert "kept up to date" in page.read_text()


@pytest.fixture
def place(tmp_path):
    return made(tmp_path, versions=2)


def test_what_cannot_be_is_said_in_one_line(place, tmp_path, capsys):
    store, run = place

    def failed(*arguments):
        assert main([*map(str, arguments)]) == 2
        return capsys.readouterr().err

    assert "is no store" in failed("update", tmp_path / "nothing", run)
    assert "holds no run" in failed("update", store.path, tmp_path / "nothing")
    assert "'fit.lr=1' is not for `gnnrec update` to change" in failed("update", store.path, run, "fit.lr=1")
    assert "there is no policy=never" in failed("update", store.path, run, "policy=never")
    assert "live.tries=0" in failed("update", store.path, run, "live.tries=0")
    assert "live.judged_share=0.95" in failed("update", store.path, run, "live.judged_share=0.95")
    assert "has no champions" in failed("rollback", run, "--to", "1")
    (tmp_path / "other").mkdir()
    other = Store(tmp_path / "other" / "store")
    for number in (5, 6):
        grow(other, number, 400)
    assert "the data have changed" in failed("update", other.path, run)


def test_a_second_update_of_one_run_is_refused(place, capsys):
    from gnnrec.runs.folder import locked

    store, run = place
    with locked(run):
        assert main(["update", str(store.path), str(run)]) == 2
    assert "is in use by another process" in capsys.readouterr().err


def test_a_folder_is_followed(place, tmp_path, capsys):
    store, run = place
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for number in (2, 3):
        write(inbox / f"day{number}.csv", rows(200, number, START + number * DAY, users=40, items=60))
    follow = ["--follow", str(inbox), "--settle", "0.1", "--idle", "1", "policy=every_n", "policy.n=2"]
    assert main(["update", str(store.path), str(run), *follow]) == 0
    said = capsys.readouterr().out
    assert "version 3: read 200" in said
    lines = (run / "live" / "decisions.jsonl").read_text().splitlines()
    outcomes = [json.loads(x)["outcome"] for x in lines]
    assert outcomes[0] == "waits"
    assert outcomes[1] in ("accepted", "kept")
    assert json.loads(lines[1])["versions"].keys() == {"2", "3"}
    assert main(["status", str(run), "--price", "5"]) == 0
    said = capsys.readouterr().out
    (line,) = (x for x in said.splitlines() if x.startswith("Break-even"))
    assert line.startswith("Break-even at a price of 5: cannot be told, ")
    assert line in html.unescape((run / "live" / "status.html").read_text())
    assert main(["status", str(run)]) == 0
    assert "Break-even" not in capsys.readouterr().out
    assert main(["status", str(run), "--price", "0"]) == 2
    assert "--price 0 must be above 0" in capsys.readouterr().err


def test_policies_are_a_second_axis_of_a_comparison(tmp_path, capsys):
    given = [
        "compare",
        "experiment=simulated",
        "strategies=[fine_tune]",
        "seeds=[0]",
        f"output={tmp_path}",
        "figures=false",
    ]
    small = ["data.users=60", "data.items=40", "data.events=900", "stream.increments=4"]
    assert main([*given, *small, *FAST, "policies=[every,{every_n: {n: 2}},drift]"]) == 0
    said = capsys.readouterr().out
    assert {"fine_tune, every_n", "fine_tune, drift"} <= {line.split("   ")[0].strip() for line in said.splitlines()}
    page = (tmp_path / "report.html").read_text()
    assert "waiting pays above" in page
    assert "increments that an update takes up" not in page
    assert main(["report", str(tmp_path)]) == 0
    assert "increments that an update takes up" in (tmp_path / "report.html").read_text()
