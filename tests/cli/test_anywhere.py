"""Commands work wherever they are called: any encoding, any folder name, plug-ins beside the caller."""

from __future__ import annotations

import os
import subprocess
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from test_cli import TINY, runs

from gnnrec.cli.main import main

ROOT = Path(__file__).parents[2]
PULL = """
from gnnrec.strategies.base import Strategy


class Own(Strategy):
    pass
"""


def called(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as the installed script does: without the current folder on the path."""
    code = "import sys; from gnnrec.cli.main import main; sys.exit(main())"
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_DISABLE_JIT": "1", **environment}
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments],
        cwd=cwd, env=variables, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Return where a comparison with a plug-in was called, on a terminal that knows ASCII alone, and how it went."""
    home = tmp_path_factory.mktemp("héme")
    (home / "my_package").mkdir()
    (home / "my_package" / "own.py").write_text(PULL)
    (home / "my_conf" / "strategy").mkdir(parents=True)
    (home / "my_conf" / "strategy" / "own.yaml").write_text("_target_: my_package.own.Own\nseed: ${seed}\n")
    own = [
        "--config-dir",
        "my_conf",
        "plugins.allow=[my_package.]",
        "strategies=[frozen,own]",
        "name=wörld",
        "output=out",
    ]
    return home, called("compare", *own, *TINY, cwd=home, PYTHONIOENCODING="ascii")


def test_a_plug_in_in_the_current_folder_is_found(made):
    home, done = made
    assert done.returncode == 0, done.stderr
    assert "own" in done.stdout
    assert runs(home / "out", "own")


def test_something_is_said_before_anything_slow(made):
    assert made[1].stderr.splitlines()[0] == "w?rld: 2 strategies, 1 seed"


def test_every_command_prints_where_only_ascii_can_be(made, monkeypatch):
    home, done = made
    assert done.stdout.isascii()
    assert "+-" in done.stdout
    monkeypatch.chdir(home)
    folder = str(runs(home / "out", "frozen")[0])
    for arguments in (["report", "out"], ["recommend", folder, "--all"], ["run", "--help"], ["data", "summary", *TINY]):
        allow = [] if arguments[0] in ("run", "data") else ["--allow", "my_package."]
        code, out, err = in_ascii(monkeypatch, *arguments, *allow)
        assert code == 0, err
        assert out
    code, _, err = in_ascii(monkeypatch, "run", "strategy=wörld")
    assert code == 2
    assert "there is no strategy=w?rld" in err


def in_ascii(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, str]:
    """Return a command's exit code and what it printed where only ASCII can be printed."""
    streams = [TextIOWrapper(BytesIO(), encoding="ascii") for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    code = main(list(arguments))
    said = []
    for stream in streams:
        stream.flush()
        said.append(stream.buffer.getvalue().decode("ascii"))
    return code, said[0], said[1]


def test_a_sweep_keeps_its_file_in_a_folder_of_any_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "a?b %20 c#d"
    tail = [a for a in TINY if not a.startswith("stream")]
    space = "sweep.space={init: [two_hop_mean, zero]}"
    call = ["sweep", *tail, "stream.increments=4", "sweep.trials=2", space, f"output='{name}'"]
    assert main(call) == 0
    assert [p.name for p in tmp_path.iterdir()] == [name]
    best = (tmp_path / name / "best-fine_tune.yaml").read_text()
    assert "override /init: " in best
