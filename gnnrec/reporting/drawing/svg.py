"""A figure as SVG inside a page: sharp at any width, in the page's own colours, light and dark."""

from __future__ import annotations

import io
import re

from matplotlib import rc_context
from matplotlib.figure import Figure

from gnnrec.reporting import page, style

_COLOURS = {
    **{style.INK: "currentColor", style.MUTED: "var(--muted)", style.FAINT: "var(--faint)", style.GRID: "var(--line)"},
    **{colour: f"var(--c{n})" for n, colour in enumerate(style.PALETTE)},
    **{"#ffffff": "var(--paper)"},
}
"""Colours of figures and what a page calls them (page.css)."""
_FONT = re.compile(r"(font(?:-family)?:[^;\"]*?)'DejaVu Sans'[^;\"]*")


def inline(figure: Figure, name: str, said: str, wide: bool = False) -> str:
    """Return a figure with its caption, for a page.

    Args:
        figure: drawn.
        name: one word, no other figure's on the page: its inner references are named by it.
        said: caption, read out in the place of the figure too.
        wide: whether it has several panels beside each other, and is scrolled rather than shrunk on a narrow screen.
    """
    raw, file = io.StringIO(), {"Creator": None, "Date": None, "Format": None, "Type": None}
    with rc_context({**style.RC, "svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(raw, format="svg", metadata=file, transparent=True)
    text = _own_names(_bare(raw.getvalue()), name)
    for colour, called in _COLOURS.items():
        text = re.sub(re.escape(colour), called, text, flags=re.IGNORECASE)
    text = _FONT.sub(r"\1system-ui, sans-serif", text)
    width = figure.get_size_inches()[0] * 96
    kind = "wide" if wide else "narrow"
    return (
        f'<figure class="{kind}" style="--w: {width:.0f}px"><div class="scroll" tabindex="0" role="region" '
        f'aria-label="figure">{text.replace("<svg ", f"""<svg role="img" aria-label="{page.text(said)}" """, 1)}</div>'
        f"<figcaption>{page.text(said)}</figcaption></figure>"
    )


def _bare(text: str) -> str:
    """Return the element alone, without what a page needs no more: namespaces, metadata, comments, its own size."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = text.replace("xlink:href", "href")
    head, rest = text.split(">", 1)
    head = re.sub(r'\s(?:xmlns(?::\w+)?|width|height|version)="[^"]*"', "", head)
    return re.sub(r">\s+<", "><", f"{head}>{rest}".strip())


def _own_names(text: str, name: str) -> str:
    """Return the text with ids that only this figure has, numbered as they come; those that nothing refers to are dropped."""
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", text))
    numbers = {old: f"{name}-{n}" for n, old in enumerate(o for o in re.findall(r'\sid="([^"]*)"', text) if o in used)}
    text = re.sub(r'\sid="([^"]*)"', lambda m: f' id="{numbers[m[1]]}"' if m[1] in used else "", text)
    # Not every find is a reference: the name of a strategy may read like one.
    return re.sub(r"(url\(#|href=\"#)([^)\"]+)", lambda m: m[1] + numbers.get(m[2], m[2]), text)
