"""`gnnrec check FILE`: the contract of a plug-in, a line per test."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gnnrec.core.errors import GnnrecError, one_line

LONGEST = 200


def run(parser: argparse.ArgumentParser, rest: Sequence[str]) -> int:
    """Check the plug-ins named and return 0 if every test passed, else 1."""
    parser.description = "Run the contract of a strategy, encoder, objective or data set on what a YAML describes."
    parser.add_argument("files", nargs="+", metavar="FILE", type=Path, help="such as my_conf/strategy/mine.yaml")
    given = parser.parse_args(rest)
    try:
        import pytest
    except ImportError as error:
        raise GnnrecError("gnnrec check needs pytest: pip install pytest") from error
    from gnnrec.testing.plugin import build

    for path in given.files:  # what cannot be built is said once, not by every test
        build(path)
    return max(_checked(path, pytest) for path in given.files)


def _checked(path: Path, pytest: Any) -> int:
    """Run the tests of one plug-in, print how each ended, and return 0 if all passed."""
    lines = OutcomePrinter()
    quiet = [
        *("-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:faulthandler"),
        "--import-mode=importlib",
        "-Wignore",
    ]
    with tempfile.TemporaryDirectory() as folder:
        # A module of its own for each: pytest imports a name once.
        test = Path(folder) / f"test_{path.parent.name}_{path.stem}.py"
        test.write_text(
            # Before the suites are imported: or an assertion that fails shows no values.
            "from pathlib import Path\n\nimport pytest\n\npytest.register_assert_rewrite('gnnrec.testing')\n"
            "from gnnrec.testing.plugin import suite\n\n"
            f"TestPlugin = suite(Path({str(path.absolute())!r}))\n"
        )
        settings = Path(folder) / "pytest.ini"  # or that of a folder above would be taken
        settings.write_text("[pytest]\n")
        code = pytest.main([*quiet, "--rootdir", folder, "-c", str(settings), str(test)], plugins=[lines])
    counts = ", ".join(f"{n} {how}" for how, n in lines.counts.items() if n)
    print(f"{path}: {counts or 'no test ran'}")
    return 0 if code == 0 and lines.counts["passed"] else 1


class OutcomePrinter:
    """Prints a line per test as it ends, in place of pytest's own output."""

    def __init__(self) -> None:
        self.counts = {"passed": 0, "FAILED": 0, "skipped": 0}

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Print how a test ended; of what comes before and after it, only what went wrong."""
        if report.when != "call" and report.passed:
            return
        how = "FAILED" if report.failed else str(report.outcome)
        self.counts[how] += 1
        name = report.nodeid.rpartition("::")[2].removeprefix("test_").replace("_", " ").replace("[", " [")
        reason = "" if report.passed else f": {_reason(report)}"
        print(f"{how:<8} {name}{reason}", flush=True)

    def pytest_collectreport(self, report: Any) -> None:
        """Print what kept the tests from being found."""
        if report.failed:
            self.counts["FAILED"] += 1
            print(f"FAILED   {one_line(str(report.longrepr))[-LONGEST:]}", flush=True)


def _reason(report: Any) -> str:
    if report.skipped:
        return one_line(str(report.longrepr[2]).removeprefix("Skipped: "))
    crash = getattr(report.longrepr, "reprcrash", None)
    text = one_line(crash.message if crash is not None else str(report.longrepr))
    where = f" ({Path(crash.path).name}:{crash.lineno})" if crash is not None else ""
    return (text if len(text) <= LONGEST else f"{text[:LONGEST]}…") + where
