"""RecBole's atomic files, in and out: types, side information, pre-split files, the padding, ids that RecBole would lose."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal

from gnnrec.core.errors import GnnrecError
from gnnrec.data.stream.cuts import ByColumn, ByCount
from gnnrec.interop.atomic import RecBoleFiles
from gnnrec.interop.extract import Extract, split, whole
from gnnrec.interop.recbole import MISSING, PADDING, write_recbole
from gnnrec.interop.tokens import from_recbole
from gnnrec.testing.datasets import DatasetContract
from gnnrec.testing.worlds import dataset, some_rows

INTER = """user_id:token	item_id:token	rating:float	timestamp:float
196	242	3	881250949
186	302	3.5	891717742
22	377	1	878887116
244	51	2	880606923
"""
ITEM = "\n".join(
    "\t".join(row)
    for row in (
        ("item_id:token", "movie_title:token_seq", "year:token", "class:token_seq", "vector:float_seq", "price:float"),
        ("242", "Toy Story", "1995", "Animation Comedy", "1 2.5", "3"),
        ("302", "L.A. Confidential", "1997", "Crime", "0 1", ""),
        ("51", "", "", "", "", "4.5"),
        ("[PAD]", "none", "0", "", "", "1"),
    )
)
USER = "user_id:token	age:token	gender:token\n196	49	M\n22	21	F\n"


@pytest.fixture
def folder(tmp_path):
    target = tmp_path / "toy"
    target.mkdir()
    for suffix, text in (("inter", INTER), ("item", ITEM), ("user", USER)):
        (target / f"toy.{suffix}").write_text(text)
    return target


def events(log):
    return sorted(zip(log.user, log.item, log.value, log.time, strict=True))


class TestRecBoleFiles(DatasetContract):
    @pytest.fixture(autouse=True)
    def _files(self, tmp_path):
        user, item, value = zip(*some_rows(300), strict=True)
        log = dataset(user, item, np.array(value), 1e9 + np.arange(300.0))
        write_recbole(whole(log), tmp_path / "contract")
        self.make = lambda: RecBoleFiles(tmp_path / "contract")


def test_fields_are_read_by_their_types(folder):
    log = RecBoleFiles(folder).load()
    assert events(log)[0] == ("186", "302", 3.5, 891717742.0)
    assert log.name == "toy"
    side = log.side.filter(item="242").row(0, named=True)
    assert side["class"] == ["Animation", "Comedy"]
    assert side["year"] == "1995"
    assert side["price"] == 3.0
    assert log.side.schema["vector"] == pl.Array(pl.Float32, 2)
    assert log.side.filter(item="51").row(0, named=True)["class"] == []
    assert log.titles == {"242": "Toy Story", "302": "L.A. Confidential"}
    assert dict(log.user_side.select("user", "gender").rows()) == {"196": "M", "22": "F"}
    assert PADDING not in log.side["item"]


def test_vectors_and_hashed_words_reach_a_stream_as_features(folder):
    log = RecBoleFiles(folder, hashed=["class", "year"], width=8).load()
    features = ByCount(increments=1).build(log).features.item
    assert features.shape == (4, 2 + 8)
    known = dict(zip(ByCount(increments=1).build(log).items, ~np.isnan(features).any(1), strict=True))
    assert known == {"242": True, "302": True, "377": False, "51": False}


def test_the_padding_is_no_user_and_no_item(folder):
    (folder / "toy.inter").write_text(INTER + f"{PADDING}\t51\t2\t880606923\n1\t{PADDING}\t2\t880606923\n")
    log = RecBoleFiles(folder).load()
    assert log.counts.set_aside == {"padding": 2}
    assert len(log) == 4


def loaded(tokens, items, numbers):
    """Return what a data set of RecBole looks like once it is loaded: numbers from 1, and a table whose 0 is the padding."""
    table = {"user_id": np.array([PADDING, *tokens]), "item_id": np.array([PADDING, *items])}
    return SimpleNamespace(
        inter_feat=numbers, field2id_token=table, uid_field="user_id", iid_field="item_id", time_field="timestamp"
    )


def test_recboles_numbers_become_the_tokens_that_they_stand_for():
    numbers = {"user_id": np.array([1, 2, 1, 0]), "item_id": np.array([2, 1, 1, 1]), "timestamp": 9e8 + np.arange(4.0)}
    log = from_recbole(loaded(["0", "1"], ["x", "y"], numbers))
    assert list(zip(log.user, log.item, strict=True)) == [("0", "y"), ("1", "x"), ("0", "x")]
    assert log.counts.set_aside == {"missing_user": 1}


def test_times_in_single_precision_are_refused_unless_left_out():
    numbers = {"user_id": np.array([1, 1]), "item_id": np.array([1, 2]), "timestamp": np.float32([9e8, 9e8 + 7])}
    assert numbers["timestamp"][0] == numbers["timestamp"][1]  # seconds are lost
    given = loaded(["a"], ["x", "y"], numbers)
    with pytest.raises(GnnrecError, match="single precision by now"):
        from_recbole(given)
    assert from_recbole(given, time=False).time is None
    with pytest.raises(GnnrecError, match="no data set of RecBole's"):
        from_recbole(object())


def test_a_log_comes_back_as_it_went(folder, tmp_path):
    log = RecBoleFiles(folder).load()
    write_recbole(whole(log), tmp_path / "again")
    again = RecBoleFiles(tmp_path / "again").load()
    assert events(again) == events(log)
    occur = pl.Series(["242", "302", "51"])
    assert_frame_equal(again.side, log.side.filter(pl.col("item").is_in(occur.implode())), check_row_order=False)
    assert_frame_equal(again.user_side, log.user_side, check_row_order=False)


def test_ids_that_look_like_numbers_blanks_quotes_and_other_scripts_stay_as_they_are(tmp_path):
    ids = ["007", "1.50", " a b ", 'say "hi"', '"', "ключ", "a,b;c|d::e", "1e3"]
    log = dataset(ids, ids[::-1], np.arange(8.0), 1e9 + np.arange(8.0))
    write_recbole(whole(log), tmp_path / "odd")
    assert events(RecBoleFiles(tmp_path / "odd").load()) == events(log)


def test_an_implicit_log_has_no_rating_and_one_without_times_no_timestamp(tmp_path):
    log = replace(dataset("ab", "xy", np.ones(2), None), feedback="implicit")
    write_recbole(whole(log), tmp_path / "bare")
    assert (tmp_path / "bare" / "bare.inter").read_text() == "user_id:token\titem_id:token\na\tx\nb\ty\n"
    said = yaml.safe_load((tmp_path / "bare" / "bare.yaml").read_text())
    assert "TIME_FIELD" not in said
    assert said["eval_args"]["order"] == "RO"
    assert said["load_col"] == {"inter": ["user_id", "item_id"]}


@pytest.mark.parametrize("word", [*MISSING[-4:], PADDING])
def test_ids_that_recbole_takes_for_missing_are_refused(tmp_path, word):
    log = dataset(["u", word], ["x", "y"], np.ones(2), np.arange(2.0))
    with pytest.raises(GnnrecError, match="cannot tell the user_id"):
        write_recbole(whole(log), tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


def test_the_name_of_the_data_set_that_recbole_brings_along_is_refused(tmp_path):
    log = dataset("ab", "xy", np.ones(2), np.arange(2.0))
    with pytest.raises(GnnrecError, match="a copy of its own under the name ml-100k"):
        write_recbole(whole(log), tmp_path / "ml-100k")


def test_words_of_a_list_and_line_ends_of_a_text_cannot_break_a_line(tmp_path):
    parts = {"": pl.DataFrame({"user": ["u"], "item": ["x"], "value": [1.0]})}
    items = pl.DataFrame({"item": ["x"], "tags": [["sci fi", "new\tone"]], "text": ["two\nlines"]})
    write_recbole(Extract(parts, items), tmp_path / "t")
    assert (tmp_path / "t" / "t.item").read_text().splitlines()[1] == "x\tsci_fi new_one\ttwo lines"


@pytest.fixture(scope="module")
def log():
    user, item, value = zip(*some_rows(300), strict=True)
    return dataset(user, item, np.array(value), 1e9 + np.arange(300.0))


@pytest.fixture(scope="module")
def stream(log):
    return ByCount(increments=3, base=0.4).build(log)


def test_a_split_is_written_as_benchmark_files_and_read_back_as_the_same_split(log, stream, tmp_path):
    given = split(log, stream, 1)
    files = write_recbole(given, tmp_path / "cut")
    assert [f.name for f in files] == ["cut.train.inter", "cut.valid.inter", "cut.test.inter", "cut.yaml"]
    back = RecBoleFiles(tmp_path / "cut").load(keep=("increment", "part"))
    again = ByColumn("increment", "part", split="column").build(back)
    found = split(back, again, 0)
    for part, frame in given.parts.items():
        assert_frame_equal(found.parts[part], frame, check_row_order=False)


def test_recboles_settings_name_files_fields_and_lists_that_are_not_longer_than_the_items(log, stream, tmp_path):
    write_recbole(split(log, stream, 1), tmp_path / "cut", {"seed": 7})
    said = yaml.safe_load((tmp_path / "cut" / "cut.yaml").read_text())
    assert said["benchmark_filename"] == ["train", "valid", "test"]
    assert (said["data_path"], said["dataset"]) == (str(tmp_path), "cut")
    assert said["topk"] == [10, 20]
    assert len(log.item_ids) == 20
    assert (said["eval_args"]["mode"], said["eval_args"]["order"], said["repeatable"], said["seed"]) == (
        "full",
        "TO",
        False,
        7,
    )


def test_parts_may_have_other_names_and_folders_several_data_sets(log, stream, tmp_path):
    write_recbole(split(log, stream, 1), tmp_path / "cut")
    for old, new in (("train", "a"), ("valid", "b"), ("test", "c")):
        (tmp_path / "cut" / f"cut.{old}.inter").rename(tmp_path / "cut" / f"cut.{new}.inter")
    assert len(RecBoleFiles(tmp_path / "cut", parts=["a", "b", "c"]).load()) > 100
    with pytest.raises(GnnrecError, match=r"lacks cut.z.inter"):
        RecBoleFiles(tmp_path / "cut", parts=["a", "b", "z"]).load()
    with pytest.raises(GnnrecError, match=r"several data sets: cut\.a, cut\.b, cut\.c; name one by data\.dataset"):
        RecBoleFiles(tmp_path / "cut").load()
    with pytest.raises(GnnrecError, match="must name three parts"):
        RecBoleFiles(tmp_path / "cut", parts=["a", "b"])


@pytest.mark.parametrize(
    ("head", "why"),
    [("user_id,item_id", "no atomic file"), ("user_id:token\titem_id:int", "'item_id:int' where NAME:TYPE belongs")],
)
def test_a_file_without_types_is_no_atomic_file(folder, head, why):
    (folder / "toy.inter").write_text(head + "\n1\t2\n")
    with pytest.raises(GnnrecError, match=why):
        RecBoleFiles(folder).load()


def test_what_is_missing_or_odd_is_said(folder, tmp_path):
    for path, why in (
        (None, "needs the folder"),
        (tmp_path / "no", "does not exist"),
        (tmp_path, "holds no NAME.inter"),
    ):
        with pytest.raises(GnnrecError, match=why):
            RecBoleFiles(path).load()
    (folder / "toy.item").write_text("id:token\tyear:token\n1\t2\n")
    with pytest.raises(GnnrecError, match="has no field 'item_id'"):
        RecBoleFiles(folder).load()
    (folder / "toy.item").write_text("item_id:token\tprice:float\n242\tcheap\n")
    with pytest.raises(GnnrecError, match="'price' is float and holds no numbers"):
        RecBoleFiles(folder).load()
    (folder / "toy.item").unlink()
    with pytest.raises(GnnrecError, match="has no field 'class'"):
        RecBoleFiles(folder, hashed=["class"]).load()


def test_lists_of_events_are_not_read_and_that_is_said(folder):
    (folder / "toy.inter").write_text("user_id:token\titem_id_list:token_seq\titem_id:token\nu\ta b\tc\n")
    log = RecBoleFiles(folder).load()
    assert list(log.item) == ["c"]
    assert any("lists in item_id_list are not read" in note for note in log.notes)
