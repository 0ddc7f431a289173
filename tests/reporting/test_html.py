"""The page is one file: well formed, everything embedded, every text escaped, nine questions in order."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gnnrec.core.errors import GnnrecError
from gnnrec.evaluation.results import summary
from gnnrec.reporting import figures, html, page
from gnnrec.reporting.answer import answer
from gnnrec.reporting.headings.content import PageContent
from gnnrec.reporting.worth.columns import with_worth

Make = Callable[..., pl.DataFrame]

EVIL = "<script>alert('x')</script>\u202e\"&\n<img src=x onerror=y>"
VOID = {"meta", "img", "br"}
QUESTIONS = (
    *("What should I serve?", "How far is it from full retraining?", "What did each row reach, and what did it cost?"),
    *(
        "How often should I update?",
        "How did it go over time?",
        "What were the data like?",
        "Are the differences real?",
    ),
    *("What else was measured?", "How do I get this again?"),
)


class Strict(HTMLParser):
    """Collects tags, attributes and headings, and refuses tags that do not close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[tuple[int, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if re.fullmatch("h[1-6]", tag):
            self.headings.append((int(tag[1]), ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and re.fullmatch("h[1-6]", self.open[-1]):
            self.headings[-1] = (self.headings[-1][0], self.headings[-1][1] + data)


def parsed(text: str) -> Strict:
    parser = Strict()
    parser.feed(text)
    assert parser.open == []
    return parser


def report(pretend: Make, tmp_path: Path, drawn: bool = False, **changes: Any) -> tuple[str, Strict]:
    results = pretend(3, 2)
    given: dict[str, Any] = {
        "title": "t",
        "answer": "a",
        "summary": summary(results),
        "data_text": "rows\n  read 10",
        "config_text": "seed: 0",
        "notes": ["n"],
        "protocol_text": "one\n\ntwo",
        "details": html.increments_and_segments(results),
    }
    if drawn:
        table = with_worth(summary(results), None, results, 100.0)
        shown = figures.inline(figures.draw_all(results, table, None)[0])
        given |= {"summary": table, "results": results, "figures": shown, "answer": answer(table)}
    html.write(path := tmp_path / "out" / "report.html", PageContent(**(given | changes)))
    text = path.read_text(encoding="utf-8")
    return text, parsed(text)


@pytest.mark.parametrize("drawn", [False, True])
def test_one_file_with_everything_inside(pretend: Make, tmp_path: Path, drawn: bool) -> None:
    text, found = report(pretend, tmp_path, drawn)
    assert not {"script", "link", "iframe", "object", "base", "form"} & {tag for tag, _ in found.tags}
    for tag, attrs in found.tags:
        assert (attrs.get("src") or "data:").startswith("data:"), tag
        assert (attrs.get("href") or "#").startswith(("#", "data:")), tag
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text.replace("url(#", "")
    assert len(text.encode()) < 1_500_000
    policy = next(a["content"] for t, a in found.tags if t == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["report.html"]


@pytest.mark.parametrize("drawn", [False, True])
def test_nine_questions_in_order_and_no_level_is_left_out(pretend: Make, tmp_path: Path, drawn: bool) -> None:
    _, found = report(pretend, tmp_path, drawn)
    asked = [text for level, text in found.headings if level == 2]
    assert asked == [f"{n}. {text}" for n, text in enumerate(QUESTIONS, 1)]
    levels = [level for level, _ in found.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_it_can_be_read_out_and_used_by_keys(pretend: Make, tmp_path: Path) -> None:
    text, found = report(pretend, tmp_path, drawn=True)
    kinds = [tag for tag, _ in found.tags]
    assert kinds.count("table") == kinds.count("caption") > 5
    assert all(attrs.get("scope") in ("col", "row") for tag, attrs in found.tags if tag == "th")
    drawn = [attrs for tag, attrs in found.tags if tag == "svg"]
    assert len(drawn) > 8
    assert all(attrs.get("role") == "img" and len(attrs.get("aria-label") or "") > 20 for attrs in drawn)
    scrolled = [attrs for _, attrs in found.tags if attrs.get("class") == "scroll"]
    assert all(a.get("tabindex") == "0" and a.get("role") == "region" and a.get("aria-label") for a in scrolled)
    names = [attrs["id"] for _, attrs in found.tags if "id" in attrs]
    assert len(set(names)) == len(names)
    links = [str(attrs["href"])[1:] for _, attrs in found.tags if (attrs.get("href") or "").startswith("#")]
    assert set(links) <= set(names)
    assert set(re.findall(r"url\(#([^)]*)\)", text)) <= set(names)
    assert ":focus-visible" in text
    assert "prefers-color-scheme: dark" in text
    assert "details::details-content" in text


def test_figures_take_the_colours_of_the_page(pretend: Make, tmp_path: Path) -> None:
    text, _ = report(pretend, tmp_path, drawn=True)
    svg = "".join(re.findall("<svg.*?</svg>", text, re.DOTALL))
    assert "currentColor" in svg
    assert "var(--c0)" in svg
    assert not re.search("#222222|#6b6b6b|#0072b2", svg)
    used = set(re.findall(r"var\((--\w+)\)", svg))
    for block in re.findall(r":root \{(.*?)\n  ?\}", text.replace("\n}", "\n }"), re.DOTALL)[:2]:
        assert used - {"--w"} <= set(re.findall(r"(--\w+):", block))


def luminance(colour: str) -> float:
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("block", [0, 1])
def test_text_has_contrast_light_and_dark(block: int) -> None:
    css = page.CSS.read_text()
    colours = dict(re.findall(r"(--\w+): (#\w{6})", css.split(":root {")[1 + block].split("}")[0]))
    for front, least in (("--ink", 7), ("--muted", 4.5), ("--accent", 4.5), *((f"--c{n}", 2.5) for n in range(10))):
        for back in ("--paper", "--card") if least > 3 else ("--paper",):
            one, other = sorted((luminance(colours[front]), luminance(colours[back])), reverse=True)
            assert (one + 0.05) / (other + 0.05) >= least, (front, back)


@pytest.mark.parametrize(
    "kind",
    [
        lambda make: make(1, 1, {"fine_tune": (0.165, 0.001, 1.8)}),
        lambda make: make(4, 1).filter(pl.col("scorer") == "reference"),
        lambda make: make(6, 2).filter(pl.col("strategy") != "full_retrain"),
        lambda make: make(6, 1).filter(pl.col("split") == "next", pl.col("metric") == "mse"),
        lambda make: make(30, 1),
    ],
)
def test_what_is_not_there_is_a_line(pretend: Make, tmp_path: Path, kind: Callable[[Make], pl.DataFrame]) -> None:
    results = kind(pretend)
    table = with_worth(summary(results), None, results, 100.0)
    shown = figures.inline(figures.draw_all(results, table, None)[0])
    text, found = report(pretend, tmp_path, summary=table, results=results, figures=shown, details=())
    assert len([level for level, _ in found.headings if level == 2]) == 9
    sections = re.split("<section ", text)[1:]
    assert all(re.search("<p|<div|<figure|<details|<ul", s) for s in sections)
    assert "None" not in text
    if not table.filter(strategy="full_retrain").height:
        assert "the distance to it is n/a" in text


def test_policies_are_set_beside_each_other_by_what_they_served(pretend: Make, tmp_path: Path) -> None:
    results = pretend(4, 1)
    waits = results.filter(strategy="stale", scorer="model", split="cost", metric="seconds")
    waits = waits.filter(pl.col("trained_to").is_in([1, 3])).with_columns(
        split=pl.lit("policy"), metric=pl.lit("waits")
    )
    text, _ = report(pretend, tmp_path, summary=summary(results), results=pl.concat([results, waits]))
    rows = re.findall(r"<tr><th[^>]*>stale</th><td[^>]*>model</td>(.*?)</tr>", text)
    assert any("<td>2.0 of 4</td>" in row for row in rows)
    assert "Every row was updated with every increment" not in text
    assert "Every row was updated with every increment" in report(pretend, tmp_path, results=results)[0]


def test_sums_of_seconds_end_with_that_of_all_updates(pretend: Make, tmp_path: Path) -> None:
    results = pretend(30, 1)
    text, _ = report(pretend, tmp_path, summary=summary(results), results=results)
    heads = re.findall(r"<th[^>]*>to (\d+)</th>", text)
    assert heads[-1] == "30"
    assert 6 < len(heads) <= 12


def test_where_no_row_ranks_the_one_with_the_lowest_error_is_bold(pretend: Make, tmp_path: Path) -> None:
    results = pretend(6, 1).filter(pl.col("metric").is_in(["mse", "seconds"]))
    text, _ = report(pretend, tmp_path, summary=summary(results), results=results, details=())
    assert "Rows are compared by their squared error" in text
    best = min(summary(results).drop_nulls("mse").rows(named=True), key=lambda row: row["mse"])
    bold = re.findall(r'<tr class="best"><th[^>]*>(.*?)</th><td[^>]*>(.*?)</td>', text)
    assert set(bold) == {(best["strategy"], best["scorer"])}


def test_a_row_is_no_gain_over_itself(pretend: Make, tmp_path: Path) -> None:
    results = pretend(6, 1, {"stale": (0.17, 0.0, 0.1)})
    table = with_worth(summary(results), None, results, 100.0)
    text, _ = report(pretend, tmp_path, summary=table, results=results)
    tile = re.search(r"Gain over doing nothing</p>(.*?)</div>", text)
    assert tile is not None
    assert "it is this row that is to be served" in tile[1]


def test_every_text_is_escaped(pretend: Make, tmp_path: Path) -> None:
    results = (
        pretend(2, 1)
        .with_columns(strategy=pl.lit(EVIL))
        .unique(["scorer", "seed", "trained_to", "evaluated_on", "split", "segment", "metric"], keep="first")
    )
    table = with_worth(summary(results), None, results, 10.0)
    text, found = report(
        pretend,
        tmp_path,
        title=EVIL,
        answer=EVIL,
        summary=table,
        results=results,
        figures=figures.inline(figures.draw_all(results, table, None)[0]),
        data_text=EVIL,
        config_text=EVIL,
        notes=[EVIL],
        warnings=[EVIL],
        record={"command": EVIL, EVIL: EVIL},
        changed=[EVIL],
        protocol_text=EVIL,
        details=[(EVIL, pl.DataFrame({EVIL: [EVIL], "x": [0.5]}))],
    )
    assert "<script" not in text
    assert "<img src=x" not in text
    assert "\u202e" not in text
    assert all("onerror" not in attrs for _, attrs in found.tags)
    assert text.count("&lt;script&gt;") > 8


def test_what_was_scored_stands_at_each_increment_and_segment(pretend: Make) -> None:
    found = dict(html.increments_and_segments(pretend(3, 2)))
    assert "2 (1,010 users)" in found["recall@20 on each next increment, all users"].columns
    assert "2 (1,010 events)" in found["MSE on each next increment"].columns
    (segments,) = (frame for heading, frame in found.items() if "by segment" in heading)
    assert "new_user (n 2,030)" in segments.columns  # 1,010 + 1,020


def test_the_answer_keeps_its_lines(pretend: Make, tmp_path: Path) -> None:
    text, _ = report(pretend, tmp_path, answer="one <b>\ntwo")
    assert '<p class="answer"><span>one &lt;b&gt;</span><span>two</span></p>' in text


def test_lone_surrogates_and_control_codes_do_not_break_it(pretend: Make, tmp_path: Path) -> None:
    text, _ = report(pretend, tmp_path, title="a\ud800\x00b", data_text="x\ud800\x07y\nz")
    assert "a b" in text
    assert "x  y\nz" in text


def test_the_table_differences_and_details_are_in_it(pretend: Make, tmp_path: Path) -> None:
    row: dict[str, Any] = {
        "strategy": "replay",
        "scorer": "model",
        "reference": "full_retrain",
        "reference_scorer": "model",
    }
    row |= {"metric": "recall@20", "difference": 0.9123, "low": 0.001, "high": 0.02, "p": 0.031, "wide_low": None}
    row |= {"wide_high": None, "wide_p": None, "as_good": "cannot tell", "detectable": 0.004, "users": 12345}
    best = row | {"reference": "full_retrain", "reference_scorer": "blend", "difference": 0.0321}
    text, _ = report(pretend, tmp_path, tests=pl.DataFrame([row, best]))
    for want in ("recall@20 known", "full_retrain / model", "0.0010 to 0.0200", "12,345", "0.0310", "by segment"):
        assert want in text
    assert text.count("0.0321") == 2  # the best row's pairs first, then all of them
    assert text.count("0.9123") == 1
    assert text.count("less is better") == 0
    both, _ = report(pretend, tmp_path, tests=pl.DataFrame([row, row | {"metric": "mse", "difference": -0.0456}]))
    assert (
        both.index("0.9123") < both.index("recall@20, row minus") < both.index("-0.0456") < both.index("less is better")
    )
    assert re.search(r"<pre>rows\n  read 10</pre>", text)
    assert "Not tested" in report(pretend, tmp_path)[0]


def test_the_row_to_serve_is_bold_and_in_the_first_tile(pretend: Make, tmp_path: Path) -> None:
    text, _ = report(pretend, tmp_path, drawn=True)
    tiles = re.findall(r'<p class="value">(.*?)</p>', text)
    assert len(tiles) == 4
    assert tiles[0] == "full_retrain (blend)"
    bold = re.findall(r'<tr class="best"><th[^>]*>(.*?)</th><td[^>]*>(.*?)</td>', text)
    assert set(bold) == {("full_retrain", "blend")}


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GnnrecError, match="cannot write the report"):
        page.save(tmp_path / "file" / "x.html", "")
