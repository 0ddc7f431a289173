"""Data frames of pandas and polars as logs, and logs as frames under the names of LensKit and RecTools."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import gnnrec as gr
from gnnrec.core.errors import GnnrecError
from gnnrec.interop.extract import whole
from gnnrec.interop.frames import (
    from_frame,
    from_lenskit,
    from_rectools,
    lenskit_columns,
    rectools_columns,
    to_lenskit,
    to_pandas,
    to_polars,
    to_rectools,
)
from gnnrec.testing.worlds import dataset

pd = pytest.importorskip("pandas")


@pytest.fixture
def log():
    return dataset(["7", "7", "u"], ["a", "007", "a"], np.array([3.0, 4.5, 1.0]), np.array([1e9, 1e9 + 0.25, 1.1e9]))


def events(log):
    return list(zip(log.user, log.item, log.value, log.time, strict=True))


@pytest.mark.parametrize(
    ("there", "back", "names"),
    [
        (to_lenskit, from_lenskit, ["user_id", "item_id", "rating", "timestamp"]),
        (to_rectools, from_rectools, ["user_id", "item_id", "weight", "datetime"]),
    ],
)
def test_a_log_comes_back_from_pandas_as_it_went(log, there, back, names):
    frame = there(log)
    assert list(frame.columns) == names
    assert frame[names[3]].dtype.kind == "M"
    assert frame[names[3]].iloc[0] == pd.Timestamp("2001-09-09 01:46:40")
    assert events(back(frame)) == events(log)
    assert events(back(frame.sample(frac=1, random_state=0))) == events(log)


def test_a_log_without_times_is_lenskits_and_not_rectools(log):
    from dataclasses import replace

    bare = whole(replace(log, time=None)).whole
    assert lenskit_columns(bare).columns == ["user_id", "item_id", "rating"]
    assert from_lenskit(lenskit_columns(bare)).time is None
    with pytest.raises(GnnrecError, match="RecTools needs a datetime"):
        rectools_columns(bare)


def test_what_pandas_does_to_ids_and_times_is_undone():
    frame = pd.DataFrame(
        {
            "user_id": [1.0, 2.0, np.nan, 4.0],  # whole numbers beside a missing one
            "item_id": pd.Categorical(["x", "y", "x", None]),
            "rating": pd.array([1, 2, 3, 4], dtype="Int64"),
            "timestamp": pd.to_datetime(["2020-06-01 12:00"] * 4).tz_localize("Europe/Paris"),
        }
    )
    log = from_lenskit(frame)
    assert events(log) == [("1", "x", 1.0, 1591005600.0), ("2", "y", 2.0, 1591005600.0)]
    assert log.counts.set_aside == {"missing_user": 1, "missing_item": 1}
    assert log.counts.rows_read == 4


def test_ids_of_several_kinds_stay_apart():
    log = from_frame(pd.DataFrame({"user": [1, "a", 1], "item": ["x", "x", "y"]}))
    assert list(log.user_ids) == ["1", "a"]


def test_options_clean_and_columns_are_kept():
    frame = pl.DataFrame(
        {"who": ["a", "a", "b"], "what": ["x", "x", "y"], "day": ["1", "1", "2"], "when": [1e9, 1.1e9, 1.2e9]}
    )
    log = from_frame(frame, "who", "what", False, "when", repeats="all", name="mine")
    assert (len(log), log.name) == (3, "mine")
    assert len(from_frame(frame, "who", "what", False, "when")) == 2
    with pytest.raises(GnnrecError, match=r"data.columns.user=nobody is not a column"):
        from_frame(frame, "nobody", "what")


@pytest.mark.parametrize("odd", [3, object(), [1, 2]])
def test_what_is_no_frame_is_refused(odd):
    with pytest.raises(GnnrecError):
        from_frame(odd)


def test_frames_go_to_pandas_without_pyarrow_and_back():
    frame = pl.DataFrame({"text": ["a", None], "number": [1.5, None], "whole": [1, 2], "flag": [True, False]})
    found = to_pandas(frame)
    assert found["whole"].tolist() == [1, 2]
    assert found["text"].isna().tolist() == [False, True]
    assert to_polars(found).equals(frame)


def test_a_notebook_compares_on_a_frame():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"user": rng.integers(0, 30, 500), "item": rng.integers(0, 20, 500), "week": np.arange(500) // 100}
    )
    log = gr.from_frame(frame, name="mine")
    assert "mine" in repr(log)
    stream = log.stream(column="week")
    assert len(stream.increments) == 5
    result = gr.run(stream, gr.Frozen(), encoder=gr.LightGCN(4), options={"fit.base.max_epochs": 1}, quiet=True)
    assert "frozen" in set(result.summary["strategy"])
