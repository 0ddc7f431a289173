"""Commands in processes of their own without a start of Python for each: `Forks` asks a process that has imported everything.

That process computes nothing, as forking one with running thread pools can hang. Orders are lines of JSON: {"argv", "folder",
"limits"} is answered with a process id, {"wait"} with how that process ended, as `subprocess` says it.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


@contextlib.contextmanager
def heeding():
    """Let processes that are started hear SIGINT and SIGHUP, as they do from a terminal, though this one may ignore them."""
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGHUP)}
    for number in (s for s, handler in before.items() if handler is signal.SIG_IGN):
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Forks:
    """Starts commands; use as a context."""

    def __enter__(self):
        with heeding():
            return self._started()

    def _started(self):
        path = os.pathsep.join([str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, str(Path(__file__))]
        self.server = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_):
        self.server.stdin.close()
        self.server.wait(timeout=30)
        self.server.stdout.close()

    def start(self, folder: Path, argv: Sequence[object], gate: str | None = None, **limits: int) -> int:
        """Start a command whose words go to `folder`/out and /err.

        It waits for `gate`, a FIFO, to be opened. Limits: memory (MiB more than it has), files (at once), opens (how many),
        size (bytes of a file).
        """
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "err").write_text("")
        return self._ask({"argv": list(map(str, argv)), "folder": str(folder), "limits": limits, "gate": gate})

    def wait(self, pid: int) -> int:
        """Return how a command ended: its exit code, or minus the signal that ended it."""
        return self._ask({"wait": pid})

    def run(self, folder: Path, argv: Sequence[object], **limits: int) -> tuple[int, list[str]]:
        """Return a command's end and the lines it wrote to stderr."""
        code = self.wait(self.start(folder, argv, **limits))
        return code, (folder / "err").read_text().splitlines()

    def once(self, pid: int, true: Callable[[], object], seconds: float = 120) -> int:
        """Return the process id as soon as `true` is; a command that cannot get there fails the test."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"{pid} was waited for in vain"
            time.sleep(0.01)
        return pid

    def _ask(self, order: Mapping[str, object]) -> int:
        self.server.stdin.write(json.dumps(order) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())


def live(order) -> int:
    """Run a command under its limits."""
    from gnnrec.cli.main import main

    for name, handle in (("out", 1), ("err", 2)):
        os.dup2(os.open(Path(order["folder"]) / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), handle)
    if "memory" in order["limits"]:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + (order["limits"]["memory"] << 20)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    if "opens" in order["limits"]:
        after(order["limits"]["opens"])
    if "files" in order["limits"]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (order["limits"]["files"],) * 2)
    if "size" in order["limits"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["limits"]["size"],) * 2)
    if order["gate"]:
        Path(order["gate"]).open().close()
    return main(order["argv"])


def after(count: int) -> None:
    """Allow no file to be opened any more once so many have been."""
    seen = 0

    def counted(event: str, _: object) -> None:
        nonlocal seen
        if event in ("open", "os.scandir", "os.listdir"):
            seen += 1
            if seen == count:
                resource.setrlimit(resource.RLIMIT_NOFILE, (0, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    sys.addaudithook(counted)


def fork(order) -> int:
    """Return the process id of a new life."""
    if pid := os.fork():
        return pid
    code = 70
    try:
        code = live(order)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code)


def ended(pid: int) -> int:
    """Return how a life ended."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main() -> None:
    """Answer orders until there are none."""
    import torch

    import gnnrec.cli.data
    import gnnrec.runs.compare
    import gnnrec.sweeping.sweep  # noqa: F401

    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        order = json.loads(line)
        answer = ended(order["wait"]) if "wait" in order else fork(order)
        print(answer, file=answers, flush=True)


if __name__ == "__main__":
    main()
