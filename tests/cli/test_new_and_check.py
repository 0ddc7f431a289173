"""`gnnrec new` and `gnnrec check`, typed in an empty folder by who has the installed package and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_cli import TINY

from gnnrec.cli.main import main

ROOT = Path(__file__).parents[2]
GNNREC = [sys.executable, "-P", "-m", "gnnrec"]
"""-P: as the installed command, without the current folder on the path."""


FAULTY = '''"""Faulty."""

from gnnrec.encoders.mf import MF


class Faulty(MF):
    def rows(self, graph, users, items):
        return self(graph)._replace(user=self.user.weight * 2)
'''


def typed(folder, *words):
    known = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*map(str, words)], cwd=folder, env=known, capture_output=True, text=True, timeout=250)
    return done.returncode, done.stdout + done.stderr


def documented(folder):
    """Write the files of docs/strategies.md, word by word."""
    text = (ROOT / "docs" / "strategies.md").read_text()
    code, test = (b for b in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL) if "Tether" in b)
    (yaml,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    for name, content in (
        ("my_package/tether.py", code),
        ("my_conf/strategy/tether.yaml", yaml),
        ("test_tether.py", test),
    ):
        assert f"`{name}`" in text
        (folder / name).write_text(content)


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    """Return a folder in which a strategy and an encoder were made, and what was printed."""
    folder = tmp_path_factory.mktemp("plugins")
    made = [typed(folder, *GNNREC, "new", kind, name) for kind, name in (("strategy", "newest"), ("encoder", "near"))]
    assert [code for code, _ in made] == [0, 0]
    documented(folder)
    return folder, "".join(text for _, text in made)


def test_what_is_made_and_what_is_documented_pass_their_own_tests(plugins):
    folder, _ = plugins
    some = ["-k", "near or untouched or costs"]  # the whole is checked below
    files = ["test_newest.py", "test_near.py", "test_tether.py"]
    code, text = typed(folder, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *some, *files)
    assert code == 0, text
    assert "16 passed" in text


def test_an_option_with_a_name_of_gnnrec_s_is_refused_and_not_passed_over(tmp_path, capsys):
    (tmp_path / "strategy").mkdir()
    (tmp_path / "strategy" / "pull.yaml").write_text("_target_: my_package.pull.Pull\n")
    assert main(["run", "--config-dir", str(tmp_path), "strategy=fine_tune", "--cfg", "job"]) == 2
    assert "strategy/pull.yaml has the name of an option that comes with gnnrec" in capsys.readouterr().err


def test_check_prints_a_line_per_test_and_names_a_fault_with_its_reason(plugins):
    folder, told = plugins
    words = next(line for line in told.splitlines() if line.startswith("check it")).split("gnnrec ")[1].split()
    (folder / "own" / "parts").mkdir(parents=True)
    (folder / "own" / "parts" / "faulty.py").write_text(FAULTY)
    (folder / "my_conf" / "encoder" / "faulty.yaml").write_text("_target_: own.parts.faulty.Faulty\nwidth: 8\n")
    code, text = typed(folder, *GNNREC, *words, "my_conf/encoder/near.yaml", "my_conf/encoder/faulty.yaml")
    assert code == 1
    assert "passed   resumed run ends with the same bytes [2]\n" in text
    ends = re.findall(r"^my_conf/(\w+/\w+)\.yaml: \d+ passed(.*)$", text, flags=re.MULTILINE)
    assert ends == [("strategy/newest", ""), ("encoder/near", ""), ("encoder/faulty", ", 1 FAILED")]
    (fault,) = [line for line in text.splitlines() if line.startswith("FAILED")]
    assert fault.startswith("FAILED   rows are those of the whole: ")
    assert "allclose" in fault
    assert "Traceback" not in text


def test_what_is_made_and_what_is_documented_run_in_a_comparison(plugins, tmp_path):
    folder, told = plugins
    assert '"plugins.allow=[my_package.]"' in told
    own = [
        "--config-dir",
        "my_conf",
        "plugins.allow=[my_package.]",
        "strategies=[frozen,newest,tether]",
        "encoder=near",
    ]
    small = [t for t in TINY if not t.startswith(("encoder.layers", "output"))]
    code, text = typed(folder, *GNNREC, "compare", *small, *own, f"output={tmp_path}")
    assert code == 0, text
    assert "\nnewest " in text
    assert "\ntether " in text


def test_nothing_is_written_over(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "strategy", "mine"]) == 0
    (tmp_path / "my_package" / "mine.py").write_text("kept")
    assert main(["new", "strategy", "mine"]) == 2
    assert (tmp_path / "my_package" / "mine.py").read_text() == "kept"
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["new", "strategy", "Not-a-name"], "no name for a module"),
        (["new", "strategy", "class"], "no name for a module"),
        (["new", "strategy", "replay"], "already"),
        (["new", "objective", "x"], "strategy"),
        (["new", "strategy", "x", "--package", "a-b"], "cannot be imported"),
        (["check", "my_conf/strategy/none.yaml"], "does not exist"),
        (["check", "odd/thing/x.yaml"], "'thing' is no kind of plug-in; allowed: data, encoder"),
        (["check", "odd/strategy/x.yaml"], "has no _target_"),
        (["check", "odd/strategy/y.yaml"], "cannot be found: No module named 'nowhere'"),
        (["check"], "required: FILE"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(words, reason, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, text in (("thing/x", ""), ("strategy/x", "a: 1\n"), ("strategy/y", "_target_: nowhere.Y\n")):
        path = tmp_path / "odd" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert main(words) == 2
    err = capsys.readouterr().err
    assert reason in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "yaml", "code", "said"),
    [
        ("broken", b"_target_: my_rules.broken.X\n", "def x(:\n", "cannot be built: SyntaxError: "),
        (
            "raises",
            b"_target_: my_rules.raises.X\n",
            "1 / 0\n",
            "cannot be built: raises.py, line 1: ZeroDivisionError",
        ),
        ("binary", b"\xff\xfe", "", "binary.yaml; save it as UTF-8"),
    ],
)
def test_a_plug_in_that_cannot_be_imported_is_said_in_one_line(name, yaml, code, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    package, group = tmp_path / "my_rules", tmp_path / "my_conf" / "strategy"
    package.mkdir()
    group.mkdir(parents=True)
    (package / f"{name}.py").write_text(code)
    (group / f"{name}.yaml").write_bytes(yaml)
    assert main(["check", f"my_conf/strategy/{name}.yaml"]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_is_no_plug_in(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_conf").mkdir()
    assert main(["check", "my_conf"]) == 2
    assert "my_conf is a folder; name a file" in capsys.readouterr().err
