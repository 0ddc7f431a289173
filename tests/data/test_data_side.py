"""Side information of items: read from any format, joined by id, refused where it cannot be."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from gnnrec.core.errors import GnnrecError
from gnnrec.data.datasets import File
from gnnrec.data.side import joined, vectors

LOG = "user,item,rating,time\nu,007,4,1400000000\nv,7,5,1400000001\nw,x,5,1400000002\n"
FRAME = pl.DataFrame(
    {"code": ["007", "7", "7", "other"], "genre": ["spy", "film", "again", None], "year": ["1962", "1995", "1", "2"]}
)


def side_of(write, tmp_path, **side):
    return File(path=write("log.csv", LOG), side=side).load()


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_columns_are_joined_by_the_exact_id_and_the_first_row_counts(write, tmp_path, kind):
    path = tmp_path / f"items.{kind}"
    {"csv": FRAME.write_csv, "parquet": FRAME.write_parquet, "jsonl": FRAME.write_ndjson}[kind](path)
    data = side_of(write, tmp_path, file=str(path), id="code", columns=["genre"])
    table = joined(data.side, data.item_ids)
    assert table["item"].to_list() == ["007", "7", "x"]
    assert table["genre"].to_list() == ["spy", "film", None]
    assert any("genre for 2 of 3 items" in note for note in data.notes)


def test_all_columns_are_kept_where_none_is_named(write, tmp_path):
    FRAME.write_csv(tmp_path / "items.csv")
    data = side_of(write, tmp_path, file=str(tmp_path / "items.csv"), id="code")
    assert data.side.columns == ["item", "genre", "year"]


@pytest.mark.parametrize("text", ["0.5 1 -2", "[0.5, 1, -2]", "0.5;1;-2"])
def test_vectors_in_text_are_numbers(write, tmp_path, text):
    (tmp_path / "items.csv").write_text(f'code,embedding\n007,"{text}"\n7,"{text}"\nx,\n')
    data = side_of(write, tmp_path, file=str(tmp_path / "items.csv"), id="code", vector="embedding")
    assert data.side["embedding"].dtype == pl.Array(pl.Float32, 3)
    assert np.allclose(data.side["embedding"][0], [0.5, 1, -2])
    assert data.side["embedding"].null_count() == 1


def test_vectors_in_parquet_are_read_as_they_are(write, tmp_path):
    frame = pl.DataFrame({"code": ["007", "7"], "embedding": [[1.0, 2.0], [3.0, 4.0]]})
    frame.write_parquet(tmp_path / "items.parquet")
    data = side_of(write, tmp_path, file=str(tmp_path / "items.parquet"), id="code", vector="embedding")
    assert data.side["embedding"].to_list() == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("content", "side", "said"),
    [
        ("code,v\n007,1 2\n7,1 2 3\n", {"id": "code", "vector": "v"}, "must have one length, found 2 to 3"),
        ("code,v\n007,1 a\n", {"id": "code", "vector": "v"}, "not all numbers"),
        ("code,v\n007,1 inf\n", {"id": "code", "vector": "v"}, "not finite"),
        ("code,v\n007,1\n", {"id": "cod"}, "did you mean 'code'"),
        ("code,v\n007,1\n", {"id": "code", "columns": ["w"]}, "no column 'w'"),
        ("code,v\n007,1\n", {"id": "code", "colums": ["v"]}, "did you mean 'columns'"),
        ("code,v\n007,1\n", {}, "needs file and id"),
    ],
)
def test_what_cannot_be_joined_is_refused(write, tmp_path, content, side, said):
    (tmp_path / "items.csv").write_text(content)
    with pytest.raises(GnnrecError, match=said):
        side_of(write, tmp_path, file=str(tmp_path / "items.csv"), **side)


def test_a_missing_file_is_refused(write, tmp_path):
    with pytest.raises(GnnrecError, match="does not exist"):
        side_of(write, tmp_path, file=str(tmp_path / "none.csv"), id="code")


def test_ids_are_joined_as_the_log_writes_them(write, tmp_path):
    pl.DataFrame({"code": [" 007 ", "e\u0301"], "genre": ["spy", "accent"]}).write_csv(tmp_path / "items.csv")
    log = "user,item,rating,time\nu,007,4,1400000000\nu,\u00e9,4,1400000001\n"
    side = {"file": str(tmp_path / "items.csv"), "id": "code"}
    data = File(path=write("log.csv", log), side=side, normalise_ids=True).load()
    assert joined(data.side, data.item_ids)["genre"].to_list() == ["spy", "accent"]


def test_words_become_signed_places_by_column_and_word(write, tmp_path):
    frame = pl.DataFrame(
        {"code": ["007", "7", "x"], "genre": ["Spy|Sci-Fi", "sci-fi spy, Spy", None], "t": ["a", "", ""]}
    )
    frame.write_csv(tmp_path / "items.csv")
    side = {"file": str(tmp_path / "items.csv"), "id": "code", "hashed": ["genre", "t"], "width": 1000}
    data = side_of(write, tmp_path, **side)
    found = vectors(data.side, ["007", "7", "x", "unknown"]).item
    assert found.shape == (4, 1000)
    assert np.abs(found[:2]).sum(1).tolist() == [3, 2]  # spy, sci-fi, a; and the two genres once each
    assert np.abs(found[0] - found[1]).sum() == 1
    assert np.isnan(found[2:]).all()
    assert data.side["genre"].to_list()[:2] == ["Spy|Sci-Fi", "sci-fi spy, Spy"]


def test_a_vector_comes_before_hashed_words(write, tmp_path):
    (tmp_path / "items.csv").write_text("code,v,genre\n007,1 2,spy\n7,3 4,\n")
    side = {"file": str(tmp_path / "items.csv"), "id": "code", "vector": "v", "hashed": "genre", "width": 3}
    found = vectors(side_of(write, tmp_path, **side).side, ["7", "007"]).item
    assert found[:, :2].tolist() == [[3, 4], [1, 2]]
    assert np.isnan(found[0, 2:]).all()
    assert np.abs(found[1, 2:]).sum() == 1


def test_columns_of_a_file_without_header_are_numbers(write, tmp_path):
    write("items.dat", "007::Dr. No (1962)::Spy|Film\n7::Se7en (1995)::Film\nx::It (2017)::Horror\n")
    side = {"file": str(tmp_path / "items.dat"), "id": 0, "hashed": [1, 2], "columns": ["2"]}
    data = side_of(write, tmp_path, **side)
    assert vectors(data.side, data.item_ids).item.shape == (3, 64)
    assert data.side["2"].to_list() == ["Spy|Film", "Film", "Horror"]


@pytest.mark.parametrize(
    ("side", "said"),
    [
        ({"hashed": ["genr"]}, "did you mean 'genre'"),
        ({"hashed": ["genre"], "width": 0}, "data.side.width=0 must be a whole number above 0"),
        ({"hashd": ["genre"]}, "did you mean 'hashed'"),
    ],
)
def test_what_cannot_be_hashed_is_refused(write, tmp_path, side, said):
    FRAME.write_csv(tmp_path / "items.csv")
    with pytest.raises(GnnrecError, match=said):
        side_of(write, tmp_path, file=str(tmp_path / "items.csv"), id="code", **side)
