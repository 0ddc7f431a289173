"""Sweeps through worker processes, of which a fifth fail, hang or are killed, under a driver that is killed too."""

from __future__ import annotations

import csv
import os
import signal

import pytest
from support.unlucky import fate
from test_cli import TINY, refused

FAILS = {"fails": "ZeroDivisionError: of an unlucky run", "hangs": "launcher.timeout=", "is killed": "killed 2 times"}


def call(tmp_path, numbers, timeout):
    """Return the arguments of a sweep of these numbers, on the processes of this machine."""
    own = tmp_path / "own" / "strategy"
    own.mkdir(parents=True, exist_ok=True)
    (own / "unlucky.yaml").write_text(f"_target_: support.unlucky.Unlucky\nnumber: 0\nfolder: {tmp_path}\n")
    asked = ["sweep.sampler=grid", f"sweep.space={{strategy.number: {numbers}}}", f"output={tmp_path / 'out'}"]
    place = ["launcher=processes", "launcher.workers=2", f"launcher.timeout={timeout}"]
    world = [*(a for a in TINY if not a.startswith("stream")), "stream.increments=4", "plugins.allow=[support.]"]
    return ["sweep", "--config-dir", tmp_path / "own", *world, "strategy=unlucky", *asked, *place]


def table(tmp_path):
    """Return the table of points, by number; none before it is there."""
    path = tmp_path / "out" / "sweep-unlucky.csv"
    if not path.exists():
        return {}
    return {int(row["strategy.number"]): row for row in csv.DictReader(path.read_text().splitlines())}


def ended(tmp_path):
    return sum(row["state"] in ("complete", "failed") for row in table(tmp_path).values())


def survives(forks, tmp_path, numbers, timeout, kills):
    """Sweep, killing the driver whenever so many more points have ended, and check what the summary says of each."""
    argv, words = call(tmp_path, numbers, timeout), tmp_path / "words"
    for at in kills:
        pid = forks.once(forks.start(words, argv), lambda at=at: ended(tmp_path) >= at, 600)
        os.kill(pid, signal.SIGKILL)
        assert forks.wait(pid) == -signal.SIGKILL
    code, said = forks.run(words, argv)
    assert code == 0, said
    found = table(tmp_path)
    assert sorted(found) == sorted(numbers)
    assert [row["trial"] for row in found.values()] == [str(n) for n in range(1, len(numbers) + 1)]
    assert found[0]["trial"] == "1", "the configured one, whatever was killed meanwhile"
    for number, row in found.items():
        why = FAILS.get(fate(number))
        assert row["state"] == ("complete" if why is None else "failed"), (number, row)
        assert row["why"].startswith(why or ""), (number, row)
    failed = sum(fate(n) in FAILS for n in numbers)
    out = (words / "out").read_text()
    assert f"{len(numbers)} trials: {len(numbers) - failed} complete, {failed} failed" in out
    assert not any("Traceback" in line for line in said)
    assert (tmp_path / "out" / "sweep-unlucky.html").is_file()
    assert len(list((tmp_path / "out").glob("sweep-unlucky/points/*/increment-2.json"))) == len(numbers) - failed


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_sweep_whose_runs_fail_hang_and_are_killed_ends_in_one_complete_summary(forks, tmp_path):
    survives(forks, tmp_path, [0, 1, 2, 3, 8, 18, 20, 21], timeout=45, kills=[2])


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_sweep_of_fifty_under_a_driver_that_is_killed_five_times_ends_in_one_complete_summary(forks, tmp_path):
    survives(forks, tmp_path, list(range(50)), timeout=60, kills=[3, 10, 18, 27, 40])


def test_a_sweep_that_is_to_be_left_is_refused(tmp_path, capsys):
    typed = [*map(str, call(tmp_path, [0, 1], 9)), "launcher.wait=false"]
    assert "launcher.wait=false leaves runs to themselves, but a sweep chooses" in refused(capsys, *typed)
