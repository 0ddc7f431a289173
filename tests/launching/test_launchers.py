"""Launchers as they are typed: the table is that of a serial comparison; what is killed, interrupted or left goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest
from test_cli import TINY, refused, results, runs

from gnnrec.cli.jobs import of_comparison
from gnnrec.cli.main import main
from gnnrec.config.compose import compose
from gnnrec.core import locks
from gnnrec.launching import driver, processes, worker
from gnnrec.launching.processes import Processes, Worker
from gnnrec.launching.slurm import Slurm
from gnnrec.launching.standing import standings
from gnnrec.launching.supervise import Supervisor
from gnnrec.launching.tasks import hand_over, launches, read
from gnnrec.runs import build

TWO = [*TINY, "strategies=[stale,fine_tune]", "seeds=[0,1]"]
ONE = [*TINY, "strategies=[fine_tune]"]
LONG = [
    *(*TINY, "strategies=[fine_tune]", "data.users=200", "data.items=100", "data.events=4000"),
    *("fit.max_epochs=200", "fit.patience=500"),
]
PROCESSES = ["launcher=processes", "launcher.workers=2"]
LEFT = [*PROCESSES, "launcher.wait=false"]


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    """Return what a serial comparison of two strategies and seeds writes."""
    output = tmp_path_factory.mktemp("serial")
    assert main(["compare", *TWO, f"output={output}"]) == 0
    return output


def launch(typed):
    """Return the launch of a comparison, handed over to nobody yet."""
    config = compose(typed)
    return hand_over(of_comparison(config, typed, None, print), build.scene(config))


def test_what_is_handed_over_makes_the_table_of_a_serial_comparison(serial, tmp_path, capsys, one_thread):
    typed = [*TWO, f"output={tmp_path}"]
    made = launch(typed)
    assert [(t.name, t.kind) for t in made.tasks][:2] == [("base, seed 0", "base"), ("base, seed 1", "base")]
    assert made.tasks[-1].kind == "references", "what takes least fills the last round"
    assert read(made.folder) == made
    assert [worker.main([str(t.file)]) for t in made.tasks] == [0] * 7
    assert all(t.made for t in made.tasks)
    assert main(["compare", *typed, *PROCESSES]) == 0
    assert "4 finished runs reused" in capsys.readouterr().err
    assert [f.name for f in runs(tmp_path)] == [f.name for f in runs(serial)]
    assert results(tmp_path).equals(results(serial))
    assert len(launches(tmp_path)) == 1, "nothing was left to launch"


def test_a_worker_says_why_it_fails(tmp_path, one_thread):
    typed = [*ONE, f"output={tmp_path}"]
    task = launch(typed).tasks[1]
    handed = task.file.read_text()
    assert "events: 800" in handed
    task.file.write_text(handed.replace("events: 800", "events: 700"))
    assert worker.main([str(task.file)]) == 1
    assert "data or code have changed since this was launched" in json.loads(task.failure.read_text())["error"]


def test_foreign_code_that_ends_a_base_is_told_in_a_line_that_names_a_file(tmp_path, capfd, monkeypatch, one_thread):
    def fail(*_):
        raise ZeroDivisionError("of a plug-in")

    task = launch([*ONE, f"output={tmp_path}"]).tasks[0]
    monkeypatch.setattr(worker, "base_state", fail)
    assert worker.main([str(task.file)]) == 1
    said = json.loads(task.failure.read_text())["error"]
    assert said.startswith("ZeroDivisionError: of a plug-in; see ")
    assert "in fail" in Path(said.rpartition(" ")[2]).read_text()
    assert "Traceback" not in capfd.readouterr().err


def test_a_driver_waits_for_a_command_that_asks_who_has_its_launch(tmp_path):
    folder = tmp_path / "launch-a"
    folder.mkdir()
    serves = {"_target_": "gnnrec.launching.processes.Processes"}
    (folder / "launch.json").write_text(json.dumps({"launcher": serves, "plugins": [], "tasks": []}))
    taken = threading.Event()

    def ask():
        with locks.take(folder / ".lock"):
            taken.set()
            time.sleep(0.5)

    asking = threading.Thread(target=ask)
    asking.start()
    assert taken.wait(60)
    assert driver.main([str(folder)]) == 0
    asking.join()


@pytest.mark.slow
def test_processes_make_what_one_process_makes(serial, forks, tmp_path):
    """The whole way, in real processes; the folder says how it stands."""
    typed = [*TINY, "strategies=[fine_tune]", f"output={tmp_path}"]
    code, said = forks.run(tmp_path / "words", ["compare", *typed, "launcher=processes", "launcher.workers=1"])
    assert code == 0, said
    assert any(re.match(r"fine_tune, seed 0: increment 3, \d+ s", line) for line in said)
    assert "fine_tune, seed 0: done; 1 of 1 runs" in said
    (one,), (other,) = runs(tmp_path, "fine_tune"), runs(serial, "fine_tune-seed0")
    assert one.name == other.name
    assert results(one).equals(results(other))
    assert [(s.run, s.state) for s in standings(tmp_path)] == [(one.name, "done")]


def test_a_process_works_on_one_task_after_the_other_and_is_replaced_where_one_fails(serial, tmp_path, monkeypatch):
    made = launch([*TINY, "strategies=[stale,fine_tune]", f"output={tmp_path}"])
    base, wrong, run, last = made.tasks
    wrong.file.write_text(wrong.file.read_text().replace("events: 800", "events: 700"))
    place, started, said = Processes(workers=1), [], []

    def counted(threads):
        started.append(Worker(threads))
        return started[-1]

    monkeypatch.setattr(processes, "Worker", counted)
    Supervisor(made.tasks, place, said.append).run()
    assert [t.made for t in (base, wrong, run, last)] == [True, False, True, True]
    assert "data or code have changed since this was launched" in json.loads(wrong.failure.read_text())["error"]
    assert len(started) == 2, "one for the base and what failed, one for the others"
    assert place.idle == []
    assert all(one.process.returncode is not None for one in started), "none is left"
    assert "fine_tune, seed 0: increment 3" in run.log.read_text()
    assert "stale" not in run.log.read_text(), "each task has its own words"
    (other,) = runs(serial, "fine_tune-seed0")
    assert results(run.folder).equals(results(other))


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_the_table_is_the_same(serial, forks, tmp_path):
    pid = forks.start(tmp_path / "words", ["compare", *TWO, f"output={tmp_path}", *PROCESSES])
    forks.once(pid, lambda: list(tmp_path.glob("fine_tune-seed0-*/state/000001")), 600)
    (holder,) = tmp_path.glob("fine_tune-seed0-*/.lock.holder")
    os.kill(int(holder.read_text().split()[0]), signal.SIGKILL)
    assert forks.wait(pid) == 0
    assert "fine_tune, seed 0: killed; taken up again from its newest state" in (tmp_path / "words/err").read_text()
    assert results(tmp_path).equals(results(serial))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_the_workers_in_order(number, code, forks, tmp_path):
    words = tmp_path / "words"
    pid = forks.start(words, ["compare", *LONG, f"output={tmp_path}", *PROCESSES])
    forks.once(pid, lambda: list(tmp_path.glob("fine_tune-*/state/000001")), 600)
    (holder,) = tmp_path.glob("fine_tune-*/.lock.holder")
    worker_id = int(holder.read_text().split()[0])
    os.kill(pid, number)
    assert forks.wait(pid) == code
    (line,) = [s for s in (words / "err").read_text().splitlines() if s.startswith("gnnrec: ")]
    assert f"compare was interrupted by {number.name} in fine_tune, seed 0" in line
    assert [s.state for s in standings(tmp_path)] == ["interrupted"]
    with pytest.raises(ProcessLookupError):
        os.kill(worker_id, 0)
    assert forks.run(words, ["compare", *LONG, f"output={tmp_path}", *PROCESSES, "resume=true"])[0] == 0
    assert "going on from its newest state" in (words / "err").read_text()


@pytest.mark.slow
def test_workers_end_in_order_once_the_command_is_killed(forks, tmp_path):
    pid = forks.start(tmp_path / "words", ["compare", *LONG, f"output={tmp_path}", *PROCESSES])
    forks.once(pid, lambda: list(tmp_path.glob("fine_tune-*/state/000001")), 600)
    os.kill(pid, signal.SIGKILL)
    forks.wait(pid)
    forks.once(pid, lambda: [s.state for s in standings(tmp_path)] == ["interrupted"], 300)


@pytest.mark.slow
def test_runs_that_are_left_go_on_and_a_later_command_collects_them(serial, forks, tmp_path, capsys):
    left = ["compare", *TWO, f"output={tmp_path}", *PROCESSES, "launcher.wait=false"]
    both = [forks.start(tmp_path / f"words{n}", left) for n in range(2)]  # at one moment: one of them leaves the runs
    assert [forks.wait(pid) for pid in both] == [0, 0]
    begun, again = sorted((tmp_path / f"words{n}" / "out").read_text() for n in range(2))
    assert re.match(r"4 runs left to launch-\S+; `gnnrec status \S+` tells", begun)
    assert "is at these runs already" in again
    assert {s.state for s in standings(tmp_path)} <= {"waiting", "running", "done"}
    assert forks.run(tmp_path / "words", ["compare", *TWO, f"output={tmp_path}", *PROCESSES])[0] == 0
    assert results(tmp_path).equals(results(serial))
    assert main(["status", str(tmp_path)]) == 0
    assert "4 runs: 4 done" in capsys.readouterr().out


def test_status_tells_runs_apart(tmp_path, capsys):
    made = launch([*TWO, f"output={tmp_path}"])
    assert {s.state for s in standings(tmp_path)} == {"not begun"}
    *_, failed, running, _ = made.tasks
    failed.failure.write_text(json.dumps({"error": "no such column"}))
    running.folder.mkdir()
    (running.folder / "status.json").write_text('{"status": "running"}')
    assert main(["status", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert f"{failed.folder.name}  failed: no such column" in out
    assert "killed: resume=true goes on" in out
    assert "4 runs: 2 not begun, 1 killed, 1 failed" in out


def test_a_launcher_is_part_of_no_identity(tmp_path):
    scene = build.scene(compose(ONE))
    names = {build.run_digest(compose([*ONE, *more]), scene.setting.stream) for more in ([], PROCESSES)}
    assert len(names) == 1


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (["compare", *ONE, "launcher=processes", "launcher.workers=0"], "launcher.workers=0 must be 1 or more"),
        (["compare", *ONE, *LEFT, "strategies=[]"], "nothing to compare"),
        (["compare", *ONE, *LEFT, "strategies=[{replay:{budget:-1}}]"], "budget"),
        (["compare", *ONE, "launcher=process"], "did you mean 'processes'"),
    ],
)
def test_what_cannot_be_is_said(typed, says, capsys, tmp_path):
    assert says in refused(capsys, *typed, f"output={tmp_path}")


def test_the_script_that_a_queue_would_get(tmp_path, capsys):
    pytest.importorskip("submitit")
    asked = [
        "launcher=slurm",
        "launcher.script=true",
        "launcher.wait=false",
        "launcher.partition=cpu",
        "launcher.cpus=2",
    ]
    assert main(["compare", *ONE, *asked, "launcher.more={slurm_account: lab}", f"output={tmp_path}"]) == 0
    out = capsys.readouterr().out
    wanted = ("--partition=cpu", "--cpus-per-task=2", "--mem=8GB", "--time=240", "--account=lab", "--signal=USR2@90")
    assert [w for w in wanted if f"#SBATCH {w}" not in out] == []
    assert not list(tmp_path.glob("launch-*")), "nothing is handed over"


@pytest.mark.slow
def test_a_local_queue_makes_the_table_of_a_serial_comparison(serial, tmp_path):
    pytest.importorskip("submitit")
    queue = ["launcher=slurm", "launcher.cluster=local", "launcher.workers=2"]
    assert main(["compare", *TWO, *queue, f"output={tmp_path}"]) == 0
    assert results(tmp_path).equals(results(serial))


@pytest.mark.slow
def test_a_job_that_the_queue_preempts_goes_on(tmp_path, one_thread):
    pytest.importorskip("submitit")
    made = launch([*LONG, "strategies=[fine_tune]", f"output={tmp_path}"])
    base, task, _ = made.tasks
    assert worker.main([str(base.file)]) == 0
    job = Slurm(cluster="local").begin(task, resume=False)
    end = time.monotonic() + 300
    while not (task.folder / "state" / "000001").is_dir():
        assert time.monotonic() < end
        time.sleep(0.05)
    controller = job.job.job_id
    (child,) = Path(f"/proc/{controller}/task/{controller}/children").read_text().split()
    os.kill(int(child), signal.SIGUSR2)  # as SLURM warns a job
    while not job.ended():
        assert time.monotonic() < end
        time.sleep(0.2)
    assert task.made
    assert "begun earlier and interrupted; going on from its newest state" in task.log.read_text()
