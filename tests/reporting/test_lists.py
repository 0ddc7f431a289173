"""Five users' lists side by side: hits and new places are words, what left is named, and nothing is shown that may not be."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser

import polars as pl
import pytest

from gnnrec.evaluation.record import EXAMPLES
from gnnrec.evaluation.results import summary
from gnnrec.reporting.headings.around import more
from gnnrec.reporting.headings.content import ExampleLists, PageContent
from gnnrec.reporting.headings.lists import lists
from gnnrec.reporting.worth.columns import with_worth

Make = Callable[..., pl.DataFrame]
EVIL = "<b>&\u202e"


def listed(
    strategy: str,
    scorer: str,
    t: int,
    items: Sequence[int],
    user: str = "ann",
    seed: int | None = 0,
    known: bool = True,
) -> pl.DataFrame:
    rows = [(strategy, scorer, seed, t, 4, user, known, n, i, i in (7, 9)) for n, i in enumerate(items, 1)]
    return pl.DataFrame(rows, schema=EXAMPLES, orient="row")


FRAME = pl.concat(
    [
        listed("full_retrain", "blend", 2, [1, 2, 3]),
        listed("full_retrain", "blend", 3, [7, 2, 3]),
        listed("full_retrain", "blend", 3, [5, 5, 5], seed=1),
        listed("full_retrain", "model", 3, [6]),
        listed("decayed_popularity", "reference", 2, [4, 9], seed=None),
        listed("decayed_popularity", "reference", 3, [4, 9], seed=None),
        listed("full_retrain", "blend", 2, [1], user="bob", known=False),
        listed("full_retrain", "blend", 3, [1], user="bob", known=False),
        listed("decayed_popularity", "reference", 3, [4], user="bob", seed=None, known=False),
    ]
)
TITLES = {1: "One", 2: "Two", 3: "Three", 4: EVIL, 7: "Seven", 9: "Nine"}
GIVEN = ExampleLists(FRAME, TITLES, {"ann": [7, 9, 8], "bob": []})


@pytest.fixture
def content(results: pl.DataFrame) -> Callable[..., PageContent]:
    table = with_worth(summary(results), None, results, 100.0)
    return lambda given, rows=table: PageContent("t", "", rows, "", "", (), "", lists=given)


class Outline(HTMLParser):
    """Texts by what they stand in: a heading before them, and the item of a list."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.at: dict[str, str] = {}
        self.places: dict[tuple[str, str], list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        if tag == "li":
            self.places.setdefault((self.at["h3"], self.at["h4"]), []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1] in ("h3", "h4"):
            self.at[self.open[-1]] = data
        if "li" in self.open:
            self.places[self.at["h3"], self.at["h4"]][-1] += data


def test_lists_stand_side_by_side_with_words_for_hits_and_what_is_new(content: Callable[..., PageContent]) -> None:
    text = lists(content(GIVEN))
    found = Outline()
    found.feed(text)
    assert found.open == []
    assert found.places == {
        ("User ann (known)", "full_retrain (blend)"): ["Seven hit new", "Two", "Three"],
        ("User ann (known)", "decayed_popularity"): ["<b>&", "Nine hit"],
        ("User bob (new: nothing of the user was known)", "full_retrain (blend)"): ["One"],
        ("User bob (new: nothing of the user was known)", "decayed_popularity"): ["<b>& new"],
    }
    assert "No longer there: One." in text
    assert "Takes next: Seven; Nine; 8." in text, "what has no title is told by its number"
    assert text.count('<div class="pair">') == 2
    assert text.count('<li class="hit">') == 2
    assert "<summary>What 2 users are shown</summary>" in text
    assert "users of increment 4" in text
    assert text in more(content(GIVEN)), "heading 8 has it"


def test_beside_a_cheaper_row_stands_full_retraining(
    content: Callable[..., PageContent], results: pl.DataFrame
) -> None:
    best = pl.when(pl.col("strategy") == "replay", scorer="blend").then(0.9).otherwise("recall@20_all")
    table = with_worth(summary(results).with_columns(best.alias("recall@20_all")), None, results, 100.0)
    frame = pl.concat([FRAME, listed("replay", "blend", 3, [2])])
    text = lists(content(ExampleLists(frame, TITLES), table))
    assert re.findall("<h4>(.*?)</h4>", text)[:2] == ["replay (blend)", "full_retrain (blend)"]


def test_many_that_are_taken_are_counted(content: Callable[..., PageContent]) -> None:
    text = lists(content(ExampleLists(FRAME, {}, {"ann": list(range(14))})))
    assert "Takes next: 0; 1; 2; 3; 4; 5; 6; 7; 8; 9, and 4 more." in text


@pytest.mark.parametrize("kind", ["why", "no row ranks", "nothing known"])
def test_where_there_are_none_it_says_why(content: Callable[..., PageContent], kind: str) -> None:
    given = {
        "why": ExampleLists(pl.DataFrame(), why="because"),
        "no row ranks": ExampleLists(listed("other", "model", 3, [1])),
        "nothing known": None,
    }[kind]
    text = lists(content(given))
    assert "<ol>" not in text
    assert {"why": "because", "no row ranks": "n/a", "nothing known": ""}[kind] in text
    assert bool(text) == (given is not None)
