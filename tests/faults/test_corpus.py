"""The corpus of faults: a folder per fault with the file and what must happen to it (`expect.yaml`).

fault: its number in docs/faults.md. options: of `File`. refused: a regular expression of the message; or rows: where they went.
says: regular expressions, each found among the notes.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from gnnrec.core.errors import GnnrecError
from gnnrec.data.datasets import File
from gnnrec.data.stream.cuts import ByCount
from gnnrec.store.ingest import Policy, ingest
from gnnrec.store.table import Store

FOLDERS = sorted(p.parent for p in Path(__file__).parent.glob("*/expect.yaml"))


def case(folder):
    expect = yaml.safe_load((folder / "expect.yaml").read_text())
    (file,) = (p for p in folder.iterdir() if p.name != "expect.yaml")
    options = expect.get("options", {})
    if "side" in options:
        options = {**options, "side": {**options["side"], "file": str(file)}}
    return file, options, expect


def test_there_are_enough_of_them():
    assert len(FOLDERS) >= 60


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_a_fault_is_met_as_expected(folder):
    file, options, expect = case(folder)
    if "refused" in expect:
        with pytest.raises(GnnrecError, match=expect["refused"]) as caught:
            ByCount().build(File(path=str(file), **options).load())
        assert str(caught.value).isprintable(), "one line, no control codes"
        assert len(str(caught.value)) < 600
        return
    data = File(path=str(file), **options).load()
    counts = data.counts
    found = {"read": counts.rows_read, "kept": counts.kept, "duplicate": counts.duplicate, "repeat": counts.repeat}
    expected = {"duplicate": 0, "repeat": 0, "aside": {}, **expect["rows"]}
    assert {**found, "aside": dict(counts.set_aside)} == expected
    assert len(set(data.user)) >= 1
    for pattern in expect.get("says", []):
        assert any(re.search(pattern, note) for note in data.notes), data.notes
    assert all(note.isprintable() for note in data.notes)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_an_ingest_meets_a_fault_alike_and_keeps_every_row(folder, tmp_path):
    file, options, expect = case(folder)
    store = Store(tmp_path / "s")
    if "refused" in expect:
        said = refusal(store, file, options)
        # A file without events makes an empty version; only a stream refuses it.
        assert re.search(expect["refused"], said) or store.versions[0].counts.kept == 0, said
        return
    # Most rows of some are faulty, which the quality report would stop.
    counts = ingest(store, File(path=str(file), **options), options, Policy(blocked="accept")).version.counts
    assert (counts.read, counts.kept) == (expect["rows"]["read"], expect["rows"]["kept"])
    assert dict(counts.set_aside) == expect["rows"].get("aside", {})
    aside = store.aside_of(store.versions[0])
    lines = 0 if aside is None else len(aside[0].read_text().splitlines())
    assert lines == sum(counts.set_aside.values())


def refusal(store, file, options):
    """Return why an ingest was refused; empty: it was not."""
    try:
        ingest(store, File(path=str(file), **options), options)
    except GnnrecError as error:
        return str(error)
    return ""
