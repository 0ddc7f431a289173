"""Online Retail fed to a store month by month, against counts taken from the raw file by other means, row for row."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import polars as pl
import pytest
from data_logs import CONF, composed
from hydra.utils import instantiate
from omegaconf import OmegaConf

from gnnrec.store.ingest import ingest
from gnnrec.store.table import Store

WHEN = pl.Datetime("us", "UTC")
RAW = "online-retail/online-retail-raw.csv.gz"
KEPT = pl.col("CustomerID").is_not_null() & ~pl.col("InvoiceNo").str.starts_with("C")
PRODUCT = pl.col("StockCode").str.contains(r"^\d{5}") & (pl.col("Quantity").cast(pl.Float64) > 0)


@pytest.fixture(scope="module")
def store(real_root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Path]:
    """A version for each month, as `gnnrec data ingest STORE *.csv --each data=online_retail` makes them."""
    folder = tmp_path_factory.mktemp("retail")
    spec = spec_from_file_location("by_month", CONF.parent / "scripts/by_month.py")
    assert spec is not None
    assert spec.loader is not None
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    rows = script.split(real_root / RAW, "InvoiceDate", folder / "months")
    assert sum(rows.values()) == 541_909
    store = Store(folder / "store")
    for file in sorted((folder / "months").iterdir()):
        data = composed("+data=online_retail", f"data.files=[{file}]").data
        assert ingest(store, instantiate(data), OmegaConf.to_container(data)).version is not None
    return store, folder / "months"


@pytest.fixture(scope="module")
def raw(real_root: Path) -> pl.DataFrame:
    return pl.read_csv(gzip.open(real_root / RAW).read(), infer_schema=False, null_values=[""])


@pytest.mark.slow
def test_each_reason_counts_what_the_raw_file_holds(store, raw) -> None:
    counts = [v.counts for v in store[0].versions]
    assert len(counts) == 13
    aside = sum((Counter(dict(c.set_aside)) for c in counts), Counter())
    assert aside["missing_user"] == raw.filter(pl.col("CustomerID").is_null()).height == 135_080
    known = raw.filter(pl.col("CustomerID").is_not_null())
    assert aside["cancellation"] == known.filter(~KEPT).height == 8_905
    assert aside["not_a_product"] == known.filter(KEPT & ~PRODUCT).height == 1_554
    clean = raw.filter(KEPT & PRODUCT)
    events = clean.unique(["CustomerID", "StockCode", "InvoiceDate"])
    assert sum(c.duplicate for c in counts) == clean.height - events.height == 10_092
    assert sum(c.repeat for c in counts) == events.height - events.unique(["CustomerID", "StockCode"]).height == 120_052
    assert sum(c.read for c in counts) == 541_909


@pytest.mark.slow
def test_each_first_purchase_is_an_event_and_nothing_else_is(store, raw) -> None:
    first = raw.filter(KEPT & PRODUCT).group_by("CustomerID", "StockCode").agg(pl.col("InvoiceDate").min())
    expected = first.select(
        pl.col("CustomerID").str.strip_suffix(".0").alias("user"),  # a column of whole floats is one of integers
        pl.col("StockCode").alias("item"),
        pl.col("InvoiceDate").str.to_datetime().dt.replace_time_zone("UTC").cast(WHEN).alias("time"),
    )
    found = store[0].rows().select(pl.col("user", "item").cast(pl.String), pl.col("time").cast(WHEN)).collect()
    assert found.height == 266_226
    assert found.sort(found.columns).equals(expected.sort(expected.columns))


@pytest.mark.slow
def test_each_row_set_aside_is_the_row_of_its_file(store, raw) -> None:
    at, months = store
    lines = {f.name: list(csv.reader(f.open(newline=""))) for f in months.iterdir()}
    seen = 0
    for version in at.versions:
        for text in at.aside_of(version)[0].open():
            row = json.loads(text)
            assert next(csv.reader([row["raw"]])) == lines[row["file"]][row["row"] - 1]
            seen += 1
    assert seen == raw.height - raw.filter(KEPT & PRODUCT).height == 145_539
