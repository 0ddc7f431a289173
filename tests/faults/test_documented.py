"""docs/faults.md names every fault of the groups it covers, and only tests and folders that exist."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

TESTS = Path(__file__).resolve().parents[1]
PAGE = (TESTS.parent / "docs" / "faults.md").read_text()
CORPUS = sorted(p.parent for p in (TESTS / "faults").glob("*/expect.yaml"))


def test_every_fault_of_files_rows_and_increments_is_there():
    named = set(re.findall(r"^\| ([A-F]\d+)", PAGE, flags=re.MULTILINE))
    assert {f"{g}{k}" for g, n in (("A", 26), ("B", 20), ("C", 15)) for k in range(1, n + 1)} <= named


def test_every_named_test_exists():
    text = "".join(p.read_text() for p in TESTS.rglob("test_*.py"))
    defined = set(re.findall(r"def (test_\w+)", text))
    files = {p.stem for p in TESTS.rglob("test_*.py")}
    named = set(re.findall(r"\b(test_\w+)\b", PAGE))
    assert named - defined - files == set()


def test_every_folder_of_the_corpus_is_named_under_its_fault():
    rows = {line.split("|")[1].strip(): line for line in PAGE.splitlines() if line.startswith("| ")}
    for folder in CORPUS:
        fault = yaml.safe_load((folder / "expect.yaml").read_text())["fault"]
        assert f"corpus/{folder.name}" in PAGE, folder.name
        assert f"corpus/{folder.name}" in rows.get(fault, PAGE), f"{folder.name} under {fault}"
