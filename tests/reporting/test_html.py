"""The report is one file: well formed, everything embedded, every text escaped."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gnnrec.core.errors import GnnrecError
from gnnrec.evaluation.results import summary
from gnnrec.reporting import html

Make = Callable[..., pl.DataFrame]

EVIL = "<script>alert('x')</script>\u202e\"&\n<img src=x onerror=y>"
VOID = {"meta", "img", "br"}


class Strict(HTMLParser):
    """Collects tags and attributes, and refuses tags that do not close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def report(pretend: Make, tmp_path: Path, **changes: Any) -> tuple[str, Strict]:
    results = pretend(3, 2)
    png = tmp_path / "next_mse.png"
    png.write_bytes(b"\x89PNG\r\n\x1a\n")
    given: dict[str, Any] = {
        "title": "t",
        "answer": "a",
        "summary": summary(results),
        "figures": [png],
        "data_text": "rows\n  read 10",
        "config_text": "seed: 0",
        "notes": ["n"],
        "protocol_text": "one\n\ntwo",
        "significance": None,
        "details": html.increments_and_segments(results),
    }
    path = tmp_path / "out" / "report.html"
    html.write(path, **(given | changes))
    text = path.read_text(encoding="utf-8")
    parser = Strict()
    parser.feed(text)
    assert parser.open == []
    return text, parser


def test_one_file_with_everything_inside(pretend: Make, tmp_path: Path) -> None:
    text, parsed = report(pretend, tmp_path)
    assert not {"script", "link", "iframe", "object", "base", "form"} & {tag for tag, _ in parsed.tags}
    for tag, attrs in parsed.tags:
        assert (attrs.get("src") or "data:").startswith("data:"), tag
        assert (attrs.get("href") or "#").startswith("#"), tag
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text
    policy = next(a["content"] for t, a in parsed.tags if t == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["report.html"]


def test_every_text_is_escaped(pretend: Make, tmp_path: Path) -> None:
    evil = summary(pretend(2, 1)).with_columns(strategy=pl.lit(EVIL))
    text, parsed = report(
        pretend,
        tmp_path,
        title=EVIL,
        answer=EVIL,
        summary=evil,
        data_text=EVIL,
        config_text=EVIL,
        notes=[EVIL],
        protocol_text=EVIL,
        details=[(EVIL, pl.DataFrame({EVIL: [EVIL], "x": [0.5]}))],
    )
    assert "<script" not in text
    assert "<img src=x" not in text
    assert "\u202e" not in text
    assert all("onerror" not in attrs for _, attrs in parsed.tags)
    assert text.count("&lt;script&gt;") > 8


def test_what_was_scored_stands_at_each_increment_and_segment(pretend: Make) -> None:
    found = dict(html.increments_and_segments(pretend(3, 2)))
    assert "2 (1,010 users)" in found["recall@20 on each next increment, all users"].columns
    assert "2 (1,010 events)" in found["MSE on each next increment"].columns
    (segments,) = (frame for heading, frame in found.items() if "by segment" in heading)
    assert "new_user (n 2,030)" in segments.columns  # 1,010 + 1,020


def test_the_answer_keeps_its_lines(pretend: Make, tmp_path: Path) -> None:
    text, _ = report(pretend, tmp_path, answer="one <b>\ntwo")
    assert '<p class="answer">one &lt;b&gt;<br>two</p>' in text


def test_lone_surrogates_and_control_codes_do_not_break_it(pretend: Make, tmp_path: Path) -> None:
    text, _ = report(pretend, tmp_path, title="a\ud800\x00b", data_text="x\ud800\x07y\nz")
    assert "a b" in text
    assert "x  y\nz" in text


def test_the_table_differences_and_details_are_in_it(pretend: Make, tmp_path: Path) -> None:
    row = {"strategy": "replay", "scorer": "model", "reference": "fine_tune", "reference_scorer": "model"}
    row |= {"metric": "recall@20", "difference": 0.0123, "low": 0.001, "high": 0.02, "p": 0.031, "wide_low": None}
    row |= {"wide_high": None, "wide_p": None, "as_good": "cannot tell", "detectable": 0.004, "users": 12345}
    text, parsed = report(pretend, tmp_path, significance=pl.DataFrame([row]))
    for want in (
        "recall@20 known",
        "fine_tune / model",
        "0.0010 to 0.0200",
        "12,345",
        "n/a",
        "0.0310",
        "cannot tell",
        "by segment",
    ):
        assert want in text
    assert text.count("less is better") == 0
    both, _ = report(
        pretend, tmp_path, significance=pl.DataFrame([row, row | {"metric": "mse", "difference": -0.0456}])
    )
    assert (
        both.index("0.0123") < both.index("recall@20, row minus") < both.index("-0.0456") < both.index("less is better")
    )
    assert re.search(r"<pre>rows\n  read 10</pre>", text)
    assert sum(tag == "details" for tag, _ in parsed.tags) == 4
    assert "Not tested" in report(pretend, tmp_path)[0]


def test_a_missing_figure_is_one_line(pretend: Make, tmp_path: Path) -> None:
    with pytest.raises(GnnrecError, match="cannot read the figure"):
        report(pretend, tmp_path, figures=[tmp_path / "none.png"])
