"""What is worth knowing about the data is said before anything is trained on them."""

from __future__ import annotations

from gnnrec.cli.main import main


def test_a_run_says_that_its_base_is_small_before_it_trains(tmp_path, capsys):
    log = ["user,item,time", *(f"u{n % 22},i{n % 7 + n % 5},{1_600_000_000 + 86_400 * n}" for n in range(59))]
    (tmp_path / "log.csv").write_text("\n".join(log))
    settings = ["fit.max_epochs=1", "fit.base.max_epochs=1", "stream.increments=2", "logger=none", "threads=1"]
    code = main(["run", "data=file", f"data.path={tmp_path / 'log.csv'}", f"output={tmp_path / 'out'}", *settings])
    lines = capsys.readouterr().err.splitlines()
    assert code == 0
    said = [k for k, line in enumerate(lines) if line.startswith("note: the base is small: ")]
    trained = [k for k, line in enumerate(lines) if ": increment " in line]
    assert len(said) == 1
    assert trained
    assert said[0] < trained[0]
