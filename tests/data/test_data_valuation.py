"""Formatting: actions, quantities, scales and time zones become values and seconds."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
import torch

from gnnrec.core.errors import GnnrecError
from gnnrec.data.datasets import File
from gnnrec.encoders.tables import Embeddings
from gnnrec.objectives.base import Batch
from gnnrec.objectives.bpr import BPR
from gnnrec.objectives.softmax import Softmax

HEAD = "user,item,rating,time\n"


def load(write, text, **options):
    return File(path=write("a.csv", text), **options).load()


def test_actions_get_their_weights_and_make_the_log_implicit(write):
    data = load(write, HEAD + "u,i,view,1400000000\nv,i,buy,1400000001\n", weights={"view": 1, "buy": 5})
    assert data.value.tolist() == [1, 5]
    assert (data.feedback, data.scale) == ("implicit", None)


def test_quantities_become_logarithms(write):
    data = load(write, HEAD + "u,i,1,1400000000\nv,i,7,1400000001\nw,i,0,1400000002\n", quantity="log2")
    assert data.value.tolist() == pytest.approx([1, 3, 0])
    assert data.feedback == "implicit"


def test_a_scale_is_stretched_after_it_was_checked(write):
    text = HEAD + "u,i,0,1400000000\nv,i,50,1400000001\nw,i,100,1400000002\nx,i,101,1400000003\n"
    data = load(write, text, scale=[0, 100], rescale=[1, 5])
    assert data.value.tolist() == [1, 3, 5]
    assert (data.scale, data.feedback) == ((1, 5), "explicit")
    assert data.counts.set_aside == {"out_of_scale": 1}


@pytest.mark.parametrize("pattern", [None, "%d.%m.%Y %H:%M"])
@pytest.mark.parametrize("moment", ["2011-01-15 10:30", "2011-07-15 10:30"])
def test_wall_clock_times_are_those_of_their_zone(write, moment, pattern):
    when = datetime.fromisoformat(moment)
    cell = when.strftime(pattern or "%Y-%m-%d %H:%M")
    data = load(write, HEAD + f"u,i,4,{cell}\n", time_zone="Europe/London", time_format=pattern)
    assert data.time[0] == when.replace(tzinfo=ZoneInfo("Europe/London")).timestamp()


def test_a_time_with_a_zone_of_its_own_keeps_it(write):
    data = load(write, HEAD + "u,i,4,2011-07-15T10:30:00Z\n", time_zone="America/New_York")
    assert data.time[0] == datetime.fromisoformat("2011-07-15T10:30:00+00:00").timestamp()


def test_an_hour_that_comes_twice_is_its_first_and_one_that_never_comes_is_no_time(write):
    text = HEAD + "u,i,4,2011-10-30 01:30\nv,i,4,2011-03-27 01:30\n"
    data = load(write, text, time_zone="Europe/London")
    assert data.time.tolist() == [datetime.fromisoformat("2011-10-30T01:30:00+01:00").timestamp()]
    assert data.counts.set_aside == {"bad_time": 1}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"weights": {"view": 0}}, "above 0"),
        ({"weights": {"view": "much"}}, "above 0"),
        ({"quantity": "log"}, "did you mean 'log2'"),
        ({"rescale": [1, 5]}, "needs data.scale"),
        ({"scale": [5, 1]}, r"\[lowest, highest\]"),
        ({"scale": [0, 1], "rescale": ["a", 2]}, r"data.rescale"),
        ({"scale": [0, 1], "rescale": [1, 5], "quantity": "log2"}, "exclude each other"),
        ({"time_zone": "Mars"}, "is no time zone"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, said):
    with pytest.raises(GnnrecError, match=said):
        File(**options)


@pytest.mark.parametrize("make", [BPR, Softmax])
def test_a_weighted_event_counts_as_often_as_its_weight(make):
    torch.manual_seed(0)
    user, item = torch.randn(4, 8), torch.randn(6, 8)
    z = Embeddings(user, item, user, item)
    at = torch.tensor([0, 1, 1, 1]), torch.tensor([0, 2, 2, 2])
    negative = torch.tensor([3, 4, 4, 4])
    shared = torch.tensor([3, 4])
    each = Batch(*at, torch.ones(4), torch.ones(4, dtype=torch.bool), negative, shared)
    weights, positive = torch.tensor([1.0, 3.0]), torch.ones(2, dtype=torch.bool)
    once = Batch(at[0][:2], at[1][:2], weights, positive, torch.tensor([3, 4]), shared)
    loss = make(l2=0.0, weighted=True, popularity=0.0)(z, once)
    plain = make(l2=0.0, popularity=0.0)(z, each)
    assert loss.item() == pytest.approx(plain.item(), rel=1e-6)
    assert not math.isclose(make(l2=0.0, popularity=0.0)(z, once).item(), loss.item(), rel_tol=1e-3)


def test_a_batch_without_weight_is_no_loss_and_no_nan():
    z = Embeddings(*(torch.randn(3, 4) for _ in range(4)))
    nothing = Batch(torch.arange(2), torch.arange(2), torch.zeros(2), torch.ones(2, dtype=torch.bool), torch.arange(2))
    assert BPR(l2=0.0, weighted=True)(z, nothing).item() == 0
    assert np.isfinite(Softmax(l2=0.0, weighted=True, popularity=0.0)(z, nothing).item())


def test_a_parquet_time_that_names_its_zone_is_left_alone(tmp_path):
    moment = pl.Series(["2011-07-15 10:30:00"]).str.to_datetime(time_unit="us")
    for zone, expected in (("UTC", "2011-07-15 10:30"), (None, "2011-07-15 09:30")):
        time = moment.dt.replace_time_zone(zone)
        pl.DataFrame({"user": ["u"], "item": ["i"], "time": time}).write_parquet(tmp_path / "log.parquet")
        data = File(path=str(tmp_path / "log.parquet"), time_zone="Europe/London").load()
        assert datetime.fromtimestamp(float(data.time[0]), UTC).strftime("%Y-%m-%d %H:%M") == expected
