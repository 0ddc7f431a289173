"""What is said of a stream before anything is trained on it: small bases, few users, empty increments, repeated pairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from data_logs import make_log

from gnnrec.core.errors import GnnrecError
from gnnrec.data.dataset import Counts
from gnnrec.data.stream.cuts import ByColumn, ByCount, ByTime

DAY = 86_400.0


def log_of(n, users=200, items=50, **extra):
    rng = np.random.default_rng(0)
    return make_log(rng.integers(0, users, n), rng.integers(0, items, n), 1.4e9 + np.arange(n) * DAY / 8, **extra)


def said(splitter, log):
    return [*splitter.build(log).notes]


def test_nothing_is_said_of_a_stream_with_enough_of_everything():
    assert not said(ByCount(increments=4), log_of(6000))


def test_a_first_version_of_a_few_events_is_said_to_be_the_base():
    version = np.repeat(np.arange(21), [138, *[300] * 20])
    (line,) = said(ByColumn("version"), log_of(6138, version=version))
    assert line.startswith("the base is small: 138 of 6,138 events (2.2%), ")
    assert "stream.base=VALUE says up to which 'version' it reaches (now: the first)" in line
    assert not said(ByColumn("version", base=10), log_of(6138, version=version))


def test_few_scored_users_are_said_with_what_one_of_them_moves():
    lines = said(ByCount(increments=2), log_of(59, users=22))
    few = next(line for line in lines if line.startswith("few users are scored"))
    scored = int(few.split(": ")[1].split(" ")[0])
    assert f"up to {1 / scored:.3f}" in few
    assert any(line.startswith("the base is small: 30 of 59 events (50.8%), ") for line in lines)


def test_increments_without_events_are_counted():
    log = make_log(range(200), range(200), 1.4e9 + np.r_[np.arange(100), 100 * DAY + np.arange(100)])
    lines = said(ByTime("1d", base=None), log)
    assert any("99 of 100 increments have no event to be scored" in line and "stream.width" in line for line in lines)


def test_a_base_that_is_all_there_is_is_said():
    (line, *_) = said(ByCount(increments=2), make_log("abcd", "abcd", [7] * 4))
    assert line.startswith("all 4 events are base and none follows")


def test_a_large_share_of_repeats_is_said_with_the_key_that_keeps_them():
    log = replace(log_of(6000), counts=Counts(14_000, 6000, repeat=8000))
    (line,) = said(ByCount(increments=4), log)
    assert "57% of the rows read (8,000 of 14,000)" in line
    assert "set data.repeats=all" in line
    (line,) = said(ByCount(increments=4), replace(log, versions={0: "x"}))
    assert "ingest into a store with data.repeats=all" in line
    assert not said(ByCount(increments=4), replace(log, counts=Counts(7000, 6000, repeat=1000)))


def test_more_increments_than_events_are_refused_with_both_numbers():
    with pytest.raises(GnnrecError, match=r"stream\.increments=5,000 for the 30 events after the base"):
        ByCount(increments=5000).build(log_of(60))


@pytest.mark.parametrize(("base", "rows"), [(0.9999, 60), (60, 60), (0.999, 60)])
def test_a_base_that_leaves_nothing_is_refused_with_the_numbers(base, rows):
    with pytest.raises(GnnrecError, match=f"stream.base={base} takes {rows} of 60 events and leaves none to follow"):
        ByCount(increments=1, base=base).build(log_of(60))


def test_a_whole_share_is_not_taken_for_one_event():
    with pytest.raises(GnnrecError, match="write a share below 1, or a number of events without a point"):
        ByCount(base=1.0).build(log_of(60))
    assert len(ByCount(increments=2, base=1).build(log_of(60)).increments[0].observed.train) == 1
