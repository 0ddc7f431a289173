"""5, 6, 8 and 9. Over time, the data, what else was measured, and how to get it again."""

from __future__ import annotations

import polars as pl

from gnnrec.reporting import page
from gnnrec.reporting.headings.content import PageContent

SEGMENTS = (
    "known_user, new_user: whether the user had an absorbed event by then; returning_user: known, none in the last increment; "
    "known_item, new_item likewise; head_item, middle_item, tail_item: thirds of the items by absorbed popularity at that time."
)


def over_time(content: PageContent) -> str:
    """Return the small multiples."""
    return content.figure("over_time") or page.small(
        "No figure was drawn: there are no scored increments, or figures=false."
    )


def data(content: PageContent) -> str:
    """Return warnings, drift and sizes."""
    counts = page.folded("Rows, sizes and dirt", page.block(content.data_text)) if content.data_text.strip() else ""
    return page.warnings(content.warnings) + content.figure("data_quality") + counts or page.small(
        "Nothing is known of them."
    )


def more(content: PageContent) -> str:
    """Return everything else, folded."""
    drawn = [
        ("Curves of known users, NDCG and squared error", content.figure("next_")),
        ("R: what is learnt and what is forgotten", content.figure("r_matrix")),
        ("Predictions before and after", content.figure("predictions")),
    ]
    found = [page.folded(heading, inner) for heading, inner in drawn if inner]
    for heading, frame in content.details:
        note = page.small(SEGMENTS) if "segment" in heading else ""
        found.append(page.folded(heading, page.table(frame, heading) + note))
    lists = "Lists of single users, with titles, are printed by gnnrec recommend FOLDER-OF-A-RUN --user ID."
    return "".join(found) + page.small(lists)


def again(content: PageContent) -> str:
    """Return command, differences from the defaults, versions and hashes; configuration and formulas folded."""
    command = content.record.get("command", "")
    rest = pl.DataFrame({"what": [k for k in content.record if k != "command"]}, schema={"what": pl.String})
    rest = rest.with_columns(value=pl.Series([v for k, v in content.record.items() if k != "command"], dtype=pl.String))
    parts = [
        page.block(command),
        page.folded(
            f"{len(content.changed)} settings that differ from the defaults", page.block("\n".join(content.changed))
        )
        if content.changed
        else "",
        page.folded("Machine, versions, hashes", page.table(rest, "What made it")) if rest.height else "",
        page.folded("The whole configuration", page.block(content.config_text)) if content.config_text.strip() else "",
        page.folded("How it was measured", page.paragraphs(content.protocol_text)),
        page.listed(content.notes),
    ]
    return "".join(parts)
