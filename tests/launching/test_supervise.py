"""Tasks beside each other, by shell scripts in the place of runs: order, retries, time, failures, stops."""

from __future__ import annotations

import errno
import json
import subprocess
import time

import pytest

from gnnrec.core.errors import GnnrecError
from gnnrec.launching.base import Limits
from gnnrec.launching.supervise import Supervisor
from gnnrec.launching.tasks import BASE, RUN, Task, failure_of

DONE = """printf '{"status": "done"}' > "$FOLDER/status.json"; """
MADE = 'touch "$FOLDER/model"; '
"""What a base is known by."""


class Shell:
    """Works on tasks whose files are shell scripts; notes when each was begun."""

    def __init__(self, workers=2, retries=1, timeout=None):
        self.limits, self.begun, self.attempts, self.released = Limits(workers, retries, timeout), [], [], False

    def begin(self, task, resume):
        self.begun.append((task.folder.name, resume))
        task.folder.mkdir(exist_ok=True)
        self.attempts.append(Script(task))
        return self.attempts[-1]

    def release(self):
        self.released = True


class Script:
    def __init__(self, task):
        env = {"PATH": "/usr/bin:/bin", "FOLDER": str(task.folder), "WHY": str(task.failure)}
        with task.log.open("ab") as words:
            self.process = subprocess.Popen(["sh", str(task.file)], env=env, stdout=words, stderr=words)

    def ended(self):
        return self.process.poll() is not None

    def stop(self):
        self.process.terminate()

    def kill(self):
        self.process.kill()


@pytest.fixture
def task(tmp_path):
    """Return what makes a task of a script."""

    def made(name, script, after=None):
        file = tmp_path / f"{name}.yaml"
        file.write_text(script)
        kind = BASE if name.startswith("base") else RUN
        return Task(f"{name}, seed 0", kind, tmp_path / name, file, after and tmp_path / after)

    return made


def worked(tasks, place):
    said = []
    Supervisor(tasks, place, said.append).run()
    return said


def refuses(error, **more):
    return f"""printf '%s' '{json.dumps({"error": error, **more})}' > "$WHY"; exit 1"""


def test_what_waits_for_a_base_begins_once_it_is_there_and_other_bases_are_made_beside_it(task):
    place = Shell()
    tasks = [
        task("base0", f"sleep 0.5; {MADE}"),
        task("base1", f"sleep 0.5; {MADE}"),
        task("a", f"test -e $FOLDER/../base0/model && {DONE}", "base0"),
        task("b", f"test -e $FOLDER/../base1/model && {DONE}", "base1"),
    ]
    said = worked(tasks, place)
    begun = [name for name, _ in place.begun]
    assert (begun[:2], sorted(begun[2:])) == (["base0", "base1"], ["a", "b"])
    assert all(t.made for t in tasks)
    assert any(line.endswith("done; 2 of 2 runs") for line in said)


def test_what_is_there_already_is_not_begun(task):
    one = task("a", DONE)
    one.folder.mkdir()
    (one.folder / "status.json").write_text('{"status": "done"}')
    place = Shell()
    assert worked([one], place) == []
    assert place.begun == []


def test_no_more_are_at_work_than_there_are_workers(task, tmp_path):
    script = f"touch $FOLDER/../at.$$; ls $FOLDER/.. | grep -c '^at' >&2; sleep 1; rm $FOLDER/../at.$$; {DONE}"
    tasks = [task(name, script) for name in "abcd"]
    worked(tasks, Shell(workers=2))
    assert max(int(t.log.read_text()) for t in tasks) == 2


def test_a_killed_task_is_taken_up_again_from_its_newest_state_and_given_up_at_last(task):
    once = task("once", f"test -e $FOLDER/seen && {{ {DONE} exit 0; }}; touch $FOLDER/seen; kill -9 $$")
    always = task("always", "kill -9 $$")
    place = Shell(retries=1)
    said = worked([once, always], place)
    assert sorted(place.begun) == [("always", False), ("always", True), ("once", False), ("once", True)]
    assert once.made
    assert failure_of(once) is None
    assert "killed 2 times, perhaps for want of memory" in failure_of(always)["error"]
    assert "once, seed 0: killed; taken up again from its newest state" in said


def test_a_task_that_says_why_it_fails_is_not_taken_up_again(task):
    place = Shell(retries=3)
    one = task("a", refuses("no such column"))
    assert "a, seed 0: failed; 1 of 1 runs" in worked([one], place)
    assert place.begun == [("a", False)]
    assert failure_of(one)["error"] == "no such column"


def test_runs_of_a_base_that_fails_fail_with_its_reason(task):
    tasks = [task("base0", refuses("diverged")), task("a", DONE, "base0"), task("b", DONE)]
    place = Shell()
    worked(tasks, place)
    assert ("a", False) not in place.begun
    assert failure_of(tasks[1])["error"] == "diverged"
    assert tasks[2].made


def test_a_full_disk_ends_the_others_too(task):
    place = Shell()
    tasks = [task("a", "exec sleep 600"), task("b", refuses("full", ends=True, errno=errno.ENOSPC, file="x"))]
    with pytest.raises(OSError, match="No space left") as caught:
        worked(tasks, place)
    assert caught.value.errno == errno.ENOSPC
    assert all(attempt.ended() for attempt in place.attempts)


def test_a_task_that_takes_too_long_is_ended_and_the_next_one_begun(task):
    place = Shell(workers=1, retries=2, timeout=0.3)
    slow, quick = task("a", "exec sleep 600"), task("b", DONE)
    begin = time.monotonic()
    worked([slow, quick], place)
    assert time.monotonic() - begin < 300
    assert failure_of(slow)["error"].startswith("launcher.timeout=0.3 s is over; resume=true goes on")
    assert place.begun == [("a", False), ("b", False)]
    assert quick.made


def test_what_a_machine_sleeps_is_no_time_of_its_tasks(task, monkeypatch):
    clock, real = {"ahead": 0.0}, time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + clock["ahead"])
    monkeypatch.setattr("gnnrec.launching.supervise.ASLEEP", 0.2)
    one, place = task("a", f"sleep 1; {DONE}"), Shell(workers=1, timeout=30.0)
    driven = Supervisor([one], place, lambda line: None)
    driven.turn()
    clock["ahead"] = 3600.0
    while driven.running:
        driven.turn()
    assert one.made
    assert failure_of(one) is None


def test_words_come_with_the_name_of_their_task(task):
    said = worked([task("a", f"echo 'reading x'; echo 'a, seed 0: increment 1'; printf half; {DONE}")], Shell())
    assert said[:2] == ["a, seed 0: reading x", "a, seed 0: increment 1"]
    assert not [line for line in said if "half" in line]


def test_an_interruption_stops_all_and_names_them(task):
    place = Shell()

    def interrupt(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        Supervisor([task("a", "echo begun; exec sleep 600"), task("b", "exec sleep 600")], place, interrupt).run()
    assert caught.value.__notes__ == ["a, seed 0 and 1 more"]
    assert all(attempt.ended() for attempt in place.attempts)


@pytest.mark.parametrize(
    ("limits", "key"), [((0, 1, None), "workers"), ((1, -1, None), "retries"), ((1, 1, 0.0), "timeout")]
)
def test_limits_that_cannot_be_are_refused(limits, key):
    with pytest.raises(GnnrecError, match=f"launcher.{key}="):
        Limits(*limits)
