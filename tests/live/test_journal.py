"""The journal: whole lines or none, whatever a kill has torn, and the way from a champion back to the run."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnrec.core.errors import GnnrecError
from gnnrec.live.journal import ACCEPTED, KEPT, ROLLED_BACK, SCORED, Entry, Journal, lineage


def made(number, parent, versions=()):
    return Entry(ACCEPTED, number, parent, {str(v): "x" for v in versions}, tries=[])


def test_what_is_written_is_read(tmp_path):
    journal = Journal(tmp_path)
    assert journal.entries() == []
    entries = [made(1, 0, [3, 10]), Entry(KEPT, 1, 1, {"11": "y"}, 5, "why", quality={"11": None})]
    for entry in entries:
        journal.append(entry)
    assert list(map(asdict, journal.entries())) == [asdict(e) | {"tries": []} for e in entries]
    assert entries[0].numbers == [3, 10]


@given(cut=st.integers(0, 400))
def test_a_torn_line_is_no_decision_and_is_written_over(tmp_path_factory, cut):
    journal = Journal(tmp_path_factory.mktemp("journal"))
    for entry in (made(1, 0, [1]), made(2, 1, [2])):
        journal.append(entry)
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole[: min(cut, len(whole))])
    left = journal.entries()
    assert left == [made(1, 0, [1]), made(2, 1, [2])][: len(left)]
    journal.append(made(3, 0, [9]))
    assert journal.entries() == [*left, made(3, 0, [9])]


def test_a_score_belongs_to_the_decision_that_made_the_champion(tmp_path):
    journal = Journal(tmp_path)
    first, second = made(1, 0, [1]), made(2, 1, [2])
    score = Entry(SCORED, 1, 0, quality={"1": 0.25})
    for entry in (first, score, second, Entry(SCORED, 7, 6, quality={"9": 1.0})):
        journal.append(entry)
    expected = [replace(first, quality={"1": 0.25}), second]
    assert [e.unscored for e in (first, *expected)] == [True, False, True]
    for reader in (journal, Journal(tmp_path)):
        assert reader.entries() == expected
        assert reader.readable() == (expected, "")
    assert not Entry(KEPT, 0, 0, {"1": "x"}).unscored
    assert not made(1, 0).unscored, "a champion of no version has nothing to be scored by"
    journal.path.write_text("\n".join([*journal.path.read_text().splitlines(), "nonsense", ""]))
    with pytest.raises(GnnrecError, match="line 5 is no decision"):
        journal.entries()


def test_a_line_that_is_no_decision_is_said(tmp_path):
    journal = Journal(tmp_path)
    journal.append(made(1, 0))
    journal.path.write_text("nonsense\n" + journal.path.read_text())
    with pytest.raises(GnnrecError, match=r"decisions\.jsonl, line 1 is no decision"):
        journal.entries()
    journal.path.write_text('{"format": 99}\n')
    with pytest.raises(GnnrecError, match="another version of gnnrec"):
        journal.entries()


def test_the_way_back_passes_over_what_was_rolled_back():
    entries = [made(1, 0, [1]), made(2, 1, [2]), Entry(ROLLED_BACK, 1, 2), made(3, 1, [2, 3])]
    assert [e.champion for e in lineage(entries, 3)] == [1, 3]
    assert lineage(entries, 0) == []
    with pytest.raises(GnnrecError, match="no decision made a champion 7"):
        lineage(entries, 7)
