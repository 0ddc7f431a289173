"""A page of HTML: nothing is loaded from elsewhere, nothing runs, every text is escaped."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.core.files import write_atomic
from gnnrec.reporting import tables

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
CSS = Path(__file__).with_name("page.css")


def page(title: str, answer: str, sections: Sequence[tuple[str, str, str]]) -> str:
    """Return a page of sections (id, heading, inner HTML) under a title and a few lines."""
    lines = "".join(f"<span>{text(line)}</span>" for line in answer.splitlines())
    links = "".join(f'<a href="#{name}">{text(heading)}</a>' for name, heading, _ in sections)
    body = "".join(
        f'<section id="{name}" aria-labelledby="{name}-h"><h2 id="{name}-h">{text(heading)}</h2>{inner}</section>'
        for name, heading, inner in sections
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{text(title)}</title>\n<style>{CSS.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{text(title)}</h1>\n<p class="answer">{lines}</p>\n<nav aria-label="sections">{links}</nav>\n{body}\n'
        "</main>\n</body>\n</html>\n"
    )


def table(frame: pl.DataFrame, caption: str = "") -> str:
    """Return a table: texts first and to the left, numbers with four decimals to the right."""
    left = sum(kind == pl.String for kind in frame.dtypes)
    return grid(frame.columns, [row(line, left=left) for line in tables.plain_cells(frame)], left=left, caption=caption)


def grid(heads: Sequence[str], rows: Sequence[str], left: int = 2, caption: str = "") -> str:
    """Return a table of these rows, the first `left` columns to the left, under a caption."""
    head = "".join(f'<th scope="col"{_left(i, left)}>{text(h)}</th>' for i, h in enumerate(heads))
    said = text(caption) or "table"
    above = f"<caption>{said}</caption>" if caption else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{said}"><table>{above}<thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def row(cells: Sequence[str], classes: str = "", left: int = 2) -> str:
    """Return a row of cells, the first of which is its heading."""
    first = "".join(f'<th scope="row"{_left(0, left)}>{text(c)}</th>' for c in cells[:1])
    inner = "".join(f"<td{_left(i, left)}>{text(c)}</td>" for i, c in enumerate(cells[1:], 1))
    return f'<tr class="{classes}">{first}{inner}</tr>' if classes else f"<tr>{first}{inner}</tr>"


def _left(column: int, left: int) -> str:
    return ' class="text"' if column < left else ""


def folded(heading: str, inner: str) -> str:
    """Return what is shown once its heading is clicked, and in print."""
    return f"<details><summary>{text(heading)}</summary>{inner}</details>"


def small(content: str) -> str:
    """Return a paragraph in small letters; nothing for none."""
    return f'<p class="small">{text(content)}</p>' if content else ""


def warnings(found: Sequence[str]) -> str:
    """Return what is to be taken note of, in amber."""
    return f'<ul class="warn">{"".join(f"<li>{text(line)}</li>" for line in found)}</ul>' if found else ""


def paragraphs(content: str) -> str:
    """Return paragraphs; empty lines separate them."""
    return "".join(f"<p>{text(part)}</p>" for part in content.split("\n\n") if part.strip())


def listed(notes: Sequence[str]) -> str:
    """Return notes as a list."""
    return f"<h3>Notes</h3><ul>{''.join(f'<li>{text(note)}</li>' for note in notes)}</ul>" if notes else ""


def block(content: str) -> str:
    """Return text in fixed width, as it is."""
    if not content.strip():
        return ""
    lines = ("".join(c if c.isprintable() or c == "\t" else " " for c in line) for line in content.splitlines())
    return f"<pre>{html.escape(chr(10).join(lines))}</pre>"


def text(raw: str) -> str:
    """Escape, after control and direction characters are gone."""
    return html.escape(one_line(raw))


def save(path: Path, content: str) -> None:
    """Write a page, whole or not at all."""
    try:
        write_atomic(path, content)
    except OSError as error:
        raise GnnrecError(f"cannot write the report {path}: {error.strerror}") from error
